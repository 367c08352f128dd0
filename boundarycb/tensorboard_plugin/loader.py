"""What TensorBoard imports at every start: an error here would end it, so this imports nothing but what TensorBoard itself has."""

from __future__ import annotations

import logging
from typing import Any

from tensorboard.plugins import base_plugin

log = logging.getLogger(__name__)

NAME = "boundaries"


class BoundariesLoader(base_plugin.TBLoader):  # type: ignore[misc]
    """Makes the plugin; where that fails, TensorBoard goes on without it."""

    def fix_flags(self, flags: Any) -> None:
        """Have TensorBoard keep all samples of ours, as both of its loaders do by ``--samples_per_plugin boundaries=0``.

        It keeps some ten to hundred of a series else. What the user said of it himself stays.
        """
        try:
            flags.samples_per_plugin.setdefault(NAME, 0)
        except Exception:  # noqa: BLE001 - another TensorBoard may have other flags
            log.warning("TensorBoard has no --samples_per_plugin to be set, so the Boundaries tab may show fewer samples.")

    def load(self, context: base_plugin.TBContext) -> base_plugin.TBPlugin | None:
        """Return the plugin, or None where it cannot be made."""
        try:
            from boundarycb.tensorboard_plugin.plugin import BoundariesPlugin

            return BoundariesPlugin(context)
        except Exception:
            log.exception("The Boundaries tab cannot be shown.")
            return None
