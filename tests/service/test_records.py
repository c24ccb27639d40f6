"""Events, log lines and spans: stored once, of a time that can be, and what they tell of services."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service import roster
from service.model import BatchIdentity, EventRow, LogBatch, LogRow, SpanRow, TraceBatch
from service.ports import ask, rows_of
from service.store import Store
from service.store_records import Records
from tests.service.stores import T0, Clock

DAY_MS = 86_400_000
LINES = f"logs_{T0 // DAY_MS}"
SPANS = f"spans_{T0 // DAY_MS}"
LINE = LogRow(T0, "n1", "u1", "shop/api", "shop-api-1", "/docker/a", "stdout", "hello")
DECLARED = EventRow(
    "service.declared", T0, "n1", "u1", "shop/api", None, None, None, "declared",
    {"replicas": 2, "source": "/srv/compose.yaml", "probe": "http", "label.midwatch.slo.cold-start.threshold": "2s"},
)  # fmt: skip
REMOVED = replace(DECLARED, name="service.removed", at_ms=T0 + 1_000, attributes={})
SPAN = SpanRow("t1", "s1", None, "deploy", "n1", "u1", "shop/api", T0 - 500, T0, True, {"image": "shop:1"})


@pytest.fixture
def clock() -> Clock:
    return Clock(T0)


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store(tmp_path / "x.duckdb", clock)
    yield opened
    opened.close()


@pytest.fixture
def records(store: Store, clock: Clock) -> Records:
    return Records(store.database, store.streams, clock)


def logs(*rows: EventRow | LogRow, sequence: int | None = None) -> LogBatch:
    identity = None if sequence is None else BatchIdentity("u1", "s1", "logs", sequence)
    events = tuple(it for it in rows if isinstance(it, EventRow))
    return LogBatch(identity, events, tuple(it for it in rows if isinstance(it, LogRow)))


def told(store: Store, sql: str) -> list[Any]:
    return rows_of(store.database, sql)


def test_a_batch_of_logs_that_comes_again_changes_nothing(store: Store, records: Records) -> None:
    assert [records.append_logs(logs(LINE, DECLARED, sequence=1)).new for _ in range(2)] == [True, False]
    assert told(store, "SELECT count(*) FROM events") == [(1,)]
    assert told(store, f"SELECT count(*) FROM {LINES}") == [(1,)]  # noqa: S608 - a table of ours


def test_spans_are_stored_once_whole(store: Store, records: Records) -> None:
    batch = TraceBatch(BatchIdentity("u1", "s1", "traces", 1), (SPAN,))
    assert [records.append_spans(batch).new for _ in range(2)] == [True, False]
    sql = f"SELECT trace_id, parent_id, end_ms - start_ms, ok, attributes->>'image' FROM {SPANS}"  # noqa: S608
    assert told(store, sql) == [("t1", None, 500, True, "shop:1")]


def test_streams_of_signals_are_apart(records: Records) -> None:
    assert records.append_logs(logs(LINE, sequence=7)).new
    assert records.append_spans(TraceBatch(BatchIdentity("u1", "s1", "traces", 7), (SPAN,))).new


def test_what_is_told_to_be_of_the_future_is_of_now(store: Store, records: Records) -> None:
    later = T0 + 400 * DAY_MS
    records.append_logs(logs(replace(LINE, at_ms=later), replace(DECLARED, at_ms=later)))
    records.append_logs(logs(REMOVED, replace(REMOVED, at_ms=later)))
    assert told(store, f"SELECT at_ms FROM {LINES}") == [(T0,)]  # noqa: S608 - a table of ours
    assert {at_ms for (at_ms,) in told(store, "SELECT at_ms FROM events")} == {T0}
    assert ask(store.database, roster.present) == []


@pytest.mark.parametrize("at_ms", [0, -(2**40), T0 - 7 * DAY_MS])
def test_a_line_that_is_older_than_lines_are_kept_is_left_out_and_counted(
    store: Store, records: Records, at_ms: int
) -> None:
    assert records.append_logs(logs(replace(LINE, at_ms=at_ms), LINE)).refused == {"too_old": 1}
    assert told(store, "SELECT kind, period FROM periods") == [("logs", T0 // DAY_MS)]


def test_a_service_is_there_from_its_declaration_until_its_removal(store: Store, records: Records) -> None:
    records.append_logs(logs(DECLARED))
    (row,) = ask(store.database, roster.present)
    assert (row.service, row.replicas, row.source, row.probe) == ("shop/api", 2, "/srv/compose.yaml", True)
    assert row.labels == {"midwatch.slo.cold-start.threshold": "2s"}
    records.append_logs(logs(replace(DECLARED, node_id="u2"), REMOVED))
    assert [it.node_id for it in ask(store.database, roster.present)] == ["u2"]
    assert ask(store.database, roster.gone) == frozenset()
    records.append_logs(logs(replace(REMOVED, node_id="u2")))
    assert ask(store.database, roster.gone) == {"shop/api"}


def test_hostile_text_is_stored_as_it_is(store: Store, records: Records) -> None:
    text = "'; DROP TABLE events; -- \x1b[31m \u202e " + "x" * 10_000
    records.append_logs(logs(replace(LINE, text=text), replace(DECLARED, service=text, body=text)))
    assert told(store, f"SELECT body FROM {LINES}") == [(text,)]  # noqa: S608 - a table of ours
    assert [it.service for it in ask(store.database, roster.present)] == [text]
