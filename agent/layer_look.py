"""Looks at the writable layers and the image store in a thread of its own; every other work of the node goes first."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from agent.collect import Collector
from agent.model import Labels
from agent.settings import LayerSettings
from runtime.image_store import ImageStore, image_store
from runtime.layers import Layers

LOG = logging.getLogger(__name__)

FIRST_SECONDS = 5.0
"""The first look waits for the first rounds, and sooner ones for containers to be there at all."""
_NICENESS = 19


class LayerLook:
    """Looks at the layers of what runs, on a steady beat."""

    def __init__(
        self, layers: Layers, collector: Collector, data: Callable[[], str | None], settings: LayerSettings
    ) -> None:
        """`data` gives the engine's data folder, None while it is not known."""
        self._layers, self._collector, self._data, self._settings = layers, collector, data, settings
        self._images: ImageStore | None = None

    def images(self) -> Iterator[tuple[str, Labels, float]]:
        """The latest size of the image store; nothing where it is not known."""
        if self._images is not None:
            yield "midwatch_image_store_bytes", (), float(self._images.used_bytes)
            yield "midwatch_image_store_layers", (), float(self._images.layers)

    def run(self, stop: threading.Event) -> None:
        """Looks until told to stop."""
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        wait = min(FIRST_SECONDS, self._settings.interval_seconds)
        while not stop.wait(wait):
            wait = self._settings.interval_seconds
            try:
                data = self._data()
                self._images = image_store(Path(data), self._settings.round_seconds) if data else None
                self._layers.look(self._collector.running(), self._collector.device_names(), stop.is_set)
            except Exception:  # sizes are not worth the thread's end; the next look may go well
                LOG.exception("a look at the layers failed")
