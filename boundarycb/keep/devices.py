"""Which devices are far from the processor: what lies there is asked for seldom, and in one piece."""

from __future__ import annotations

import torch

FAR = {"cuda"}
"""Kinds of devices of which every answer is waited for, and every copy takes some ten microseconds however small it is."""


def is_far(device: torch.device) -> bool:
    """Return whether `device` is far from the processor. Others than CUDA's were not tried, and take the way of the processor."""
    return device.type in FAR


def wait_for(device: torch.device) -> None:
    """Wait until all is done that was asked of `device`, on any of its streams."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
