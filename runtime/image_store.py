"""The size of the engine's image store, by what the engine itself noted of each layer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

LOOK_EVERY = 256
"""Layers between two looks at the clock."""


class ImageStore(NamedTuple):
    """Layers of all images, each counted once though several images share it, and their bytes when unpacked."""

    layers: int
    used_bytes: int


def image_store(data: Path, seconds: float, clock: Callable[[], float] = time.monotonic) -> ImageStore | None:
    """What lies under the engine's data folder; None where it is kept elsewhere or `seconds` did not suffice.

    Docker notes the size of a layer beside it (moby `layer/filestore.go`: `image/<driver>/layerdb/sha256/<id>/size`),
    so nothing is walked. A store of containerd's has no such notes.
    """
    until, layers, used = clock() + seconds, 0, 0
    kept = list(data.glob("image/*/layerdb/sha256"))
    for size in _sizes(kept):
        layers, used = layers + 1, used + size
        if layers % LOOK_EVERY == 0 and clock() > until:
            return None
    return ImageStore(layers, used) if kept else None


def _sizes(folders: list[Path]) -> Iterator[int]:
    for folder in folders:
        with os.scandir(folder) as entries:
            for entry in entries:
                # A layer that is being removed meanwhile has no size any more.
                try:
                    yield int(Path(entry.path, "size").read_bytes()[:20])
                except (OSError, ValueError):
                    continue
