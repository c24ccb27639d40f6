"""Looks at the writable layers in a thread of its own that every other work of the node goes before."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress

from agent.collect import Collector
from runtime.layers import Layers

LOG = logging.getLogger(__name__)

FIRST_SECONDS = 5.0
"""The first look waits for the first rounds, and sooner ones for containers to be there at all."""
_NICENESS = 19


class LayerLook:
    """Looks at the layers of what runs, on a steady beat."""

    def __init__(self, layers: Layers, collector: Collector, interval_seconds: float) -> None:
        self._layers, self._collector, self._interval_seconds = layers, collector, interval_seconds

    def run(self, stop: threading.Event) -> None:
        """Looks until told to stop."""
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        wait = min(FIRST_SECONDS, self._interval_seconds)
        while not stop.wait(wait):
            wait = self._interval_seconds
            try:
                self._layers.look(self._collector.running(), self._collector.device_names(), stop.is_set)
            except Exception:  # sizes are not worth the thread's end; the next look may go well
                LOG.exception("a look at the writable layers failed")
