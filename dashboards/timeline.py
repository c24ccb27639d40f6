"""Time as pictures drawn on the server: a strip of states, and a budget that burns down; gaps are hatched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final, Literal, NamedTuple

from dashboards.text import coarse, number, stamp
from slo.burndown import BurnDownPoint
from slo.history import Run
from slo.text import percent

CELLS: Final = 288
"""Cells of a strip; each shows the gravest state in it."""
DAY_MS: Final = 86_400_000
_WORDS: Final[Mapping[str, str]] = {"no-traffic": "no traffic", "absent": "not judged"}
_GRAVE: Final = ("exhausted", "burning", "unmeasured", "absent", "learning", "no-traffic", "ok")
"""The order in which states speak for a cell: what was not measured is never shown as ok."""


class Cell(NamedTuple):
    """A stretch of a strip, in percent of its width."""

    state: str
    x: float
    width: float
    title: str


class Share(NamedTuple):
    """How long a state stood."""

    state: str
    word: str
    lasted: str
    percent: str


class Strip(NamedTuple):
    """The states of a period."""

    cells: tuple[Cell, ...]
    shares: tuple[Share, ...]
    label: str


class Tick(NamedTuple):
    """A label on an axis: `at` in percent of the width, or in pixels of the height."""

    at: float
    text: str
    anchor: Literal["start", "middle", "end"] = "middle"


class Plot(NamedTuple):
    """A line in a box of `width` x `height` units that is stretched to its place."""

    width: int
    height: int
    line: str
    area: str
    gaps: tuple[tuple[float, float], ...]
    """(x, width) in percent of what was not measured."""
    levels: tuple[Tick, ...]
    ticks: tuple[Tick, ...]
    zero: float | None
    """The height at which the budget is gone, None where that is the bottom."""
    label: str


def strip(runs: Sequence[Run], since_ms: int, until_ms: int, cells: int = CELLS) -> Strip:
    """The strip of a period, with how long each state stood."""
    whole = _filled(runs, since_ms, until_ms)
    width = (until_ms - since_ms) / cells
    states: list[str] = []
    at = 0
    for index in range(cells):
        begin, end = since_ms + index * width, since_ms + (index + 1) * width
        while whole[at].until_ms <= begin and at + 1 < len(whole):
            at += 1
        inside, next_ = [], at
        while next_ < len(whole) and whole[next_].since_ms < end:
            inside.append(whole[next_].state)
            next_ += 1
        states.append(min(inside, key=_GRAVE.index, default="absent"))
    shares = _shares(whole, until_ms - since_ms)
    said = ", ".join(f"{it.word} {it.percent}" for it in shares)
    return Strip(tuple(_merged(states, since_ms, width)), shares, f"States of the period: {said}")


def _filled(runs: Sequence[Run], since_ms: int, until_ms: int) -> list[Run]:
    """The whole period as runs, with `absent` where nothing was judged."""
    found, at = [], since_ms
    for it in runs:
        begin, end = max(it.since_ms, at), min(it.until_ms, until_ms)
        if begin >= end:
            continue
        if begin > at:
            found.append(Run("absent", at, begin))
        found.append(Run(it.state if it.state in _GRAVE else "absent", begin, end))
        at = end
    return [*found, Run("absent", at, until_ms)] if at < until_ms or not found else found


def _merged(states: Sequence[str], since_ms: int, width_ms: float) -> list[Cell]:
    found: list[tuple[str, int, int]] = []
    for index, state in enumerate(states):
        if found and found[-1][0] == state:
            found[-1] = (state, found[-1][1], index + 1)
        else:
            found.append((state, index, index + 1))
    scale = 100 / len(states)
    return [
        Cell(
            state,
            round(begin * scale, 3),
            round((end - begin) * scale, 3),
            _title(state, begin, end, since_ms, width_ms),
        )
        for state, begin, end in found
    ]


def _title(state: str, begin: int, end: int, since_ms: int, width_ms: float) -> str:
    since, until = round(since_ms + begin * width_ms), round(since_ms + end * width_ms)
    return f"{word(state)}: {stamp(since, day=True)} to {stamp(until, day=True)} UTC"


def word(state: str) -> str:
    """A stored state as people read it."""
    return _WORDS.get(state, state)


def _shares(runs: Sequence[Run], whole_ms: int) -> tuple[Share, ...]:
    lasted: dict[str, int] = {}
    for it in runs:
        lasted[it.state] = lasted.get(it.state, 0) + it.until_ms - it.since_ms
    return tuple(
        Share(state, word(state), coarse(lasted[state]), percent(Fraction(lasted[state], whole_ms), 1))
        for state in reversed(_GRAVE)
        if state in lasted
    )


WIDTH: Final = 1000
HEIGHT: Final = 200
LEAST: Final = Fraction(-1)
"""A budget that is overspent further than this is cut off."""


def burn_down_plot(points: Sequence[BurnDownPoint], since_ms: int, until_ms: int, zone_note: str = "UTC") -> Plot:
    """What was left of a budget at the end of each step; at its lowest −100 %."""
    known = [it.remaining for it in points if it.remaining is not None]
    low = max(LEAST, min((Fraction(0), *known)))
    low = LEAST if low < Fraction(-1, 2) else Fraction(-1, 2) if low < 0 else Fraction(0)
    xs = [(it.at_ms - since_ms) / (until_ms - since_ms) * 100 for it in points]
    values = [None if it.remaining is None else float(max(low, min(it.remaining, Fraction(1)))) for it in points]
    line, area = _paths(xs, values, float(low))
    return Plot(
        WIDTH, HEIGHT, line, area, _gaps(points, since_ms, until_ms), _levels(low), time_ticks(since_ms, until_ms),
        None if low == 0 else _y(0.0, float(low)), f"Budget left, times in {zone_note}",
    )  # fmt: skip


def _y(value: float, low: float) -> float:
    return round(HEIGHT * (1 - (value - low) / (1 - low)), 1)


def _paths(xs: Sequence[float], values: Sequence[float | None], low: float) -> tuple[str, str]:
    """Line and area, from the whole budget on; a step that was not measured breaks them, its end is told again."""
    runs: list[list[tuple[float, float]]] = [[(0.0, _y(1.0, low))]]
    for before, x, value in zip([0.0, *xs], xs, values, strict=False):
        if value is None:
            runs.append([])
            continue
        if not runs[-1]:
            runs[-1].append((round(before * WIDTH / 100, 1), _y(value, low)))
        runs[-1].append((round(x * WIDTH / 100, 1), _y(value, low)))
    base = _y(0.0, low)
    runs = [run for run in runs if len(run) > 1]
    line = "".join("M" + "L".join(f"{x} {y}" for x, y in run) for run in runs)
    area = "".join(
        "M" + "L".join(f"{x} {y}" for x, y in run) + f"L{run[-1][0]} {base}L{run[0][0]} {base}z" for run in runs
    )
    return line, area


def _gaps(points: Sequence[BurnDownPoint], since_ms: int, until_ms: int) -> tuple[tuple[float, float], ...]:
    """Steps without a point, and the time before the first."""
    found: list[tuple[float, float]] = []
    before = since_ms
    for it in points:
        if it.remaining is None:
            x, width = _percent(before, since_ms, until_ms), _percent(it.at_ms, before, before + until_ms - since_ms)
            if found and abs(found[-1][0] + found[-1][1] - x) < 1e-6:
                found[-1] = (found[-1][0], found[-1][1] + width)
            else:
                found.append((x, width))
        before = it.at_ms
    return tuple((round(x, 3), round(width, 3)) for x, width in found)


def _percent(at_ms: int, since_ms: int, until_ms: int) -> float:
    return (at_ms - since_ms) / (until_ms - since_ms) * 100


def _levels(low: Fraction) -> tuple[Tick, ...]:
    steps = [Fraction(1), Fraction(1, 2), Fraction(0), *([Fraction(-1, 2)] if low < 0 else [])]
    steps += [LEAST] if low == LEAST else []
    return tuple(Tick(_y(float(it), float(low)), f"{number(it * 100, 0)} %") for it in steps)


def time_ticks(since_ms: int, until_ms: int, most: int = 7) -> tuple[Tick, ...]:
    """Days, or hours of a period shorter than three days, at whole ones; times are UTC."""
    span = until_ms - since_ms
    units = [3_600_000 * it for it in (1, 2, 3, 6, 12)] + [DAY_MS * it for it in (1, 2, 5, 7, 10, 14, 30, 60, 90)]
    step = next((it for it in units if span / it <= most), units[-1])
    first = -(-since_ms // step) * step
    return tuple(
        Tick(round(at, 2), _tick_text(ms, step))
        for ms in range(first, until_ms + 1, step)
        if 4 <= (at := _percent(ms, since_ms, until_ms)) <= 96
    )


def _tick_text(at_ms: int, step_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{moment:%d %b}" if step_ms >= DAY_MS else f"{moment:%H:%M}"
