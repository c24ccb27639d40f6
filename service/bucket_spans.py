"""Since when every histogram of a service has each of its bounds: what lacks one counts nothing below it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from service.flat import NONE, Ints
from service.store_series import Directory
from service.store_state import Columns

LATE_MS: Final = 75_000
"""What comes with another bucket may come so much later than it."""
_ALWAYS: Final = -1
_NEVER: Final = 2**62
_Bound = tuple[str, str]


class _Shape(NamedTuple):
    """Every bound of a service for each of its histograms, one after another: the series that has it, or -1."""

    changed: int
    series: Ints
    begins: Ints
    """Where each histogram's begin."""
    sizes: Ints
    bound: Ints
    """The place among `bounds`."""
    bounds: tuple[_Bound, ...]
    """(service, text of `le`)."""


class BucketSpans:
    """What is known of buckets; how series belong together is looked up anew only where some came or went."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._shapes: dict[str, _Shape] = {}

    def since_ms(self, metric: str, columns: Columns) -> dict[_Bound, int]:
        """From when on all histograms of a service have a bound; none of those that all have had throughout.

        One that lost it, or never had it, has it from its own end on.
        """
        shape = self.shape(metric)
        if not len(shape.begins):
            return {}
        there = shape.series >= 0
        numbers = np.where(there, shape.series, 0)
        there &= columns.last_ms[numbers] != NONE
        first = np.where(there, columns.first_ms[numbers], _NEVER)
        last = np.where(there, columns.last_ms[numbers], _ALWAYS)
        begin = np.repeat(np.minimum.reduceat(first, shape.begins), shape.sizes)
        end = np.repeat(np.maximum.reduceat(last, shape.begins), shape.sizes)
        since = np.where(last < end - LATE_MS, end, np.where(first > begin + LATE_MS, first, _ALWAYS))
        found = np.full(len(shape.bounds), _ALWAYS, np.int64)
        np.maximum.at(found, shape.bound, since)
        return {shape.bounds[at]: int(found[at]) for at in np.flatnonzero(found != _ALWAYS).tolist()}

    def shape(self, metric: str) -> _Shape:
        """How the series belong together."""
        changed, kept = self._directory.changed(metric), self._shapes.get(metric)
        if kept is None or kept.changed != changed:
            kept = self._shapes[metric] = _shape(self._directory.labels_of(metric), changed)
        return kept


def _shape(series: Mapping[int, Mapping[str, str]], changed: int) -> _Shape:
    histograms: dict[str, dict[frozenset[tuple[str, str]], dict[str, int]]] = defaultdict(dict)
    for number, labels in series.items():
        rest = frozenset(it for it in labels.items() if it[0] != "le")
        histograms[labels.get("service", "")].setdefault(rest, {})[labels.get("le", "")] = number
    bounds: list[_Bound] = []
    rows: list[tuple[int, int]] = []
    sizes: list[int] = []
    for service, found in histograms.items():
        mine = sorted({le for it in found.values() for le in it})
        for it in found.values():
            rows += [(it.get(le, -1), len(bounds) + at) for at, le in enumerate(mine)]
            sizes.append(len(mine))
        bounds += [(service, le) for le in mine]
    columns, lengths = np.array(rows, np.int64).reshape(-1, 2), np.array(sizes, np.int64)
    return _Shape(changed, columns[:, 0], np.cumsum(lengths) - lengths, lengths, columns[:, 1], tuple(bounds))
