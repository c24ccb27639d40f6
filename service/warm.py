"""Compiled kernels are made ready in the background: no start and no request waits for them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from service import chunk_kernels, wire_jit
from service.promql import jit

_LOG = logging.getLogger(__name__)
_NICE = 10
_END_SECONDS = 10.0
Warm = Callable[[threading.Event, Path | None], int]
KERNELS: tuple[Warm, ...] = (wire_jit.warm, chunk_kernels.warm, jit.warm)
"""What makes kernels ready: each is told when to end and where compiled code is kept, and says how many are ready."""


@contextmanager
def warming(cache_dir: Path, kernels: Sequence[Warm] = KERNELS) -> Iterator[threading.Thread]:
    """Kernels are made ready while the context lasts; what is under way at its end is waited for a while."""
    stop = threading.Event()
    thread = threading.Thread(target=_run, args=(stop, cache_dir, kernels), name="kernels", daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(_END_SECONDS)


def _run(stop: threading.Event, cache_dir: Path, kernels: Sequence[Warm]) -> None:
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
    try:
        cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        ready = sum(warm(stop, cache_dir) for warm in kernels)
        _LOG.info("%d compiled kernels are ready", ready)
    except OSError as fault:
        _LOG.warning("%s: compiled kernels can't be kept there: %s; until the next start all goes slower: "
                     "free some space, or make it writable", cache_dir, fault.strerror or fault)  # fmt: skip
    except Exception:  # noqa: BLE001 - without them all works, only more slowly: in the log
        _LOG.exception("kernels could not be compiled")
