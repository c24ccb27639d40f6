"""The compiled readers, once they are there: until then, and where numba is not, the other readers do all."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

_LOG = logging.getLogger(__name__)
_READERS: Final = f"{__package__}.wire_kernels"
_WRITERS: Final = f"{__package__}.wire_kernels_write"
_KERNELS: Final = (
    (_WRITERS, "look_up", "LOOK_UP"),
    (_WRITERS, "insert", "INSERT"),
    (_WRITERS, "scan_write_1", "SCAN_1"),
    (_WRITERS, "scan_write_2", "SCAN_2"),
    (_READERS, "scan_otlp", "SCAN_OTLP"),
)
"""In this order: a reader is of use only with the look-up."""
_ready: dict[str, Callable[..., Any]] = {}


class Stop(Protocol):
    """What says that the process is to end; `threading.Event` is one."""

    def is_set(self) -> bool:
        """True once it is to end."""
        ...


def kernel(name: str) -> Callable[..., Any] | None:
    """A kernel that is ready; None while it is not."""
    return _ready.get(name)


def warm(stop: Stop, cache_dir: Path | None = None) -> int:
    """Compile the kernels one by one, or load them from `cache_dir`; how many are ready.

    It takes seconds where nothing is cached: call it in a thread of its own. No request waits for it.
    """
    try:
        numba = importlib.import_module("numba")
    except ImportError:
        _LOG.info("without numba, what is sent is read more slowly")
        return 0
    if cache_dir is not None:
        importlib.import_module("numba.core.config").CACHE_DIR = str(cache_dir)  # type: ignore[attr-defined]
    for module, name, signature in _KERNELS:
        if stop.is_set():
            break
        if name not in _ready:
            source = importlib.import_module(module)
            compiled = numba.njit(getattr(source, signature), nogil=True, cache=cache_dir is not None)
            _ready[name] = compiled(getattr(source, name))
    return len(_ready)
