"""All functions by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from service.promql.calendar import CALENDAR
from service.promql.histogram import HISTOGRAM
from service.promql.info import info
from service.promql.over_time import OVER_TIME
from service.promql.relabel import RELABEL
from service.promql.tree import Call
from service.promql.values import VALUES

if TYPE_CHECKING:
    from service.promql.evaluate import Evaluator

FUNCTIONS: Final[dict[str, Callable[[Evaluator, Call], Any]]] = {
    **VALUES,
    **OVER_TIME,
    **RELABEL,
    **CALENDAR,
    **HISTOGRAM,
    "info": info,
}
