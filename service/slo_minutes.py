"""Minutes of node-disk and the like over history: what each was worth, so that any bound can be tried at once."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from service.flat import Flat, Floats, Ints
from service.increments import Rules
from service.store_series import Directory
from service.store_slices import MINUTE_MS, name_of
from service.store_sums import sums
from service.store_view import Moment
from slo.model import Labels, MinuteSlices, Selector
from slo.stepped_history import Bools, Whole

_NEAR = 1e-9


@dataclass(frozen=True)
class Worth:
    """What pairs of series were worth in minutes: `above / below`, one element each."""

    minute: Ints
    """Which minute of those that were read."""
    above: Whole | Floats
    below: Whole | Floats
    complement: bool

    def bad(self, bound: Fraction) -> Bools:
        """Which reach the bound: exactly where doubles are too near to tell."""
        share = np.asarray(self.above, np.float64) / np.asarray(self.below, np.float64)
        share = 1 - share if self.complement else share
        found = share >= float(bound)
        for at in np.flatnonzero(np.abs(share - float(bound)) <= _NEAR).tolist():
            exact = Fraction(self.above[at]) / Fraction(self.below[at])
            found[at] = (1 - exact if self.complement else exact) >= bound
        return np.asarray(found, np.bool_)


def worth(
    indicator: MinuteSlices, directory: Directory, moment: Moment, rules: Rules, since_ms: int, until_ms: int
) -> Worth:
    """What the minutes of `(since, until]` were worth, as far as single samples are kept; both are whole minutes."""
    if indicator.kind == "gauge":
        return _by_gauge(indicator, directory, moment, since_ms, until_ms)
    edges = range(since_ms, until_ms + 1, MINUTE_MS)
    parts = [directory.select(indicator.numerator), directory.select(indicator.denominator)]
    above, below = (np.array(it, object) for it in sums(moment, parts, edges, rules))
    busy = np.flatnonzero(below > 0)
    return Worth(busy, above[busy], below[busy], complement=False)


def _by_gauge(indicator: MinuteSlices, directory: Directory, moment: Moment, since_ms: int, until_ms: int) -> Worth:
    above = _last(directory, indicator.numerator, moment, since_ms, until_ms)
    below = _last(directory, indicator.denominator, moment, since_ms, until_ms)
    minutes, left, right = [], [], []
    for labels, (at, values) in above.items():
        if labels in below:
            both, mine, theirs = np.intersect1d(at, below[labels][0], assume_unique=True, return_indices=True)
            whole = below[labels][1][theirs]
            able = whole > 0
            minutes.append(both[able])
            left.append(values[mine][able])
            right.append(whole[able])
    nothing = np.zeros(0)
    places = (np.concatenate([np.zeros(0, np.int64), *minutes]) - since_ms) // MINUTE_MS - 1
    return Worth(places, np.concatenate([nothing, *left]), np.concatenate([nothing, *right]), indicator.complement)


def _last(
    directory: Directory, selector: Selector, moment: Moment, since_ms: int, until_ms: int
) -> dict[Labels, tuple[Ints, Floats]]:
    """The last number of each minute, by the series' labels: the minutes' ends, and the numbers."""
    found: Flat = moment.samples(directory.select(selector), since_ms, until_ms).finite()
    ends = -(-found.ts_ms // MINUTE_MS) * MINUTE_MS
    tail = np.ones(found.size, np.bool_)
    tail[:-1] = (found.series[1:] != found.series[:-1]) | (ends[1:] != ends[:-1])
    series, ends, values = found.series[tail], ends[tail], found.value[tail]
    begins = np.flatnonzero(np.diff(series, prepend=-1))
    stretches = zip(begins.tolist(), [*begins[1:].tolist(), len(series)], strict=True) if len(series) else ()
    return {
        directory.series(int(series[begin])).labels: (ends[begin:end], values[begin:end]) for begin, end in stretches
    }


def stored(indicator: MinuteSlices, moment: Moment, since_ms: int, until_ms: int) -> tuple[Ints, Bools]:
    """Minutes that were judged by this very bound and stored: their ends, and which were bad."""
    rows = moment.writing().execute(
        "SELECT minute_ms, bad FROM minute_slices WHERE indicator = ? AND minute_ms > ? AND minute_ms <= ?"
        " ORDER BY minute_ms",
        [name_of(indicator), since_ms, until_ms],
    )
    columns = rows.fetchnumpy()
    return np.asarray(columns["minute_ms"], np.int64), np.asarray(columns["bad"], np.bool_)
