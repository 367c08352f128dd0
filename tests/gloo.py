"""How a process ends that talked to others by gloo."""

from __future__ import annotations

import os
import sys


def leave() -> None:
    """End this process here and now, as one that succeeded, without Python's own ending.

    DistributedDataParallel keeps gloo's threads alive behind ``destroy_process_group``. One of them that lets go of a tensor while
    Python ends aborts the process, now and then, whether boundaries were sampled or not (see pytorch's pull request 179291).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
