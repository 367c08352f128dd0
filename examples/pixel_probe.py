"""Change one pixel of an image by one step: which classifiers call it something else? And what do they call static?

"Visualizing Neural Nets" (2023, section 7 and figure 8) goes through the training images of MNIST with a Gaussian naive Bayes
classifier, and finds images that change their class when one pixel changes by 1. This does the same for naive Bayes as it comes,
for naive Bayes with more smoothing, and for a small convolutional network. It also says how many of these flips are at pixels that
are the same in all images of a class: there naive Bayes finds no variance, and takes a floor of its own choice instead. The digits
are scikit-learn's: 1,797 images of 8 x 8 pixels from 0 to 16, which come with the package. As in the paper, the images that are
probed are those that were fitted, unless some are held out.

    python examples/pixel_probe.py                          # ten seconds
    python examples/pixel_probe.py --static                 # and what they call random images
    python examples/pixel_probe.py --held-out 360           # probe images that were not fitted
    python examples/pixel_probe.py --steps 1000             # a network that was trained for longer
    python examples/pixel_probe.py --mnist DIR              # the paper's data: a folder with train-images-idx3-ubyte and labels
    python examples/pixel_probe.py --mnist DIR --screen 64  # of the network's probes the 64 likeliest of each image

Two pictures of each classifier are written: where its images are fragile, and what the most fragile ones look like.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from idx import find_idx, read_idx
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB
from torch import nn

from boundarycb import overlay, slices
from boundarycb.analysis.pixels import PixelProbe, probe_pixels
from boundarycb.render.fragile import draw_examples, draw_fragile
from boundarycb.types import Slice

SMOOTHINGS = ("1e-9", "1e-2")  # of naive Bayes: scikit-learn's own, and one that is large enough
EXAMPLES = 8  # on a sheet
STATIC = 1000  # random images
MNIST_IMAGES = 300  # probed by default: each takes 1,568 passes

Ints = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Images:
    """Images (n, rows, columns) of whole numbers from 0 to `most` and their labels (n,): those fitted, and those probed."""

    fitted: Ints
    fitted_labels: Ints
    probed: Ints
    probed_labels: Ints
    most: int
    told: str

    def constant(self) -> NDArray[np.bool_]:
        """Return which pixels are the same in all images of a class that are fitted, (10, pixels)."""
        flat = self.fitted.reshape(len(self.fitted), -1)
        of = [flat[self.fitted_labels == digit] for digit in range(10)]
        return np.stack([some.max(axis=0) == some.min(axis=0) for some in of])

    def constant_somewhere(self) -> NDArray[np.bool_]:
        """Return which pixels are so in some class, (pixels,)."""
        return np.asarray(self.constant().any(axis=0))

    def legal(self) -> Ints:
        """Return how many steps of each pixel stay between 0 and `most`, of all images that are probed, (pixels,)."""
        flat = self.probed.reshape(len(self.probed), -1)
        return np.asarray((flat > 0).sum(axis=0) + (flat < self.most).sum(axis=0))


class Network(nn.Module):
    """Two convolutions and two linear layers for images (n, 1, rows, columns) from 0 to `most`."""

    def __init__(self, rows: int, columns: int, most: int) -> None:
        super().__init__()
        self.most = most
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.fc1 = nn.Linear(16 * -(-rows // 2) * -(-columns // 2), 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the scores of the ten digits, (n, 10)."""
        x = F.relu(self.conv1(images / self.most))
        x = F.relu(self.conv2(x))
        x = F.relu(self.fc1(x.flatten(1)))
        scores: torch.Tensor = self.fc2(x)
        return scores


@dataclass(frozen=True, eq=False)
class Fitted:
    """A classifier, and the shape in which it takes images."""

    name: str
    file: str
    model: Any
    shape: tuple[int, ...]

    def confidences(self, images: Ints) -> NDArray[np.floating[Any]]:
        """Return the probabilities of the ten digits, (n, 10)."""
        given = images.reshape(-1, *self.shape)
        if not isinstance(self.model, nn.Module):
            return np.asarray(self.model.predict_proba(given))
        with torch.no_grad():
            return np.asarray(F.softmax(self.model(torch.tensor(given, dtype=torch.float32)), dim=1))


def main() -> None:
    """Fit, probe, and say what came out."""
    options = parse()
    warnings.filterwarnings("ignore", message=".*lines are traced on a grid")  # the picture says so
    torch.set_num_threads(1)  # more gain nothing on a network this small
    torch.manual_seed(options.seed)
    images = mnist(options) if options.mnist else digits(options)
    options.out.mkdir(parents=True, exist_ok=True)
    print(f"{images.told}\n")
    classifiers = fit(images, options)
    probes = [probed(classifier, images, options) for classifier in classifiers]
    print(table(classifiers, probes, images))
    print(f"\n{why(classifiers, images)}")
    files = [file for pair in zip(classifiers, probes, strict=True) for file in draw(*pair, images, options.out)]
    if options.static:
        files.append(static(classifiers, images, options))
    print("\npictures   " + "\n           ".join(str(file) for file in files))


# ---------------------------------------------------------------------------------------------------------------- images


def digits(options: argparse.Namespace) -> Images:
    """Return scikit-learn's digits."""
    bunch = load_digits()
    return parted(bunch.images.astype(np.int64), bunch.target, 16, "scikit-learn's digits", options)


def mnist(options: argparse.Namespace) -> Images:
    """Return the training images of MNIST, or of another set in the same format.

    Raises:
        FileNotFoundError: the files are not there.
        ValueError: they are no such files, or do not belong together.
    """
    images = read_idx(find_idx(options.mnist, "train-images", 3))
    labels = read_idx(find_idx(options.mnist, "train-labels", 1))
    if images.ndim != 3 or labels.shape != images.shape[:1] or not set(np.unique(labels)) <= set(range(10)):
        raise ValueError(f"{options.mnist} must have images and as many labels from 0 to 9, got {images.shape} and {labels.shape}.")
    return parted(images, labels.astype(np.int64), 255, str(options.mnist), options)


def parted(images: Ints, labels: Ints, most: int, name: str, options: argparse.Namespace) -> Images:
    """Return images in those that are fitted and those that are probed: the same ones, unless the first are held out."""
    held = options.held_out
    if not 0 <= held < len(images):
        raise SystemExit(f"--held-out must be from 0 to {len(images) - 1:,}, got {held}.")
    some = (MNIST_IMAGES if options.mnist else len(images)) if options.images is None else options.images
    if some < 1:
        raise SystemExit(f"--images must be 1 or more, got {some}.")
    count = min(some, held or len(images))
    which = "that were held out" if held else "of these"
    told = f"{name}: {len(images) - held:,} images fitted, {count:,} {which} probed, pixels from 0 to {most}, a step is 1"
    return Images(images[held:], labels[held:], images[:count], labels[:count], most, told)


# ----------------------------------------------------------------------------------------------------------- classifiers


def fit(images: Images, options: argparse.Namespace) -> list[Fitted]:
    """Return naive Bayes with little and with more smoothing, and a network, fitted to the images."""
    flat = images.fitted.reshape(len(images.fitted), -1)
    rows, columns = images.fitted.shape[1:]
    bayes = [
        Fitted(
            f"naive Bayes, smoothing {smoothing}",
            f"bayes_{smoothing}",
            GaussianNB(var_smoothing=float(smoothing)).fit(flat, images.fitted_labels),
            (rows * columns,),
        )
        for smoothing in SMOOTHINGS
    ]
    network = trained(Network(rows, columns, images.most), images, options.steps)
    return [*bayes, Fitted("convolutional network", "network", network, (1, rows, columns))]


def trained(network: Network, images: Images, steps: int) -> Network:
    """Return `network` after so many `steps` of Adam."""
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    labels = torch.tensor(images.fitted_labels)
    for _ in range(steps):
        some = torch.randint(len(labels), (64,))
        batch = torch.tensor(images.fitted[some.numpy(), None], dtype=torch.float32)
        loss = F.cross_entropy(network(batch), labels[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def probed(classifier: Fitted, images: Images, options: argparse.Namespace) -> PixelProbe:
    """Return what a step of each pixel does to each image."""
    return probe_pixels(
        classifier.model,
        images.probed.reshape(-1, *classifier.shape),
        labels=images.probed_labels,
        high=images.most,
        screen=options.screen if isinstance(classifier.model, nn.Module) else None,
    )


# ------------------------------------------------------------------------------------------------------------ what is said


def table(classifiers: Sequence[Fitted], probes: Sequence[PixelProbe], images: Images) -> str:
    """Return the figures, a row for each classifier."""
    rows = [("", "accuracy", "images that flip", "flips per probe", "flips", "at pixels constant in", "")]
    rows.append(("", "", "", "", "", "some class", "the class left"))
    constant = images.constant()
    for classifier, probe in zip(classifiers, probes, strict=True):
        least = "" if probe.complete else ">= "
        somewhere = images.constant_somewhere()[probe.feature].sum()
        left = constant[probe.before, probe.feature].sum()
        shares = f"{least}{probe.share:.1%}", f"{least}{probe.per_probe:.3%}", f"{least}{len(probe):,}"
        rows.append((classifier.name, f"{probe.accuracy:.1%}", *shares, f"{somewhere:,}", f"{left:,}"))
    legal = images.legal()
    somewhere = legal[images.constant_somewhere()].sum()
    rows.append((f"of all {legal.sum():,} legal probes", "", "", "", "", f"{somewhere:,}", ""))
    return aligned(rows)


def why(classifiers: Sequence[Fitted], images: Images) -> str:
    """Return why naive Bayes flips, in words."""
    constant = images.constant_somewhere()
    lines = [
        f"why        {constant.sum()} of {len(constant)} pixels are the same in all images of a class. Their variance there is 0,",
        "           and naive Bayes takes its floor for it: a step off the only value costs the class 1 / (2 floor).",
    ]
    for classifier in classifiers:
        if isinstance(classifier.model, GaussianNB):
            floor = float(classifier.model.epsilon_)
            lines.append(f"           {classifier.name}: floor {floor:.1e}, a step costs {0.5 / floor:.2g} in log-likelihood")
    return "\n".join(lines)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of words in columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        [row[0].ljust(widths[0]), *(word.rjust(width) for word, width in zip(row[1:], widths[1:], strict=True))] for row in rows
    ]
    return "\n".join("   ".join(line).rstrip() for line in lines)


def draw(classifier: Fitted, probe: PixelProbe, images: Images, out: Path) -> list[Path]:
    """Write the map of a classifier's fragile pixels, and the sheet of its most fragile images; return the files."""
    rows, columns = images.probed.shape[1:]
    shape = (-1, rows, columns)
    picture = draw_fragile(
        probe.map().reshape(rows, columns),
        images.probed.mean(axis=0),
        title=f"{classifier.name}: where one step changes the class",
        phrases=probe.phrases,
        below="the mean image",
        at_least=not probe.complete,
    )
    files = [saved(picture.png(), out / f"{classifier.file}_map.png")]
    fragile = probe.fragile(EXAMPLES)
    if fragile:
        places = [int(one.places[len(one.places) // 2]) for one in fragile]
        sheet = draw_examples(
            images.probed[[one.sample for one in fragile]],
            probe.changed(images.probed.reshape(-1, *classifier.shape), places).reshape(shape),
            [(str(probe.before[place]), str(probe.after[place])) for place in places],
            title=f"{classifier.name}: its most fragile images, a flip of each",
            notes=[remark(one.sample, len(one.places), images) for one in fragile],
            phrases=probe.phrases,
        )
        files.append(saved(sheet.png(), out / f"{classifier.file}_examples.png"))
    return files


def remark(sample: int, flips: int, images: Images) -> str:
    """Return which image it is, and how many flips it has."""
    return f"image {sample}, a {images.probed_labels[sample]}: {flips} flip{'s' if flips > 1 else ''}"


def saved(data: bytes, path: Path) -> Path:
    """Write a file and return where it is."""
    path.write_bytes(data)
    return path


# ---------------------------------------------------------------------------------------------------------------- static


def static(classifiers: Sequence[Fitted], images: Images, options: argparse.Namespace) -> Path:
    """Say what random images are called, and write the plane through three of them; return the file."""
    noise = np.random.default_rng(options.seed).integers(0, images.most + 1, (STATIC, *images.probed.shape[1:]))
    rows = [(f"{STATIC:,} images of static", "called mostly", "confidence", "over 99% sure", "first three")]
    for classifier in classifiers:
        sure, called = classifier.confidences(noise).max(axis=1), classifier.confidences(noise).argmax(axis=1)
        counts = np.bincount(called, minlength=10)
        first = ", ".join(f"{digit} ({share:.0%})" for digit, share in zip(called[:3], sure[:3], strict=True))
        most = f"{counts.argmax()} ({counts.max() / STATIC:.0%})"
        rows.append((classifier.name, most, f"{sure.mean():.1%}", f"{(sure > 0.99).mean():.0%}", first))
    print(f"\n{aligned(rows)}")
    network = classifiers[-1]
    picture = overlay(network.model, plane_of(noise, network, images.most), resolution=192, max_units=16)
    return saved(picture.png(), options.out / "static.png")


def plane_of(noise: Ints, network: Fitted, most: int) -> Slice:
    """Return the plane through three images of static, which are called differently where they can be."""
    called = network.confidences(noise).argmax(axis=1)
    _, first = np.unique(called, return_index=True)
    three = [*first, *(row for row in range(len(noise)) if row not in first)][:3]
    names = [f"static, called {called[row]}" for row in three]
    plane = slices.through(*(noise[row][None].astype(np.float64) for row in three), margin=0.25, names=names)
    return slices.limited(plane, 0.0, float(most))


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Change one pixel by one step, and see which classifiers change their minds.")
    parser.add_argument("--mnist", type=Path, help="folder with MNIST's files, instead of scikit-learn's digits")
    parser.add_argument("--images", type=int, help=f"how many are probed (default: all digits, {MNIST_IMAGES} of MNIST)")
    parser.add_argument("--held-out", type=int, default=0, help="so many are not fitted, and probed instead (default: %(default)s)")
    parser.add_argument("--screen", type=int, help="probe only so many pixels of each image, the likeliest, with the network")
    parser.add_argument("--static", action="store_true", help="also ask what random images are")
    parser.add_argument("--steps", type=int, default=400, help="optimiser steps of the network (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/pixel_probe"), help="where pictures go (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
