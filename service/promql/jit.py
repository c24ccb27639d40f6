"""Which kernel runs: the compiled one once it is there, its numpy twin until then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from service.promql import buckets, twins

Kernel = Callable[..., None]

TWINS: Final[dict[str, Kernel]] = {
    it.__name__: it
    for it in (
        twins.latest,
        twins.extrapolated,
        twins.pair,
        twins.fold,
        twins.trend,
        twins.ordered,
        twins.mad,
        twins.smoothed,
        twins.grouped,
        buckets.bucket_quantile,
        buckets.bucket_fraction,
    )
}
_compiled: dict[str, Any] = {}


def kernel(name: str) -> Kernel:
    """The fastest form of a kernel that is ready now."""
    found: Kernel = _compiled.get(name) or TWINS[name]
    return found
