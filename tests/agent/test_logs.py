"""Following logs: each line once, over restarts of container and agent, within the bounds."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import time
from collections.abc import Callable, Iterator

import docker
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.log_bounds import Bucket, Inbox, LogLimits, Position
from agent.log_json import Lifted
from agent.logs import LogFollowers
from agent.model import LogLine, Resource, Value
from runtime.engine import Engine
from runtime.engine_logs import MAX_LINE_BYTES, RawLine
from runtime.errors import EngineRefused, EngineUnavailable
from runtime.model import Container, ServiceName
from tests.agent.test_scraper import container
from tests.support.engine import EngineUnderTest

API = Resource(ServiceName("shop", "api"), "shop-api-1", "/docker/" + "a" * 64, "shop:1")
T0 = 1_760_000_000_000


class Stream:
    """An open log: lines as they are given, until it is closed."""

    def __init__(self) -> None:
        self.lines: queue.SimpleQueue[RawLine | Exception | None] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[RawLine]:
        while (line := self.lines.get()) is not None:
            if isinstance(line, Exception):
                raise line
            yield line

    def close(self) -> None:
        self.lines.put(None)


class Logs:
    """Logs as an engine keeps them: opened from a time on, inclusive, then followed."""

    def __init__(self) -> None:
        self.kept: dict[str, list[RawLine]] = {}
        self.opened: list[tuple[str, int]] = []
        self.streams: list[Stream] = []
        self.fault: Exception | None = None

    def open(self, id_: str, since_ms: int) -> Stream:
        self.opened.append((id_, since_ms))
        if self.fault is not None:
            raise self.fault
        stream = Stream()
        self.streams.append(stream)
        for line in self.kept.get(id_, []):
            if (line.at_ms or 0) >= since_ms:
                stream.lines.put(line)
        return stream

    def write(self, id_: str, at_ms: int, text: str) -> None:
        line = RawLine(at_ms, "stdout", text.encode())
        self.kept.setdefault(id_, []).append(line)
        for (opened, _), stream in zip(self.opened, self.streams, strict=False):
            if opened == id_:
                stream.lines.put(line)


def followers(logs: Logs, **more: object) -> LogFollowers:
    return LogFollowers(logs.open, lambda: T0, **{"since_ms": T0, **more})  # type: ignore[arg-type]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def drained(following: LogFollowers, count: int) -> list[str]:
    """The texts of exactly so many lines, waiting for them."""
    texts: list[str] = []

    def enough() -> bool:
        texts.extend(line.text for line in following.drain())
        return len(texts) >= count

    until(enough)
    return texts


def ended(following: LogFollowers) -> bool:
    return following.following == 0


@pytest.fixture
def logs() -> Logs:
    return Logs()


def test_lines_come_with_their_time_stream_and_whose_they_are(logs: Logs) -> None:
    running = container({})
    following = followers(logs)
    following.sync([(running, API)])
    logs.kept[running.id] = []
    until(lambda: logs.streams)
    logs.streams[0].lines.put(RawLine(T0 + 5, "stderr", b"boom"))
    until(lambda: following.lines_read == 1)
    (line,) = following.drain()
    assert line == LogLine(T0 + 5, API, "stderr", "boom")
    following.close()


def test_a_running_container_is_followed_once(logs: Logs) -> None:
    following = followers(logs)
    for _ in range(3):
        following.sync([(container({}), API)])
    until(lambda: logs.streams)
    assert logs.opened == [("a" * 64, T0)]
    following.close()


def test_after_a_restart_of_the_agent_no_line_is_lost_or_doubled(logs: Logs) -> None:
    running = container({})
    before = followers(logs)
    before.sync([(running, API)])
    until(lambda: logs.streams)
    for text in ("1", "2", "3"):
        logs.write(running.id, T0 + 10, text)
    assert drained(before, 3) == ["1", "2", "3"]
    kept = before.positions()
    before.close()
    assert kept == {running.id: Position(T0 + 10, 3)}
    logs.write(running.id, T0 + 10, "4")
    logs.write(running.id, T0 + 11, "5")
    after = followers(logs, positions=kept, since_ms=T0 + 99)
    after.sync([(running, API)])
    assert drained(after, 2) == ["4", "5"]
    after.close()


def test_lines_that_were_read_but_not_drained_are_read_again_by_the_next_process(logs: Logs) -> None:
    running = container({})
    before = followers(logs)
    before.sync([(running, API)])
    until(lambda: logs.streams)
    logs.write(running.id, T0 + 10, "in the queue when the process is killed")
    until(lambda: before.lines_read == 1)
    kept = before.positions()
    before.close()
    after = followers(logs, positions=kept)
    after.sync([(running, API)])
    assert drained(after, 1) == ["in the queue when the process is killed"]
    after.close()


def test_a_stream_that_breaks_off_is_followed_again_without_doubling_what_waits(logs: Logs) -> None:
    running = container({})
    following = followers(logs)
    following.sync([(running, API)])
    until(lambda: logs.streams)
    logs.write(running.id, T0 + 10, "1")
    until(lambda: following.lines_read == 1)
    logs.streams[0].lines.put(EngineUnavailable("gone"))
    until(lambda: ended(following))
    logs.write(running.id, T0 + 10, "2")
    following.sync([(running, API)])
    until(lambda: following.lines_read == 2)
    assert drained(following, 2) == ["1", "2"]
    following.close()


def test_a_container_that_ended_between_two_rounds_is_read_to_its_end_once(logs: Logs) -> None:
    logs.kept["a" * 64] = [RawLine(T0 + 5, "stdout", b"short life")]
    gone = container({}, state="exited", started_ms=T0 + 4, finished_ms=T0 + 6)
    following = followers(logs)
    following.sync([(gone, API)])
    assert drained(following, 1) == ["short life"]
    logs.streams[0].close()
    until(lambda: ended(following))
    for _ in range(3):
        following.sync([(gone, API)])
    assert len(logs.opened) == 1


def test_a_container_that_runs_again_is_followed_from_where_it_was_left(logs: Logs) -> None:
    first = container({}, started_ms=T0 + 1)
    following = followers(logs)
    following.sync([(first, API)])
    until(lambda: logs.streams)
    logs.write(first.id, T0 + 5, "first run")
    logs.streams[0].close()
    until(lambda: ended(following))
    logs.write(first.id, T0 + 9, "second run")
    following.sync([(dataclasses.replace(first, started_ms=T0 + 8), API)])
    assert drained(following, 2) == ["first run", "second run"]
    following.close()


def test_a_container_that_ended_before_the_watch_began_is_not_read(logs: Logs) -> None:
    following = followers(logs)
    following.sync([(container({}, state="exited", started_ms=T0 - 9, finished_ms=T0 - 5), API)])
    following.sync([(container({}, state="created", started_ms=None), API)])
    assert logs.opened == []


def test_a_log_that_the_engine_refuses_is_not_asked_for_again(logs: Logs) -> None:
    logs.fault = EngineRefused("configured logging driver does not support reading", 501)
    following = followers(logs)
    for _ in range(3):
        following.sync([(container({}), API)])
        until(lambda: ended(following))
    assert len(logs.opened) == 1
    assert following.errors == 0


def test_an_engine_that_is_away_is_asked_again(logs: Logs) -> None:
    logs.fault = EngineUnavailable("away")
    following = followers(logs)
    following.sync([(container({}), API)])
    until(lambda: ended(following))
    logs.fault = None
    following.sync([(container({}), API)])
    until(lambda: logs.streams)
    following.close()


def test_what_a_library_throws_is_counted_and_the_log_followed_again(logs: Logs) -> None:
    logs.fault = ValueError("a surprise")
    following = followers(logs)
    following.sync([(container({}), API)])
    until(lambda: following.errors == 1)
    until(lambda: ended(following))
    logs.fault = None
    following.sync([(container({}), API)])
    until(lambda: logs.streams)
    following.close()


def test_containers_beyond_the_bound_are_not_followed_and_counted_once_each(logs: Logs) -> None:
    found: list[tuple[Container, Resource]] = [(container({}, id=letter * 64), API) for letter in "abc"]
    following = followers(logs, limits=LogLimits(followers=2))
    for _ in range(3):
        following.sync(found)
    until(lambda: len(logs.streams) == 2)
    assert following.dropped == {("logs", "followers"): 1}
    following.close()


def test_a_flood_is_bounded_by_its_rate_and_the_rest_counted(logs: Logs) -> None:
    logs.kept["a" * 64] = [RawLine(T0 + n, "stdout", b"flood") for n in range(50)]
    following = followers(logs, limits=LogLimits(lines_per_second=1.0, burst_lines=10), monotonic=lambda: 0.0)
    following.sync([(container({}), API)])
    until(lambda: following.lines_read == 50)
    assert len(following.drain()) == 10
    assert following.dropped == {("lines", "rate"): 40}
    following.close()


@pytest.mark.parametrize("limits", [LogLimits(queued_lines=5), LogLimits(queued_chars=25)])
def test_what_waits_is_bounded_in_lines_and_in_characters(logs: Logs, limits: LogLimits) -> None:
    logs.kept["a" * 64] = [RawLine(T0 + n, "stdout", b"12345") for n in range(9)]
    following = followers(logs, limits=limits)
    following.sync([(container({}), API)])
    until(lambda: following.lines_read == 9)
    assert following.dropped == {("lines", "queue"): 4}
    assert len(following.drain()) == 5
    assert following.drain() == []
    following.close()


def test_what_is_drained_is_bounded_and_the_rest_stays(logs: Logs) -> None:
    logs.kept["a" * 64] = [RawLine(T0 + n, "stdout", str(n).encode()) for n in range(5)]
    following = followers(logs)
    following.sync([(container({}), API)])
    until(lambda: following.lines_read == 5)
    assert [line.text for line in following.drain(2)] == ["0", "1"]
    assert following.positions()["a" * 64] == Position(T0 + 1, 1)
    assert [line.text for line in following.drain(9)] == ["2", "3", "4"]
    following.close()


def test_a_container_that_is_gone_leaves_nothing_behind(logs: Logs) -> None:
    following = followers(logs)
    following.sync([(container({}), API)])
    until(lambda: logs.streams)
    logs.streams[0].close()
    until(lambda: ended(following))
    following.sync([])
    assert following.positions() == {}


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=30), st.integers(0, 30))
def test_reading_on_from_any_position_gives_exactly_the_rest(steps: list[int], drained_lines: int) -> None:
    at_ms, written = T0, []
    for number, step in enumerate(steps):
        at_ms += step
        written.append((at_ms, number))
    position = Position(T0)
    for at, _ in written[:drained_lines]:
        position = position.after(at)
    rest = [row for row in written if row[0] >= position.at_ms][position.lines :]
    assert rest == written[drained_lines:]


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    bucket = Bucket(2.0, 3, 0.0)
    assert [bucket.take(1, 0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(1, 1.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(1, 100.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(4, 200.0) and bucket.take(3, 200.0)


def test_a_json_lines_severity_and_trace_go_beside_its_text(logs: Logs) -> None:
    text = '{"level":"error","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","msg":"no"}'
    logs.kept["a" * 64] = [RawLine(T0, "stdout", text.encode()), RawLine(T0, "stdout", b"plain")]
    following = followers(logs)
    following.sync([(container({}), API)])
    until(lambda: following.lines_read == 2)
    trace = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")
    assert [(line.text, line.lifted) for line in following.drain()] == [
        (text, Lifted(17, "error", trace)),
        ("plain", Lifted()),
    ]
    following.close()


def test_long_lines_are_bounded_in_bytes_a_second(logs: Logs) -> None:
    logs.kept["a" * 64] = [RawLine(T0 + n, "stdout", b"x" * 100) for n in range(9)]
    limits = LogLimits(bytes_per_second=1.0, burst_bytes=550)
    following = followers(logs, limits=limits, monotonic=lambda: 0.0)
    following.sync([(container({}), API)])
    until(lambda: following.lines_read == 9)
    assert len(following.drain()) == 5
    assert following.dropped == {("lines", "rate"): 4}
    following.close()


def lost(following: LogFollowers) -> dict[tuple[str, str], tuple[float, int | None]]:
    return {
        (str(points.resource.service), value.labels[0][1]): (value.value, value.start_ms)
        for points in following.points(T0 + 9)
        for value in points.points
        if isinstance(value, Value)
    }


def test_what_a_service_lost_is_counted_for_it_from_zero_on(logs: Logs) -> None:
    quiet = Resource(ServiceName("shop", "web"), "shop-web-1", None, None)
    logs.kept["a" * 64] = [RawLine(T0 + n, "stdout", b"flood") for n in range(50)]
    logs.kept["b" * 64] = [RawLine(T0, "stdout", b"one")]
    limits = LogLimits(lines_per_second=1.0, burst_lines=10, queued_lines=5)
    following = followers(logs, limits=limits, monotonic=lambda: 0.0)
    following.sync([(container({}), API)])
    until(lambda: following.lines_read == 50)
    assert lost(following) == {("shop/api", "rate"): (40.0, T0), ("shop/api", "queue"): (5.0, T0)}
    following.drain()
    following.sync([(container({}), API), (container({}, id="b" * 64), quiet)])
    until(lambda: following.lines_read == 51)
    following.sync([])
    assert lost(following) == {
        ("shop/api", "rate"): (40.0, T0), ("shop/api", "queue"): (5.0, T0),
        ("shop/web", "rate"): (0.0, T0), ("shop/web", "queue"): (0.0, T0),
    }  # fmt: skip
    following.close()


def test_the_services_whose_losses_are_counted_are_bounded() -> None:
    inbox = Inbox(LogLimits(), max_services=2)
    for name in "abc":
        inbox.see(ServiceName("", name), T0)
    assert [str(points.resource.service) for points in inbox.points(T0)] == ["b", "c"]
    inbox.over_rate(ServiceName("", "a"))
    assert inbox.dropped == {("lines", "rate"): 1}


def test_a_line_without_a_time_stays_behind_the_one_before_it_also_when_read_again(logs: Logs) -> None:
    kept = [RawLine(T0 + 5, "stdout", b"1"), RawLine(None, "stdout", b"2"), RawLine(T0 + 6, "stdout", b"3")]
    logs.kept["a" * 64] = kept
    first = followers(logs)
    first.sync([(container({}), API)])
    until(lambda: logs.streams)
    logs.streams[0].lines.put(kept[1])
    until(lambda: first.lines_read == 3)
    assert [(line.text, line.at_ms - T0) for line in first.drain()] == [("1", 5), ("3", 6), ("2", 6)]
    assert first.positions()["a" * 64] == Position(T0 + 6, 2)
    first.close()


def read_whole(engine: EngineUnderTest, id_: str) -> list[tuple[str, str]]:
    """Stream and text of every line that the engine has of a container that ended."""
    with contextlib.closing(Engine(engine.url)) as reader:
        return [(line.stream, line.text.decode()) for line in reader.logs(id_, follow=False)]


@pytest.mark.engine
@pytest.mark.parametrize("tty", [False, True], ids=["frames", "terminal"])
def test_a_real_long_line_is_joined_and_one_beyond_the_bound_is_cut(
    engine: EngineUnderTest, tiny_image: str, tty: bool
) -> None:
    script = "for n in 40000 100000; do head -c $n /dev/zero | tr '\\0' x; echo; done; echo short"
    made = engine.client.containers.run(
        tiny_image, ["sh", "-c", script], labels=engine.labels, tty=tty, network_mode="none", detach=True
    )
    made.wait()
    assert [len(text) for _, text in read_whole(engine, made.id)] == [40_000, MAX_LINE_BYTES, len("short")]
    made.remove()


@pytest.mark.engine
def test_a_real_last_line_without_newline_is_one_of_its_own_in_each_run(
    engine: EngineUnderTest, tiny_image: str
) -> None:
    script = "echo ready; printf 'killed he'; printf 'and told' >&2"
    made = engine.client.containers.create(tiny_image, ["sh", "-c", script], labels=engine.labels, network_mode="none")
    for _ in range(2):
        made.start()
        made.wait()
    found = read_whole(engine, made.id)
    assert [text for stream, text in found if stream == "stdout"] == ["ready", "killed he"] * 2
    assert [text for stream, text in found if stream == "stderr"] == ["and told"] * 2
    made.remove()


@pytest.mark.engine
def test_a_real_log_that_is_rotated_while_it_is_followed_comes_whole_and_once(
    engine: EngineUnderTest, tiny_image: str
) -> None:
    script = "n=0; while [ $n -lt 600 ]; do n=$((n+1)); echo line $n; [ $((n % 20)) = 0 ] && sleep 0.05; done; sleep 1"
    rotated = docker.types.LogConfig(type="json-file", config={"max-size": "8k", "max-file": "5"})
    made = engine.client.containers.run(
        tiny_image, ["sh", "-c", script], labels=engine.labels, network_mode="none", log_config=rotated, detach=True
    )
    reader = Engine(engine.url)
    following = LogFollowers(lambda id_, since: reader.logs(id_, since_ms=since), now_ms, 0)
    texts: list[str] = []

    def round_of() -> bool:
        inspected = reader.inspect(made.id)
        assert inspected is not None
        following.sync([(inspected, API)])
        texts.extend(line.text for line in following.drain())
        return len(texts) >= 600

    until(round_of)
    following.close()
    reader.close()
    assert texts == [f"line {n}" for n in range(1, 601)]
    assert following.dropped == {}
    made.remove(force=True)


@pytest.mark.engine
def test_a_real_containers_lines_come_once_over_its_restarts(engine: EngineUnderTest, tiny_image: str) -> None:
    script = "for n in 1 2 3; do echo out $n; echo err $n >&2; done; sleep 0.2; echo end"
    made = engine.client.containers.create(tiny_image, ["sh", "-c", script], labels=engine.labels)
    reader = Engine(engine.url)
    since_ms = int(time.time() * 1000) - 1_000
    following = LogFollowers(lambda id_, since: reader.logs(id_, since_ms=since), now_ms, since_ms)
    texts: list[str] = []

    def round_of(count: int) -> bool:
        inspected = reader.inspect(made.id)
        assert inspected is not None
        following.sync([(inspected, API)])
        texts.extend(f"{line.stream} {line.text}" for line in following.drain())
        return len(texts) >= count

    for run in (1, 2):
        made.start()
        made.wait()
        until(lambda run=run: round_of(7 * run))
    following.close()
    reader.close()
    once = [f"std{name} {name} {n}" for n in (1, 2, 3) for name in ("out", "err")] + ["stdout end"]
    assert sorted(texts) == sorted(once * 2)


def test_lines_are_read_again_once_a_clock_that_was_ahead_is_right(logs: Logs) -> None:
    ahead = {"a" * 64: Position(T0 + 3_600_000, 4)}
    following = followers(logs, positions=ahead)
    following.sync([(container({}), API)])
    until(lambda: logs.streams)
    logs.write("a" * 64, T0 + 5, "now")
    assert drained(following, 1) == ["now"]
    assert following.positions() == {"a" * 64: Position(T0 + 5, 1)}
    following.close()
