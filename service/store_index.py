"""The labels of all series as columns of codes: which series satisfy matchers."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import re2
from numpy.typing import NDArray

from service.errors import SelectFault
from service.flat import Ints
from service.samples import NAME, Matcher

REGEX_BYTES = 8 << 20
"""Memory of one compiled regular expression."""


class _Column:
    """One label name: who has it, and with which value, by code."""

    def __init__(self) -> None:
        self.series = array("q")
        self.codes = array("i")
        self.values: list[str] = []
        self.code_of: dict[str, int] = {}
        self._taken: tuple[Ints, NDArray[np.int32]] | None = None

    def add(self, number: int, value: str) -> int:
        """The value's code."""
        code = self.code_of.get(value)
        if code is None:
            code = self.code_of[value] = len(self.values)
            self.values.append(value)
        self.series.append(number)
        self.codes.append(code)
        return code

    def arrays(self) -> tuple[Ints, NDArray[np.int32]]:
        """Series and codes as they are now."""
        if self._taken is None or len(self._taken[0]) != len(self.series):
            self._taken = np.array(self.series, np.int64), np.array(self.codes, np.int32)
        return self._taken


class Told(NamedTuple):
    """What the index says to one matcher: these series have a value of that name that is looked for (or shunned)."""

    members: NDArray[np.bool_]
    wanted: bool


class LabelIndex:
    """Not safe by itself: the directory that owns it holds its lock meanwhile."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}
        self._alive = np.zeros(1024, np.bool_)
        self._metric = np.full(1024, -1, np.int64)
        self._dead = 0

    def add(self, number: int, metric: str, labels: Iterable[tuple[str, str]]) -> None:
        """Take a series."""
        if number >= len(self._alive):
            more = max(len(self._alive), number + 1 - len(self._alive))
            self._alive = np.concatenate([self._alive, np.zeros(more, np.bool_)])
            self._metric = np.concatenate([self._metric, np.full(more, -1, np.int64)])
        self._alive[number] = True
        self._metric[number] = self._column(NAME).add(number, metric)
        for name, value in labels:
            if value:
                self._column(name).add(number, value)

    def remove(self, numbers: Sequence[int]) -> bool:
        """Forget series; True where so many are gone that the index is to be made anew."""
        self._alive[list(numbers)] = False
        self._dead += len(numbers)
        return self._dead > 1000 and self._dead > int(self._alive.sum())

    def metric_codes(self, metrics: Iterable[str]) -> list[int]:
        """The codes of those metric names that are known."""
        column = self._column(NAME)
        return [column.code_of[it] for it in metrics if it in column.code_of]

    def metric_code_of(self, numbers: Ints) -> Ints:
        """The code of each series' metric name; -1 for a number that is not taken yet."""
        found = np.full(len(numbers), -1, np.int64)
        here = np.flatnonzero(numbers < len(self._metric))
        found[here] = self._metric[numbers[here]]
        return found

    def names(self) -> list[str]:
        """Every label name that a living series has."""
        return sorted(name for name, column in self._columns.items() if self._alive[column.arrays()[0]].any())

    def values(self, name: str, ids: Ints | None = None) -> list[str]:
        """Every value of a label name, of all series or of these alone."""
        column = self._columns.get(name)
        if column is None:
            return []
        series, codes = column.arrays()
        mine = self._alive[series] if ids is None else self._alive[series] & self._mask(ids)[series]
        return sorted(column.values[code] for code in np.unique(codes[mine]).tolist())

    def select(self, matchers: Sequence[Matcher]) -> Ints:
        """Numbers of the series that satisfy all matchers, ascending; raises SelectFault."""
        left = self._alive.copy()
        for matcher in matchers:
            told = self._told(matcher)
            left &= told.members if told.wanted else ~told.members
        return np.flatnonzero(left)

    def _told(self, matcher: Matcher) -> Told:
        """Who is looked for; where the empty text satisfies, who is not."""
        column = self._columns.get(matcher.name)
        accepts = _acceptor(matcher)
        for_absent = accepts("")
        members = np.zeros(len(self._alive), np.bool_)
        if column is not None:
            series, codes = column.arrays()
            if matcher.op == "=" and not for_absent:
                hits = codes == column.code_of.get(matcher.value, -1)
            else:
                good = np.array([accepts(value) != for_absent for value in column.values], np.bool_)
                hits = good[codes]
            members[series[hits]] = True
        return Told(members, not for_absent)

    def _mask(self, ids: Ints) -> NDArray[np.bool_]:
        found = np.zeros(len(self._alive), np.bool_)
        found[ids] = True
        return found

    def _column(self, name: str) -> _Column:
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = _Column()
        return column


class _acceptor:  # noqa: N801 - used as a function
    """Whether a value satisfies a matcher; a label that is absent is the empty text."""

    def __init__(self, matcher: Matcher) -> None:
        self._value, self._wanted = matcher.value, matcher.op in ("=", "=~")
        self._pattern = compiled(matcher.value) if matcher.op in ("=~", "!~") else None

    def __call__(self, value: str) -> bool:
        same = self._pattern.fullmatch(value) is not None if self._pattern else value == self._value
        return bool(same) == self._wanted


def compiled(pattern: str) -> re2._Regexp:
    """An anchored regular expression whose dot matches line ends too, in bounded memory; raises SelectFault."""
    options = re2.Options()
    options.max_mem = REGEX_BYTES
    options.log_errors = False
    options.dot_nl = True
    try:
        return re2.compile(pattern, options)
    except re2.error as fault:
        shown = pattern if len(pattern) <= 100 else pattern[:100] + "…"
        raise SelectFault(f"{shown!r} is no regular expression of RE2's syntax: {_text(fault)}") from fault


def _text(fault: Exception) -> str:
    reason = fault.args[0] if fault.args else ""
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


def as_mapping(metric: str, labels: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Labels with the metric's name among them."""
    return {NAME: metric, **dict(labels)}
