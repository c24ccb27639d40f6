"""The series that the store knows: their numbers, and which of them satisfy a selector."""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from service.model import Series
from slo.model import Labels, Matcher, Selector

Ids = NDArray[np.int64]
MOST_SELECTIONS = 5_000


class Directory:
    """Every known series by its number; safe to read from any thread, changed by the writing thread alone."""

    def __init__(self) -> None:
        self.next_id = 1
        self.generation = 0
        """Grows with every change, so that what was derived from it can be kept."""
        self.epoch = 0
        """Grows when series are forgotten: numbers that were looked up before may be of nothing now."""
        self._ids: dict[Series, int] = {}
        self._series: dict[int, Series] = {}
        self._by_metric: dict[str, dict[int, Mapping[str, str]]] = defaultdict(dict)
        self._changed: dict[str, int] = {}
        self._selected: dict[Selector, tuple[int, Ids]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many series there are."""
        return len(self._ids)

    def numbers_of(self, found: Iterable[Series]) -> list[int]:
        """The number of each series, 0 where it is not known."""
        known = self._ids.get
        return [known(series, 0) for series in found]

    def series(self, series_id: int) -> Series:
        """The series of a number."""
        return self._series[series_id]

    def numbers(self) -> list[int]:
        """The numbers of all series."""
        with self._lock:
            return list(self._series)

    def items(self) -> list[tuple[int, Series]]:
        """All series with their numbers."""
        with self._lock:
            return list(self._series.items())

    def metrics(self) -> list[str]:
        """Every metric name that has series."""
        with self._lock:
            return [name for name, members in self._by_metric.items() if members]

    def labels_of(self, metric: str) -> dict[int, Mapping[str, str]]:
        """The labels of all series of a metric, by number."""
        with self._lock:
            return dict(self._by_metric.get(metric, {}))

    def clear(self) -> None:
        """Forget all series."""
        self.remove(self.numbers())

    def add(self, found: Iterable[tuple[int, Series]]) -> None:
        """Take series with their numbers."""
        with self._lock:
            for number, series in found:
                self._ids[series] = number
                self._series[number] = series
                self._by_metric[series.metric][number] = dict(series.labels)
                self._touch(series.metric)
                self.next_id = max(self.next_id, number + 1)

    def remove(self, numbers: Iterable[int]) -> None:
        """Forget series."""
        with self._lock:
            self.epoch += 1
            for number in numbers:
                series = self._series.pop(number)
                del self._ids[series]
                del self._by_metric[series.metric][number]
                self._touch(series.metric)

    def select(self, selector: Selector) -> Ids:
        """Numbers of the series that satisfy a selector, ascending."""
        with self._lock:
            changed = self._changed.get(selector.metric, 0)
            kept = self._selected.get(selector)
            if kept is not None and kept[0] == changed:
                return kept[1]
            members = self._by_metric.get(selector.metric, {})
            tests = [_Test(it) for it in selector.matchers]
            ids = np.array(sorted(n for n, labels in members.items() if all(t(labels) for t in tests)), np.int64)
            if len(self._selected) >= MOST_SELECTIONS:
                self._selected.clear()
            self._selected[selector] = (changed, ids)
            return ids

    def _touch(self, metric: str) -> None:
        self.generation += 1
        self._changed[metric] = self.generation


class _Test:
    """Whether labels satisfy a matcher; a missing label is the empty text, as in PromQL."""

    def __init__(self, matcher: Matcher) -> None:
        self._name, self._value = matcher.name, matcher.value
        self._wanted = matcher.op in ("=", "=~")
        self._pattern = re.compile(matcher.value, re.DOTALL) if matcher.op in ("=~", "!~") else None

    def __call__(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self._name, "")
        same = self._pattern.fullmatch(value) is not None if self._pattern else value == self._value
        return same == self._wanted


def encode_labels(labels: Labels) -> str:
    """Labels as they are stored."""
    return json.dumps(labels, ensure_ascii=False, separators=(",", ":"))


def decode_labels(text: str) -> Labels:
    """Labels as `encode_labels` wrote them."""
    return tuple((name, value) for name, value in json.loads(text))
