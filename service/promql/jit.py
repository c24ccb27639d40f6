"""Which kernel runs: the compiled one once it is there, its numpy twin until then."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from service.promql import buckets, tops, twins, twins_order

Kernel = Callable[..., None]

TWINS: Final[Mapping[str, Kernel]] = {
    it.__name__: it
    for it in (
        twins.latest,
        twins.extrapolated,
        twins.pair,
        twins.fold,
        twins.turns,
        twins_order.extremes,
        twins.trend,
        twins_order.ordered,
        twins_order.mad,
        twins.smoothed,
        twins.grouped,
        buckets.bucket_quantile,
        buckets.bucket_fraction,
        tops.tops,
    )
}
_MODULES: Final = ("kernels", "kernels_groups", "kernels_order")
_ready: dict[str, Any] = {}


class Stop(Protocol):
    """What says that the process is to end; `threading.Event` is one."""

    def is_set(self) -> bool:
        """True once it is to end."""
        ...


def kernel(name: str) -> Kernel:
    """The fastest form of a kernel that is ready now."""
    found: Kernel = _ready.get(name) or TWINS[name]
    return found


def warm(stop: Stop, cache_dir: Path | None = None) -> int:
    """Compiles the kernels one by one, or loads them from `cache_dir`; how many are ready.

    It takes seconds where nothing is cached: call it in a thread of its own. Queries use the twins meanwhile.
    """
    if cache_dir is not None:
        importlib.import_module("numba.core.config").CACHE_DIR = str(cache_dir)  # type: ignore[attr-defined]
    modules = [importlib.import_module(f"service.promql.{it}") for it in _MODULES]
    for dispatcher, signature in (one for it in modules for one in it.COMPILED):
        if stop.is_set():
            break
        if dispatcher.__name__ not in _ready:
            dispatcher.compile(signature)
            dispatcher.disable_compile()
            _ready[dispatcher.__name__] = dispatcher
    return len(_ready)
