"""Panels that the browser draws: typed here, and as the JSON that a page, a range fetch and the live stream carry.

Times in this JSON are seconds. A column is named by its begin; null is a gap. `t` is implicit: start, step, n.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from dashboards import svg
from dashboards.marks import Level
from dashboards.model import Line
from dashboards.request import Window
from dashboards.text import amount, bytes_text, seconds_text, shown

Unit = Literal["%", "s", "bytes", "cores", "count"]
Json = dict[str, object]
CHART_WIDTH, CHART_HEIGHT = 600, 150
"""The box of a chart that is drawn on the server."""
MOST_BACK, STILL_NOW_MS = 2, 900_000
"""Columns, and time, before the last column that may tell what is now: that one is under way, and may be empty yet."""
SIGNIFICANT = 5
"""Digits of a value in JSON: more than a screen can show."""


class PanelLine(NamedTuple):
    """One line of a time series panel."""

    key: str
    label: str
    values: tuple[float | None, ...]


class Threshold(NamedTuple):
    """A level line with its words."""

    value: float
    label: str


class Moment(NamedTuple):
    """Something that happened, drawn as a mark on the time axis."""

    at_ms: int
    label: str
    level: Level


@dataclass(frozen=True)
class TimePanel:
    """Lines over time."""

    key: str
    title: str
    sub: str
    unit: Unit
    window: Window
    lines: tuple[PanelLine, ...]
    absent: str
    """What is said where there is no line: what is missing, and why."""
    thresholds: tuple[Threshold, ...] = ()
    moments: tuple[Moment, ...] = ()
    top: float | None = None
    """The scale's fixed upper end."""
    bottom: float | None = 0.0
    """The scale's lower end, None where it follows the data."""
    judged: bool = False
    """The last column is what is judged now: where it is a gap, nothing before it is."""
    kind: Literal["timeseries"] = "timeseries"

    def json(self) -> Json:
        """The panel in full."""
        return {
            "kind": self.kind,
            "unit": self.unit,
            "t": grid(self.window),
            "top": self.top,
            "bottom": self.bottom,
            "back": self.back,
            "absent": shown(self.absent),
            "series": [{"key": it.key, "label": shown(it.label), "v": short(it.values)} for it in self.lines],
            "thresholds": [{"v": it.value, "label": shown(it.label)} for it in self.thresholds],
            "marks": [{"t": it.at_ms / 1000, "label": shown(it.label), "level": it.level} for it in self.moments],
        }

    def columns(self) -> Json:
        """Its columns alone, for the live stream."""
        return {
            "t": grid(self.window),
            "keys": [it.key for it in self.lines],
            "v": [short(it.values) for it in self.lines],
        }

    @property
    def latest(self) -> list[tuple[str, str]]:
        """(label, last value in words) per line."""
        return [(it.label, show(last_known(it.values, self.back), self.unit)) for it in self.lines]

    @property
    def back(self) -> int:
        """How many columns before the last one may still tell what is now."""
        return 0 if self.judged else min(MOST_BACK, STILL_NOW_MS // self.window.step_ms)

    @property
    def paths(self) -> list[str]:
        """SVG path data per line, for readers without JavaScript and for print."""
        low, high = self.bounds
        return [svg.line(it.values, CHART_WIDTH, CHART_HEIGHT, low, high) for it in self.lines]

    @property
    def bounds(self) -> tuple[float, float]:
        """The lower and upper end of the scale."""
        known = [value for it in self.lines for value in it.values if value is not None]
        low = self.bottom if self.bottom is not None else min([*known, 0.0])
        high = self.top if self.top is not None else max([*known, *(it.value for it in self.thresholds)], default=1.0)
        return low, high if high > low else low + 1

    @property
    def ends(self) -> tuple[str, str]:
        """The words of the scale's lower and upper end."""
        low, high = self.bounds
        return show(low, self.unit), show(high, self.unit)


@dataclass(frozen=True)
class HeatPanel:
    """Counts by row and column; a None is a gap, drawn hollow."""

    key: str
    title: str
    sub: str
    unit: str
    window: Window
    lines: tuple[PanelLine, ...]
    absent: str
    kind: Literal["heatmap"] = "heatmap"

    def json(self) -> Json:
        """The panel in full."""
        return {
            "kind": self.kind,
            "unit": self.unit,
            "t": grid(self.window),
            "absent": shown(self.absent),
            "series": [{"key": it.key, "label": shown(it.label), "v": short(it.values)} for it in self.lines],
        }

    def columns(self) -> Json:
        """Its columns alone, for the live stream."""
        return {
            "t": grid(self.window),
            "keys": [it.key for it in self.lines],
            "v": [short(it.values) for it in self.lines],
        }

    @property
    def latest(self) -> list[tuple[str, str]]:
        """(label, sum in words) per row."""
        return [(it.label, _total(it.values)) for it in self.lines]


Panel = TimePanel | HeatPanel


def grid(window: Window) -> Json:
    """The columns of a window: begin of the first in seconds, step in seconds, how many."""
    return {"start": window.since_ms // 1000, "step": window.step_ms // 1000, "n": window.steps}


def short(values: Sequence[float | None]) -> list[float | None]:
    """Values with as many digits as a screen can show; what is not finite is a gap."""
    return [None if value is None or not math.isfinite(value) else _short(value) for value in values]


def _short(value: float) -> float:
    text = float(f"{value:.{SIGNIFICANT}g}")
    return int(text) if text.is_integer() and abs(text) < 2**53 else text


def panel_lines(lines: Sequence[Line], names: Mapping[str, str] | None = None) -> tuple[PanelLine, ...]:
    """Lines named by the values of their key; `names` puts better words for a label in their place."""
    return tuple(
        PanelLine(name, (names or {}).get(name, name), line.values) for line in lines for name in [named(line)]
    )


def named(line: Line) -> str:
    """The values of a line's key as one text."""
    return " ".join(value for _, value in line.key if value) or "all"


def last_known(values: Sequence[float | None], back: int = MOST_BACK) -> float | None:
    """The last value, looking at most so many columns back: older is not now."""
    return next((value for value in reversed(values[-1 - back :]) if value is not None), None)


def show(value: float | None, unit: Unit) -> str:
    """A value with its unit as the charts say it."""
    if value is None:
        return "no data"
    match unit:
        case "%":
            return f"{amount(value)} %"
        case "s":
            return seconds_text(value)
        case "bytes":
            return bytes_text(value)
        case "cores":
            return f"{amount(value, 3)} cores"
        case "count":
            return amount(value)


def _total(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return amount(sum(known)) if known else "no data"
