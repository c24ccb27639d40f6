"""Searching log lines and spans: newest first, day by day, within a time and a number.

There is no index of words: DuckDB goes through seven to thirty million lines a second (docs/benchmarks.md).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import duckdb

from service.errors import StoreFault
from service.store_db import Cursor, Database
from service.store_layout import Layout, read_layout
from service.store_schema import PERIOD_MS, table

MOST_SPANS: Final = 10_000
_MOST_LATE: Final = 2_000
_AGAIN_SECONDS: Final = 0.05
_DAY_MS: Final = PERIOD_MS["logs"]


class SearchFault(ValueError):
    """A search that can't be made as it is asked; the message says what to correct."""


class Place(NamedTuple):
    """Where in the order of all lines one stands: its time, and its row within its day."""

    at_ms: int
    row: int


@dataclass(frozen=True)
class LogSearch:
    """Which lines are wanted, of `(since, until]`; `before` is the place of the last one that was seen already."""

    since_ms: int
    until_ms: int
    service: str | None = None
    container: str | None = None
    node: str | None = None
    severities: Sequence[str] = ()
    text: str | None = None
    regex: str | None = None
    trace_id: str | None = None
    before: Place | None = None
    limit: int = 100


class Line(NamedTuple):
    """One line that was found."""

    place: Place
    node: str
    node_id: str
    service: str
    container: str | None
    stream: str
    body: str
    severity: str | None
    trace_id: str | None
    span_id: str | None


@dataclass(frozen=True)
class TraceSearch:
    """Which traces are wanted: those with a span like this that ended in `(since, until]`."""

    since_ms: int
    until_ms: int
    service: str | None = None
    name: str | None = None
    min_ms: int | None = None
    max_ms: int | None = None
    failed: bool | None = None
    limit: int = 20


class Trace(NamedTuple):
    """One trace as a whole."""

    trace_id: str
    root: str | None
    service: str
    start_ms: int
    end_ms: int
    spans: int
    failed: int


def search_logs(database: Database, asked: LogSearch, seconds: float) -> list[Line]:
    """At most `limit` lines, newest first; raises SearchFault, also where it takes longer than `seconds`."""
    where, parameters = _conditions(asked)
    found: list[Line] = []
    with _reading(database, seconds) as (cursor, layout):
        for day in reversed(layout.within("logs", asked.since_ms, asked.until_ms)):
            rows = cursor.execute(
                "SELECT at_ms, rowid AS place, node, node_id, service, container, stream, body, severity, trace_id, "  # noqa: S608
                f"span_id FROM {table('logs', day)} WHERE {where} ORDER BY at_ms DESC, place DESC LIMIT ?",
                [*parameters, asked.limit - len(found)],
            ).fetchall()
            found += [Line(Place(at_ms, row), *rest) for at_ms, row, *rest in rows]
            if len(found) >= asked.limit:
                break
    return found


def search_traces(database: Database, asked: TraceSearch, seconds: float) -> list[Trace]:
    """At most `limit` traces, the newest first; raises SearchFault."""
    where, parameters = _span_conditions(asked)
    with _reading(database, seconds) as (cursor, layout):
        spans = layout.source("spans", asked.since_ms, asked.until_ms, "end_ms")
        wanted = cursor.execute(
            f"SELECT trace_id FROM ({spans}) WHERE {where} GROUP BY trace_id "  # noqa: S608
            "ORDER BY max(end_ms) DESC, trace_id LIMIT ?",
            [*parameters, asked.limit],
        ).fetchall()
        around = layout.source("spans", asked.since_ms - _DAY_MS, asked.until_ms + _DAY_MS, "end_ms")
        rows = cursor.execute(
            "SELECT trace_id, min_by(name, start_ms) FILTER (parent_id IS NULL), min_by(service, start_ms), "  # noqa: S608
            f"min(start_ms) AS began, max(end_ms) AS ended, count(*), count(*) FILTER (NOT ok) FROM ({around}) "
            "WHERE trace_id IN (SELECT unnest(?::VARCHAR[])) GROUP BY trace_id ORDER BY ended DESC, trace_id",
            [[it for (it,) in wanted]],
        ).fetchall()
    return [Trace(*row) for row in rows]


def read_trace(database: Database, trace_id: str, seconds: float) -> list[dict[str, Any]]:
    """The spans of a trace in the order of their starts, at most MOST_SPANS; none where it is not known."""
    names = ("trace_id", "span_id", "parent_id", "name", "node", "node_id", "service", "start_ms", "end_ms", "ok")
    with _reading(database, seconds) as (cursor, layout):
        tables = [table("spans", day) for day in layout.periods["spans"]] or [table("spans", 0)]
        union = " UNION ALL ".join(f"SELECT * FROM {it} WHERE trace_id = $id" for it in tables)  # noqa: S608
        rows = cursor.execute(
            f"SELECT {', '.join(names)}, attributes FROM ({union}) ORDER BY start_ms, span_id LIMIT {MOST_SPANS}",  # noqa: S608
            {"id": trace_id},
        ).fetchall()
    return [{**dict(zip(names, row, strict=False)), "attributes": json.loads(row[-1])} for row in rows]


@contextmanager
def _reading(database: Database, seconds: float) -> Iterator[tuple[Cursor, Layout]]:
    """A reading that is broken off after its time."""
    with database.read(read_layout) as (cursor, layout):
        # the newest lines are found by the columns that are asked about, and only those are read whole
        cursor.execute(f"SET SESSION late_materialization_max_rows = {_MOST_LATE}")
        done = threading.Event()
        threading.Thread(target=_break_off, args=(cursor, done, seconds), name="search-limit", daemon=True).start()
        try:
            yield cursor, layout
        except duckdb.InterruptException as fault:
            said = f"the search took longer than {seconds:g} s: ask for less time, or name a service"
            raise SearchFault(said) from fault
        except duckdb.InvalidInputException as fault:
            raise SearchFault(f"the regular expression can't be used: {str(fault)[:200]}") from fault
        except duckdb.Error as fault:
            raise StoreFault(f"log lines and spans can't be read: {str(fault)[:200]}") from fault
        finally:
            done.set()


def _break_off(cursor: Cursor, done: threading.Event, seconds: float) -> None:
    """Again and again, since nothing is broken off between two queries."""
    while not done.wait(seconds):
        seconds = _AGAIN_SECONDS
        with suppress(duckdb.Error):  # it ended in this very moment
            cursor.interrupt()


def _conditions(asked: LogSearch) -> tuple[str, list[object]]:
    where, parameters = ["at_ms > ?", "at_ms <= ?"], list[object]([asked.since_ms, asked.until_ms])
    for column, value in _equal(asked).items():
        where.append(f"{column} = ?")
        parameters.append(value)
    if asked.node is not None:
        where.append("(node = ? OR node_id = ?)")
        parameters += [asked.node, asked.node]
    if asked.severities:
        where.append(f"severity IN ({', '.join('?' * len(asked.severities))})")
        parameters += asked.severities
    if asked.before is not None:
        where.append("(at_ms < ? OR (at_ms = ? AND rowid < ?))")
        parameters += [asked.before.at_ms, asked.before.at_ms, asked.before.row]
    if asked.text:
        where.append("contains(lower(body), lower(?))")
        parameters.append(asked.text)
    if asked.regex:
        where.append("regexp_matches(body, ?)")
        parameters.append(asked.regex)
    return " AND ".join(where), parameters


def _equal(asked: LogSearch) -> Mapping[str, str]:
    given = {"service": asked.service, "container": asked.container, "trace_id": asked.trace_id}
    return {column: value for column, value in given.items() if value is not None}


def _span_conditions(asked: TraceSearch) -> tuple[str, list[object]]:
    where, parameters = ["true"], list[object]()
    for condition, value in (
        ("service = ?", asked.service),
        ("name = ?", asked.name),
        ("end_ms - start_ms >= ?", asked.min_ms),
        ("end_ms - start_ms <= ?", asked.max_ms),
        ("ok <> ?", asked.failed),
    ):
        if value is not None:
            where.append(condition)
            parameters.append(value)
    return " AND ".join(where), parameters
