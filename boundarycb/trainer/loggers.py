"""A Trainer's loggers: where the files go, and the sinks that they take pictures and numbers with.

Loggers are told by the names of their classes, since each Lightning package has classes of its own, and some come from elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from boundarycb.failing import attempt
from boundarycb.sinks import Aim, Comet, Files, LitLogger, MLflow, Numbers, TensorBoard, Trackio, WandB
from boundarycb.types import Sink

MakeSink = Callable[[Any, str, bool], Sink]
"""Makes what sends pictures to a logger, of the logger, the leading word of tags, and whether runs can be stepped through there."""


_WITH_PICTURES: dict[str, MakeSink] = {
    "TensorBoardLogger": lambda logger, name, replay: TensorBoard(logger.experiment, name=name, replay=replay),
    "WandbLogger": lambda logger, name, _: WandB(logger.experiment, name=name, numbers=False, step_key="trainer/global_step"),
    "MLFlowLogger": lambda logger, name, _: MLflow(logger.experiment, logger.run_id, name=name, numbers=False),
    "CometLogger": lambda logger, name, _: Comet(logger.experiment, name=name, numbers=False),
    "LitLogger": lambda logger, name, _: LitLogger(logger.experiment, name=name, numbers=False),
    "TrackioLogger": lambda logger, name, _: Trackio(logger.experiment, name=name, numbers=False),
    "AimLogger": lambda logger, name, _: Aim(logger.experiment, name=name, numbers=False),
}
"""By class name. TensorBoard's sink writes numbers too, with what they mean; those of all others go through ``log_metrics``."""

_LONGEST = {"MLFlowLogger": 250}
"""Characters that a name may have."""

_DUMMIES = ("DummyLogger",)


def sinks_of(loggers: Sequence[Any], name: str, directory: Callable[[], Path], *, replay: bool) -> tuple[list[Sink], str]:
    """Return the sinks for a Trainer's loggers, and what the user should know of them, if anything.

    Args:
        loggers: of the Trainer.
        name: the leading word of every tag.
        directory: tells where files go.
        replay: whether runs can be stepped through, where a logger has a place for it.
    """
    found: list[Sink] = []
    without: list[str] = []
    shown = False
    for logger in loggers:
        if _kind(logger, _DUMMIES):
            continue
        kind = _kind(logger, _WITH_PICTURES)
        if kind is not None:
            made = attempt(partial(_WITH_PICTURES[kind], logger, name, replay), f"{kind} takes no pictures.")
            found += [] if made is None else [made]
            shown |= made is not None
        else:
            without.append(type(logger).__name__)
        if kind != "TensorBoardLogger":
            found.append(Numbers(logger.log_metrics, name=name, longest=_LONGEST.get(kind or "")))
    if shown:
        return found, ""
    takes = "There is no logger" if not without else f"{' and '.join(without)} take{'s' if len(without) == 1 else ''} numbers"
    return [*found, Files(lambda: directory() / "pictures")], f"{takes}: pictures go to {{directory}}/pictures."


def directory_of(trainer: Any) -> tuple[str, str]:
    """Return the first logger's directory on this machine, else the Trainer's, else the current one; and what was passed over.

    The latter is a sentence, empty where nothing was. ``trainer.log_dir`` would talk to the other ranks, which do not listen.
    """
    known = [*_directories(trainer), str(trainer.default_root_dir)]
    local = next((place for place in known if "://" not in place), str(Path.cwd()))
    remote = [place for place in known if "://" in place]
    if not remote or known[0] == local:
        return local, ""
    return local, f"Files cannot be written to {remote[0]}, and go to {local} on this machine; `directory=` names another place."


def _directories(trainer: Any) -> Iterator[str]:
    for logger in trainer.loggers:
        for attribute in ("log_dir", "save_dir"):
            find = partial(getattr, logger, attribute, None)
            directory = attempt(find, f"{type(logger).__name__} does not tell its directory.")
            if isinstance(directory, (str, os.PathLike)):
                yield os.fspath(directory).removeprefix("file://")
                break


def _kind(logger: Any, names: Any) -> str | None:
    """Return which of `names` a logger's class, or one that it comes from, is called."""
    return next((cls.__name__ for cls in type(logger).__mro__ if cls.__name__ in names), None)
