"""GINN's own training in full: 1,280,000 steps in a plain loop, with its 431 samples (Darlow and Storkey 2018, arXiv 1810.01860).

    python examples/ginn_full.py            # five to ten minutes of one core; stop it, and run it again to go on

It ends with the report in ``runs/ginn_full/boundaries/report.md``. Every 20,000 steps a checkpoint is written; where there is one,
the run goes on from it, with the samples so far, as if it had never stopped.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from ginn_bottle import RECIPES, Bottle

import boundarycb
from boundarycb import slices
from boundarycb.data import bottle, pixels_of

CHECKPOINT = 20_000  # steps between two of them
CHUNK = 1_000  # batches that are drawn at once


def main() -> None:
    """Train, from the start or from the last checkpoint."""
    options = parse()
    recipe, steps = RECIPES["paper"], options.steps
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    image = bottle()
    points, labels = map(torch.from_numpy, pixels_of(image, low=recipe.low, high=1.0))
    plane = slices.aimed(slices.box((recipe.low, 1.0), (recipe.low, 1.0)), image[::-1])

    model = Bottle(recipe.lr, recipe.init, recipe.low)
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.lr, fused=True)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    saved = options.out / "last.ckpt"
    watched = boundarycb.watch(
        model, optimizer, slice=plane, schedule="ginn", directory=options.out, data=(points, labels), class_names=("black", "white")
    )
    start, step = time.process_time(), 0
    with watched as recorder:
        if saved.exists():
            state = torch.load(saved)
            recorder.load_state_dict(state["recorder"])
            for name, part in (("model", model), ("optimizer", optimizer), ("cosine", cosine)):
                part.load_state_dict(state[name])
            torch.set_rng_state(state["random"])
            step = state["step"]
            start -= state["seconds"]
            print(f"going on from step {step:,}")
        while step < steps:
            for rows in torch.randint(len(points), (min(CHUNK, steps - step), recipe.batch)):
                loss = F.cross_entropy(model(points[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                recorder.log(loss=loss)
                optimizer.step()
                cosine.step()
            step = min(step + CHUNK, steps)
            if step % CHECKPOINT == 0 and step < steps:
                state = {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "cosine": cosine.state_dict(),
                    "random": torch.get_rng_state(),
                    "step": step,
                    "seconds": time.process_time() - start,
                    "recorder": recorder.state_dict(),
                }
                torch.save(state, saved)
                print(f"step {step:,}  loss {loss.item():.4f}  {time.process_time() - start:.0f} s", flush=True)
    with torch.no_grad():
        right = (model(points).argmax(dim=1) == labels).float().mean().item()
    print(f"accuracy   {right:.2%} of {len(points):,} pixels, after {time.process_time() - start:.0f} s of processor time")
    print(f"report     {recorder.directory / 'report.md'}")


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="GINN's own training in full.")
    parser.add_argument("--steps", type=int, default=RECIPES["paper"].steps, help="optimiser steps (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/ginn_full"), help="where the run goes (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
