"""Functions of the calendar, in UTC; without an argument they speak of the step's own moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from service.promql.frame import Floats, Frame, lone, nameless
from service.promql.tree import Call

if TYPE_CHECKING:
    from service.promql.evaluate import Evaluator

_LONGEST: Final = 1e13
"""Seconds beyond which no calendar is asked for: some 300,000 years."""


def _part(of: Callable[[Any], Any]) -> Callable[[Evaluator, Call], Frame]:
    def function(ev: Evaluator, call: Call) -> Frame:
        if call.args:
            frame = ev.frame(call.args[0])
            return nameless(frame, _of_seconds(of, frame.values))
        return lone({}, _of_seconds(of, ev.grid.times / 1000))

    return function


def _of_seconds(of: Callable[[Any], Any], seconds: Floats) -> Floats:
    known = np.abs(seconds) < _LONGEST
    moments = np.where(known, np.trunc(np.where(known, seconds, 0.0)), 0.0).astype("datetime64[s]")
    return np.where(known, of(moments).astype(np.float64), np.nan)


def _days(moments: Any) -> Any:
    return moments.astype("datetime64[D]")


def _since(moments: Any, unit: str, whole: str) -> Any:
    """How many of `unit` since the last start of `whole`."""
    return (
        (moments.astype(f"datetime64[{unit}]") - moments.astype(f"datetime64[{whole}]"))
        .astype(f"timedelta64[{unit}]")
        .astype(np.int64)
    )


def _month_days(moments: Any) -> Any:
    month = moments.astype("datetime64[M]")
    return ((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64)


CALENDAR: Final[dict[str, Callable[[Evaluator, Call], Frame]]] = {
    "minute": _part(lambda it: _since(it, "m", "h")),
    "hour": _part(lambda it: _since(it, "h", "D")),
    "day_of_week": _part(lambda it: (_days(it).astype(np.int64) + 4) % 7),
    "day_of_month": _part(lambda it: _since(it, "D", "M") + 1),
    "day_of_year": _part(lambda it: _since(it, "D", "Y") + 1),
    "days_in_month": _part(_month_days),
    "month": _part(lambda it: _since(it, "M", "Y") + 1),
    "year": _part(lambda it: it.astype("datetime64[Y]").astype(np.int64) + 1970),
}
