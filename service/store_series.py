"""The series that the store knows: their numbers, and which of them satisfy a selector."""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service import samples
from service.model import Series
from service.store_index import LabelIndex
from slo.model import Labels, Matcher, Selector

Ids = NDArray[np.int64]
MOST_SELECTIONS = 5_000
MOST_FULL = 100_000
"""Series whose labels are kept ready for queries."""
GROUP_SERIES = 200
"""Series of one group, which are sealed together."""
_APART = ("le", "quantile")
"""Labels whose values are sealed apart: their series run alike."""


class Directory:
    """Every known series by its number; safe to read from any thread, changed by the writing thread alone."""

    def __init__(self) -> None:
        self.next_id = 1
        self.generation = 0
        """Grows with every change, so that what was derived from it can be kept."""
        self.epoch = 0
        """Grows when series are forgotten: numbers that were looked up before may be of nothing now."""
        self.groups = np.zeros(1024, np.int64)
        """The group of each series, by its number."""
        self._group_of: dict[tuple[str, ...], tuple[int, int]] = {}
        self._next_group = 1
        self._index = LabelIndex()
        self._full: dict[int, Mapping[str, str]] = {}
        self._matched: dict[tuple[samples.Matcher, ...], tuple[int, Ids]] = {}
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

    def ids(self) -> Ids:
        """The numbers of all series, ascending."""
        return np.array(sorted(self.numbers()), np.int64)

    def named(self, numbers: Iterable[int]) -> list[tuple[int, Series | None]]:
        """These numbers with their series; None where there is none any more."""
        with self._lock:
            return [(number, self._series.get(number)) for number in numbers]

    def full_labels(self, ids: Ids) -> list[Mapping[str, str]]:
        """The labels of each of these series, with the metric's name under `__name__`."""
        with self._lock:
            if len(self._full) > MOST_FULL:
                self._full.clear()
            return [self._full.get(number) or self._fill(number) for number in ids.tolist()]

    def items(self) -> list[tuple[int, Series]]:
        """All series with their numbers."""
        with self._lock:
            return list(self._series.items())

    def metrics(self) -> list[str]:
        """Every metric name that has series."""
        with self._lock:
            return [name for name, members in self._by_metric.items() if members]

    def knows(self, metric: str) -> bool:
        """True where a metric has series."""
        return bool(self._by_metric.get(metric))

    def labels_of(self, metric: str) -> dict[int, Mapping[str, str]]:
        """The labels of all series of a metric, by number."""
        with self._lock:
            return dict(self._by_metric.get(metric, {}))

    def changed(self, metric: str) -> int:
        """Grows where series of a metric come or go."""
        with self._lock:
            return self._changed.get(metric, 0)

    def clear(self) -> None:
        """Forget all series."""
        self.remove(self.numbers())

    def add(self, found: Iterable[tuple[int, Series, int]]) -> None:
        """Take series with their numbers and groups."""
        with self._lock:
            for number, series, group in found:
                self._ids[series] = number
                self._series[number] = series
                self._by_metric[series.metric][number] = dict(series.labels)
                self._index.add(number, series.metric, series.labels)
                self._touch(series.metric)
                self._grouped(number, series, group)
                self.next_id = max(self.next_id, number + 1)

    def remove(self, numbers: Sequence[int]) -> None:
        """Forget series."""
        if not numbers:
            return
        with self._lock:
            self.epoch += 1
            for number in numbers:
                series = self._series.pop(number)
                del self._ids[series]
                del self._by_metric[series.metric][number]
                if not self._by_metric[series.metric]:
                    del self._by_metric[series.metric]
                self._full.pop(number, None)
                self._touch(series.metric)
            if self._index.remove(numbers):
                self._index = LabelIndex()
                for number, series in self._series.items():
                    self._index.add(number, series.metric, series.labels)

    def grouped(self, found: Sequence[tuple[int, Series]]) -> list[int]:
        """Which groups new series get: that of their metric that is not full yet, or a new one."""
        last, following, groups = dict(self._group_of), self._next_group, []
        for _, series in found:
            key = _group_key(series)
            group, members = last.get(key, (0, GROUP_SERIES))
            if members >= GROUP_SERIES:
                group, members, following = following, 0, following + 1
            last[key] = group, members + 1
            groups.append(group)
        return groups

    def match(self, matchers: Sequence[samples.Matcher]) -> Ids:
        """Numbers of the series that satisfy all matchers, ascending; raises SelectFault."""
        key = tuple(matchers)
        metric = next((it.value for it in key if it.name == samples.NAME and it.op == "="), None)
        with self._lock:
            changed = self.generation if metric is None else self._changed.get(metric, 0)
            kept = self._matched.get(key)
            if kept is not None and kept[0] == changed:
                return kept[1]
            ids = self._index.select(key)
            if len(self._matched) >= MOST_SELECTIONS:
                self._matched.clear()
            self._matched[key] = changed, ids
            return ids

    def label_names(self) -> list[str]:
        """Every label name that a series has, `__name__` among them."""
        with self._lock:
            return self._index.names()

    def label_values(self, name: str, ids: Ids | None = None) -> list[str]:
        """Every value of a label, of all series or of these alone."""
        with self._lock:
            return self._index.values(name, ids)

    def of_metrics(self, numbers: Ids, metrics: Iterable[str]) -> NDArray[np.bool_]:
        """Which of these series are of one of these metrics."""
        codes = self._index.metric_codes(metrics)
        return np.isin(self._index.metric_code_of(numbers), codes)

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

    def _fill(self, number: int) -> Mapping[str, str]:
        series = self._series.get(number)
        found: Mapping[str, str] = {samples.NAME: series.metric, **dict(series.labels)} if series else {}
        self._full[number] = found
        return found

    def _grouped(self, number: int, series: Series, group: int) -> None:
        if number >= len(self.groups):
            more = max(len(self.groups), number + 1 - len(self.groups))
            self.groups = np.concatenate([self.groups, np.zeros(more, np.int64)])
        self.groups[number] = group
        key = _group_key(series)
        last, members = self._group_of.get(key, (group, 0))
        if group >= last:
            self._group_of[key] = group, members + 1 if group == last else 1
        self._next_group = max(self._next_group, group + 1)

    def _touch(self, metric: str) -> None:
        self.generation += 1
        self._changed[metric] = self.generation


def _group_key(series: Series) -> tuple[str, ...]:
    for name, _ in series.labels:
        if name in _APART:
            return (series.metric, *(value for name, value in series.labels if name in _APART))
    return (series.metric,)


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


def decode_many(texts: Sequence[str]) -> list[Labels]:
    """The same of many at once."""
    return [tuple(map(tuple, its)) for its in json.loads(f"[{','.join(texts)}]")]
