"""What a page was asked for: range, scope and report, read from an address and written back into links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal, get_args
from urllib.parse import parse_qsl, urlencode

from dashboards.errors import RequestFault
from dashboards.model import Scope
from slo.report_spans import Span, day_begin_ms, span_named, zone_named

PageName = Literal["executive", "oncall", "debug", "slo", "reports"]
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
RANGES: dict[str, int] = {
    "15m": 15 * MINUTE_MS,
    "1h": HOUR_MS,
    "6h": 6 * HOUR_MS,
    "24h": DAY_MS,
    "7d": 7 * DAY_MS,
    "30d": 30 * DAY_MS,
}
DEFAULT_RANGE: dict[PageName, str] = {
    "executive": "30d",
    "oncall": "6h",
    "debug": "1h",
    "slo": "24h",
    "reports": "30d",
}
PATHS: dict[PageName, str] = {
    "executive": "/",
    "oncall": "/oncall",
    "debug": "/debug",
    "slo": "/slo",
    "reports": "/reports",
}
MIN_SPAN_MS = MINUTE_MS
MAX_SPAN_MS = 366 * DAY_MS
MAX_VALUE = 512
"""Longest value of a parameter that is taken, in characters."""
STEPS_SECONDS = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
"""Steps of graphs: whole parts of a minute, an hour or a day, so that columns stand still while time goes on."""


@dataclass(frozen=True)
class Window:
    """The grid of a graph: `(since, until]` in steps; both ends are multiples of the step."""

    since_ms: int
    until_ms: int
    step_ms: int

    @property
    def steps(self) -> int:
        """How many columns the grid has."""
        return (self.until_ms - self.since_ms) // self.step_ms

    @property
    def edges_ms(self) -> tuple[int, ...]:
        """The bounds of all columns, one more than there are columns."""
        return tuple(range(self.since_ms, self.until_ms + 1, self.step_ms))


@dataclass(frozen=True)
class PageRequest:
    """What an address asks for; hold it fixed while a page is drawn."""

    page: PageName
    range: str
    """A key of RANGES, `custom` where both ends are given, or `auto`: see `settled`."""
    from_ms: int | None = None
    to_ms: int | None = None
    scope: Scope = Scope()  # noqa: RUF009 - a NamedTuple is immutable
    slo: str | None = None
    """Objectives and reports: the objective's name."""
    where: str = ""
    """Objectives and reports: its further identity as `node=n1,registry=r`, in the order of its scope."""
    state: str = ""
    """Objectives: those in this state."""
    period: str = ""
    """Reports: the period's name, spelt out, where it has one."""
    zone: str = "UTC"
    """Reports: the time zone of the days."""
    contains: str = ""
    """Debug: text that log lines must hold."""

    @property
    def live(self) -> bool:
        """True where the range ends now."""
        return self.range != "custom"

    def span(self, now_ms: int) -> tuple[int, int]:
        """The asked time as (since, until)."""
        if self.from_ms is not None and self.to_ms is not None:
            return self.from_ms, self.to_ms
        return now_ms - RANGES.get(self.range, RANGES[DEFAULT_RANGE[self.page]]), now_ms

    def settled(self, first_sample_ms: int | None, now_ms: int) -> PageRequest:
        """This request with `auto` put into a range: the shortest that holds all history, at most the page's own."""
        if self.range != "auto":
            return self
        most = RANGES[DEFAULT_RANGE[self.page]]
        history = 0 if first_sample_ms is None else now_ms - first_sample_ms
        fitting = (name for name, span in RANGES.items() if span >= min(history, most))
        return replace(self, range=next(fitting))

    def window(self, now_ms: int, most: int, least_step_ms: int = 0) -> Window:
        """The grid for this range with at most about `most` columns; it ends with the column that is under way."""
        since, until = self.span(now_ms)
        wanted = max((until - since) / most, least_step_ms)
        step = next((it * 1000 for it in STEPS_SECONDS if it * 1000 >= wanted), STEPS_SECONDS[-1] * 1000)
        end = -(-until // step) * step
        return Window(max(0, since // step * step), end, step)

    def query(self, **changes: str | None) -> str:
        """The query string of this request, with parameters put in other places or, with None, left out."""
        given = {
            "range": None if self.range in ("custom", "auto") else self.range,
            "period": self.period,
            "from": None if self.from_ms is None or self.period else str(self.from_ms),
            "to": None if self.to_ms is None or self.period else str(self.to_ms),
            "zone": None if self.zone == "UTC" else self.zone,
            "state": self.state,
            **self.scope._asdict(),
            "slo": self.slo,
            "where": self.where,
            "contains": self.contains,
        }
        kept = {name: value for name, value in (given | changes).items() if value}
        return f"?{urlencode(kept)}" if kept else ""

    def link(self, page: PageName, **changes: str | None) -> str:
        """The address of a page with this request's range and scope, so that a drill-down keeps them."""
        other = replace(self, page=page, slo=None, where="", contains="", state="", period="", zone="UTC")
        return PATHS[page] + other.query(**changes)


def parse(page: PageName, given: Mapping[str, str], now_ms: int) -> PageRequest:
    """The request behind an address's parameters; unknown ones are ignored. Raises RequestFault.

    A report's form sends its objective as one parameter `objective`, itself a query string of slo, service and where.
    """
    if page == "reports" and given.get("objective"):
        given = {**given, **dict(parse_qsl(given["objective"][: 4 * MAX_VALUE]))}
    zone = _zone(given) if page == "reports" else "UTC"
    span = _span(given, zone, now_ms) if page == "reports" else None
    name, from_ms, to_ms = _range(given, page, zone, now_ms) if span is None else ("custom", *span[1:3])
    request = PageRequest(
        page=page,
        range=name,
        from_ms=from_ms,
        to_ms=to_ms,
        scope=Scope(*(_text(given, key) for key in ("service", "node", "container"))),
        slo=_text(given, "slo"),
        where=_text(given, "where") or "",
        state=(_text(given, "state") or "") if page == "slo" else "",
        period="" if span is None else span.name,
        zone=zone,
        contains=_text(given, "contains") or "",
    )
    since, until = request.span(now_ms)
    if since < 0:
        raise RequestFault("The period begins before 1970: choose a later one.")
    if not MIN_SPAN_MS <= until - since <= MAX_SPAN_MS:
        raise RequestFault("The period must end after it begins, be in the past, and last from a minute to a year.")
    return request


def _zone(given: Mapping[str, str]) -> str:
    try:
        return zone_named(given.get("zone") or "UTC")
    except ValueError as fault:
        raise RequestFault(f"{fault}.") from fault


def _span(given: Mapping[str, str], zone: str, now_ms: int) -> Span | None:
    """The period that is asked for by its name."""
    if not given.get("period"):
        return None
    try:
        return span_named(given["period"], zone, now_ms)
    except ValueError as fault:
        raise RequestFault(f"{fault}.") from fault


def _range(given: Mapping[str, str], page: PageName, zone: str, now_ms: int) -> tuple[str, int | None, int | None]:
    """The range's name, and its ends where it has fixed ones."""
    begin, end = given.get("from") or None, given.get("to") or None
    if page == "reports":
        begin, end = _day(begin, zone, after=False), _day(end, zone, after=True)
    custom = begin is not None and end is not None
    if (begin is None) != (end is None) or (given.get("range") == "custom" and not custom):
        raise RequestFault("A period needs both of its ends, the parameters from and to.")
    name = "custom" if custom else given.get("range") or "auto"
    if name not in (*RANGES, "auto", "custom"):
        raise RequestFault(f"There is no range {name[:40]!r}; the ranges are {', '.join(RANGES)}.")
    return name, _moment("from", begin) if custom else None, min(_moment("to", end), now_ms) if custom else None


def page_name(text: str) -> PageName:
    """The page of this name; raises RequestFault."""
    found = next((name for name in get_args(PageName) if name == text), None)
    if found is None:
        raise RequestFault(f"There is no page {text[:40]!r}.", 404)
    page: PageName = found
    return page


def _text(given: Mapping[str, str], key: str) -> str | None:
    value = given.get(key, "")
    if len(value) > MAX_VALUE:
        raise RequestFault(f"The parameter {key} is longer than {MAX_VALUE} characters.")
    return value or None


def _moment(key: str, text: str | None) -> int:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 15:
        raise RequestFault(f"The parameter {key} must be a time in milliseconds since 1970.")
    return int(text)


def _day(text: str | None, zone: str, *, after: bool) -> str | None:
    """A report's `2026-03-01` as milliseconds of its begin, or with `after` of its end; else as it is."""
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        return text or None
    try:
        return str(max(0, day_begin_ms(day + timedelta(days=1 if after else 0), zone)))
    except OverflowError as fault:
        raise RequestFault(f"There is no day after {day}.") from fault
