"""Lines as SVG paths, drawn on the server: sparklines, what a reader without JavaScript sees, and what is printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Values = Sequence[float | None]


class Spark(NamedTuple):
    """A small line: `line` and `area` are path data, `base_y` the height of its reference, None where it is out."""

    width: int
    height: int
    line: str
    area: str
    base_y: float | None


def spark(values: Values, width: int, height: int, *, top: float | None = None, base: float | None = None) -> Spark:
    """A sparkline from 0 to `top` (or its maximum); a gap stays a gap, and no value at all gives no line."""
    known = [value for value in values if value is not None]
    high = top if top is not None else max([*known, base or 0.0, 1e-9])
    runs = [[(round(x), y) for x, y in run] for run in _runs(values, width, height - 3, high, 2)]
    area = "".join(f"{_path(run)}L{run[-1][0]} {height}L{run[0][0]} {height}z" for run in runs)
    base_y = None if base is None or base > high else round(2 + (height - 3) * (1 - base / high), 1)
    return Spark(width, height, "".join(map(_path, runs)), area, base_y)


def line(values: Values, width: int, height: int, low: float, high: float) -> str:
    """Path data of a chart's line in a box of `width` x `height`, values outside of `low` to `high` cut off."""
    shifted = [None if value is None else min(max(value, low), high) - low for value in values]
    return "".join(map(_path, _runs(shifted, width, height, (high - low) or 1.0, 0)))


def timed(points: Sequence[tuple[float, float | None]], width: int, height: int, low: float, high: float) -> str:
    """The same of points at any places from 0 to 1; a gap stays a gap."""
    runs: list[list[tuple[float, float]]] = [[]]
    for place, value in points:
        if value is None:
            runs.append([])
            continue
        share = (min(max(value, low), high) - low) / ((high - low) or 1.0)
        runs[-1].append((round(width * place, 1), round(height * (1 - share), 1)))
    return "".join(_path(run if len(run) > 1 else [run[0], (run[0][0] + 1, run[0][1])]) for run in runs if run)


def _runs(values: Values, width: int, height: int, high: float, pad: int) -> list[list[tuple[float, float]]]:
    """Points of each unbroken stretch; one that stands alone becomes a short dash."""
    step = width / max(len(values) - 1, 1)
    runs: list[list[tuple[float, float]]] = []
    open_run = False
    for index, value in enumerate(values):
        if value is None:
            open_run = False
            continue
        point = (round(index * step, 1), round(pad + height * (1 - min(value, high) / high), 1))
        if open_run:
            runs[-1].append(point)
        else:
            runs.append([point])
        open_run = True
    return [run if len(run) > 1 else [run[0], (round(run[0][0] + 1, 1), run[0][1])] for run in runs]


def _path(run: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in run)
