from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from service.errors import StoreUnavailable
from service.model import Series
from service.remote_encode import Encoder, compressed, inflated
from service.remote_queue import SEGMENT_ROWS, Bounds, Entry, Queue
from service.remote_send import Answer, Forwarder, Waits, judged
from service.store_db import Database
from tests.service.remote_write import decoded
from tests.service.stores import T0, Clock

NOW = datetime(2026, 11, 28, 3, 0, 0, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(tmp_path / "x.duckdb")
    yield found
    found.close()


def request(*values: tuple[str, int, float]) -> bytes:
    names = sorted({name for name, _, _ in values})
    index = np.array([names.index(name) for name, _, _ in values], np.int64)
    ts = np.array([at for _, at, _ in values], np.int64)
    found = [Series(name, ()) for name in names]
    return Encoder().encode(found, index, ts, np.array([value for _, _, value in values])).body


def put(database: Database, queue: Queue, body: bytes, samples: int = 1, at_ms: int = T0) -> Entry:
    return database.write(lambda cursor: queue.write(cursor, compressed(body), samples, at_ms), queue.take)


class Remote:
    """Takes samples, but for those of metrics that it refuses; answers as it is told."""

    def __init__(self, refused: str = "") -> None:
        self.refused, self.busy = refused, False
        self.taken: list[tuple[str, int, float]] = []
        self.requests = 0

    def __call__(self, body: bytes) -> Answer:
        self.requests += 1
        if self.busy:
            return Answer("later", "busy", 7.0)
        rows = [(one.metric, ts, value) for one, samples in decoded(inflated(body)) for ts, value in samples]
        if any(metric == self.refused for metric, _, _ in rows):
            return Answer("refused", "out of order")
        self.taken += rows
        return Answer("taken")


def forwarder(queue: Queue, post: Callable[[bytes], Answer], clock: Clock, samples: int = 10_000) -> Forwarder:
    return Forwarder(queue, post, clock, samples, rand=lambda: 0.0)


def test_requests_are_joined_and_sent_in_order(database: Database) -> None:
    queue, remote = Queue(database, Bounds()), Remote()
    for at in range(5):
        put(database, queue, request(("a_total", at, float(at))))
    work = forwarder(queue, remote, Clock(), samples=2)
    while work.step() is not None:
        pass
    assert remote.taken == [("a_total", at, float(at)) for at in range(5)]
    assert remote.requests == 3
    assert (len(queue), queue.size(), work.samples["sent"]) == (0, 0, 5)


def test_one_bad_sample_costs_only_itself(database: Database) -> None:
    queue, remote = Queue(database, Bounds()), Remote("bad_total")
    rows = [(f"m{at}_total", 1, 1.0) for at in range(40)]
    put(database, queue, request(*rows[:20], ("bad_total", 1, 1.0), *rows[20:]), 41)
    work = forwarder(queue, remote, Clock())
    assert work.step() == 0.0
    assert sorted(remote.taken) == sorted(rows)
    assert dict(work.samples) == {"sent": 40, "refused": 1}


def test_a_remote_store_that_refuses_everything_is_asked_a_bounded_number_of_times(database: Database) -> None:
    queue, tries = Queue(database, Bounds()), []

    def refuse(body: bytes) -> Answer:
        tries.append(body)
        return Answer("refused", "no")

    put(database, queue, request(*[("a_total", at, 1.0) for at in range(1000)]), 1000)
    work = forwarder(queue, refuse, Clock())
    assert work.step() == 0.0
    assert work.samples == {"refused": 1000}
    assert len(tries) < 300
    assert len(queue) == 0


def test_what_is_not_taken_waits_and_the_server_says_how_long(database: Database) -> None:
    queue, remote = Queue(database, Bounds()), Remote()
    put(database, queue, request(("a_total", 1, 1.0)))
    work, remote.busy = forwarder(queue, remote, Clock()), True
    assert work.step() == 7.0
    assert work.fault == "busy"
    remote.busy = False
    assert work.step() == 0.0
    assert (work.fault, remote.taken) == (None, [("a_total", 1, 1.0)])


def test_waits_double_up_to_a_bound() -> None:
    waits = Waits()
    assert [waits.seconds(n, 0.999999, None) for n in (1, 2, 3)] == pytest.approx([0.5, 1, 2], rel=1e-3)
    assert waits.seconds(1, 0.0, None) == 0.25
    assert waits.seconds(10_000, 1.0, None) == 30.0
    assert waits.seconds(1, 0.0, 1e9) == 300.0


def test_what_waited_too_long_is_dropped_and_counted(database: Database) -> None:
    queue, remote, clock = Queue(database, Bounds(age_ms=60_000)), Remote(), Clock()
    put(database, queue, request(("a_total", 1, 1.0)), at_ms=T0)
    put(database, queue, request(("a_total", 2, 1.0)), at_ms=T0 + 30_000)
    clock.now_ms = T0 + 60_000
    work = forwarder(queue, remote, clock)
    assert work.step() == 0.0
    assert remote.taken == [("a_total", 2, 1.0)]
    assert work.samples == {"expired": 1, "sent": 1}


def test_a_full_queue_takes_nothing_and_loses_nothing(database: Database) -> None:
    queue, remote = Queue(database, Bounds(bytes=60)), Remote()
    put(database, queue, request(("a_total", 1, 1.0)))
    with pytest.raises(StoreUnavailable, match="queue_bytes"):
        put(database, queue, request(("a_total", 2, 1.0)))
    assert forwarder(queue, remote, Clock()).step() == 0.0
    put(database, queue, request(("a_total", 2, 1.0)))
    assert len(queue) == 1


def test_what_waited_waits_after_a_new_start_and_nothing_that_was_sent(tmp_path: Path) -> None:
    path, remote = tmp_path / "y.duckdb", Remote()
    database = Database(path)
    queue = Queue(database, Bounds())
    for at in range(SEGMENT_ROWS + 5):
        put(database, queue, request(("a_total", at, 1.0)))
    entries, _ = queue.first(10, 1 << 20)
    queue.forget(entries)
    database.close()
    database = Database(path)
    queue = Queue(database, Bounds())
    assert len(queue) == SEGMENT_ROWS - 5
    put(database, queue, request(("a_total", SEGMENT_ROWS + 5, 1.0)))
    work = forwarder(queue, remote, Clock())
    while work.step() is not None:
        pass
    assert remote.taken == [("a_total", at, 1.0) for at in range(10, SEGMENT_ROWS + 6)]
    tables = database.write(lambda it: it.execute("SELECT table_name FROM information_schema.tables").fetchall())
    kept = {name for (name,) in tables if name.startswith("forward_")}
    assert kept == {"forward_segments", "forward_sent", "forward_1"}
    database.close()


def test_a_write_that_is_undone_leaves_no_trace(database: Database) -> None:
    queue = Queue(database, Bounds())

    def fail(cursor: object) -> Entry:
        queue.write(cursor, b"x", 1, T0)  # type: ignore[arg-type]
        raise KeyError("undone")

    with pytest.raises(KeyError):
        database.write(fail, queue.take)
    put(database, queue, request(("a_total", 1, 1.0)))
    assert queue.first(1, 1)[0][0].position == 1


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(200, "taken"), (204, "taken"), (400, "refused"), (413, "refused"), (422, "refused"), (429, "later"),
     (401, "later"), (404, "later"), (500, "later"), (503, "later"), (302, "later")],
)  # fmt: skip
def test_statuses_mean_what_the_specification_says(status: int, verdict: str) -> None:
    assert judged(status, None, b"why", NOW).verdict == verdict


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("12", 12.0), ("Sat, 28 Nov 2026 03:00:30 GMT", 30.0), ("Sat, 28 Nov 2026 02:00:00 GMT", 0.0), ("soon", None)],
)
def test_retry_after_is_read_in_both_forms(header: str, seconds: float | None) -> None:
    assert judged(503, header, b"", NOW).retry_after_seconds == seconds
