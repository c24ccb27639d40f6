"""Alerts and incidents that judgements over history would have opened and resolved, as the alerts' state machine does.

An incident gathers the alerts of one road: it opens with the first, and is resolved when all are, each of which must
have been known to be gone for the hold. What can't be known changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from slo.backtest_rows import Fired, Rows
from slo.stepped_history import Bools, Ints

Road = Literal["page", "ticket"]
PROJECTION = "projection"
"""What the projection page is called among rows."""
NO_DATA = "without data"
"""What stands beside a condition's name where it has no burn rate."""


class Alert(NamedTuple):
    """A page or a ticket that would have gone out, and when it would have been resolved; None where it goes on."""

    road: Road
    opened_ms: int
    resolved_ms: int | None
    rows: tuple[str, ...]
    """The rows that fired when it opened."""


class _Told(NamedTuple):
    """One alert at each moment: whether it fires, and whether that is known."""

    firing: Bools
    known: Bools


def alerts_of(found: Rows, hold_ms: int, no_page: bool = False) -> Iterator[Alert]:
    """The incidents of both roads; with `no_page` what would page is a ticket, for a rule of its own pages."""
    size = len(found.moments)
    table = [it for it in found.rows if it.row.op is None]
    pages = [it for it in table if it.row.road == "page"]
    paging = _any([it.fired & ~it.guarded for it in pages if not no_page], size)
    tickets = [it.fired & (it.guarded | (no_page or it.row.road == "ticket")) for it in table]
    page = [_Told(paging, _all([it.known for it in pages], size))]
    ticket = [_Told(_any(tickets, size), _all([it.known for it in table], size))]
    (ticket if no_page else page).append(_Told(found.projected, found.projection_known))
    for it in found.rows:
        _add_condition(it, page, ticket, no_page)
    roads: tuple[tuple[Road, list[_Told]], ...] = (("page", page), ("ticket", ticket))
    for road, told in roads:
        for opened, resolved in _together([_stretches(it, found.moments, hold_ms) for it in told]):
            until = None if resolved is None else int(found.moments[resolved])
            yield Alert(road, int(found.moments[opened]), until, _named(found, road, opened, no_page))


def _add_condition(it: Fired, page: list[_Told], ticket: list[_Told], no_page: bool) -> None:
    """The alerts of a condition, each by itself: that it holds, on either road, and that it has no data."""
    if it.row.op is None:
        return
    pages = it.row.road == "page" and not no_page
    if it.row.telling.breaching:
        if it.row.road == "page":
            page.append(_Told(it.fired & ~it.guarded & pages, it.known))
        ticket.append(_Told(it.fired & (it.guarded | (not pages)), it.known))
    if it.row.telling.no_data:
        (page if pages else ticket).append(_Told(it.missing, np.ones(len(it.missing), np.bool_)))


def _any(found: Sequence[Bools], size: int) -> Bools:
    return np.asarray(np.logical_or.reduce([np.zeros(size, np.bool_), *found]), np.bool_)


def _all(found: Sequence[Bools], size: int) -> Bools:
    """True where all are; of none nothing is known."""
    return np.asarray(np.logical_and.reduce([np.full(size, bool(found)), *found]), np.bool_)


def _stretches(told: _Told, moments: Ints, hold_ms: int) -> Iterator[tuple[int, int | None]]:
    """(place where the alert begins to fire, place where it is resolved) of each of its stretches."""
    if not told.firing.any():
        return
    state = np.where(told.firing, 2, np.where(told.known, 1, 0))
    begins = np.flatnonzero(np.diff(state, prepend=-1))
    ends = np.append(begins[1:], len(state))
    opened = -1
    for begin, end, now in zip(begins.tolist(), ends.tolist(), state[begins].tolist(), strict=True):
        if now == 2:
            opened = begin if opened < 0 else opened
        elif now == 1 and opened >= 0:
            at = int(np.searchsorted(moments, moments[begin] + hold_ms))
            if at < end:
                yield opened, at
                opened = -1
    if opened >= 0:
        yield opened, None


def _together(found: Sequence[Iterator[tuple[int, int | None]]]) -> Iterator[tuple[int, int | None]]:
    """Stretches of several alerts as incidents: those that touch are one."""
    opened, resolved = -1, -1
    for begin, end in sorted((it for stretches in found for it in stretches), key=lambda it: it[0]):
        until = 2**61 if end is None else end
        if opened >= 0 and begin <= resolved:
            resolved = max(resolved, until)
            continue
        if opened >= 0:
            yield opened, resolved
        opened, resolved = begin, until
    if opened >= 0:
        yield opened, None if resolved == 2**61 else resolved


def _named(found: Rows, road: Road, at: int, no_page: bool) -> tuple[str, ...]:
    def mine(it: Fired) -> bool:
        pages = it.row.road == "page" and not no_page and not it.guarded[at]
        told = it.row.op is None or it.row.telling.breaching
        return bool(told and it.fired[at]) and pages == (road == "page")

    def silent(it: Fired) -> bool:
        pages = it.row.road == "page" and not no_page
        return it.row.op is not None and it.row.telling.no_data and bool(it.missing[at]) and pages == (road == "page")

    names = [it.row.name for it in found.rows if mine(it)]
    names += [f"{it.row.name} {NO_DATA}" for it in found.rows if silent(it)]
    projection = found.projected[at] and (road == "ticket") == no_page
    return (*names, *([PROJECTION] if projection else []))
