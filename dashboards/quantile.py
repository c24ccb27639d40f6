"""A quantile from the buckets of a histogram."""

from __future__ import annotations

from collections.abc import Mapping


def quantile(share: float, buckets: Mapping[str, float | None]) -> float | None:
    """The value below which `share` of the observations lie, from increments of cumulative buckets by their `le`.

    Linear within a bucket, as PromQL's histogram_quantile has it. None without observations, and where the quantile
    lies above the last bound: there is no number for it.
    """
    known = ((_bound(le), count) for le, count in buckets.items())
    bounds = sorted((bound, count) for bound, count in known if bound is not None and count is not None)
    total = max((count for _, count in bounds), default=0.0)
    if total <= 0:
        return None
    wanted, low, below = share * total, 0.0, 0.0
    for bound, count in bounds:
        if count >= wanted:
            if bound == float("inf"):
                return None
            inside = count - below
            return low + (bound - low) * ((wanted - below) / inside if inside > 0 else 1.0)
        low, below = bound, count
    return None


def _bound(le: str) -> float | None:
    try:
        return float(le)
    except ValueError:
        return None
