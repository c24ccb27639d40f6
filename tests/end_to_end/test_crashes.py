"""The service killed without warning: what the agent spooled arrives, all of it and once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from service.samples import NAME, Matcher
from service.store import Store
from tests.support.engine import EngineUnderTest
from tests.support.stack import Stack, running
from tests.support.waiting import until

ROUNDS = "midwatch_agent_rounds_total"


def _rounds(stack: Stack) -> float:
    return stack.total(ROUNDS, outcome="ok")


@pytest.mark.engine
def test_no_batch_is_lost_and_none_doubled_when_the_service_is_killed_and_comes_back(
    engine: EngineUnderTest, data: Path
) -> None:
    with running(engine, data) as stack:
        for _ in range(3):
            _three_rounds(stack)
            stack.kill("server")
            _three_rounds(stack)
            stack.start_server()
        until(lambda: stack.total("midwatch_agent_spool_batches", signal="metrics") <= 1, 60.0, what="the spool drains")
        last = _rounds(stack)
        _three_rounds(stack)
        assert _readable_by_others(data) == []
        stack.stop()
    _consecutive(data, last)


def _three_rounds(stack: Stack) -> None:
    seen = _rounds(stack)
    until(lambda: _rounds(stack) >= seen + 3, 30.0, what="three rounds")


def _readable_by_others(data: Path) -> list[str]:
    """Files that service and agent wrote and that another user could read: log lines of containers hold secrets."""
    files = [it for folder in ("server", "agent", "run") for it in (data / folder).rglob("*") if it.is_file()]
    assert any(it.suffix == ".wal" for it in files)
    return [it.name for it in files if it.stat().st_mode & 0o077 and it.suffix != ".pid"]


def _consecutive(data: Path, last: float) -> None:
    """The agent counts its rounds and ships that count with each: stored, they have no gap and no repeat."""
    values = _stored(data / "server" / "midwatch.duckdb")
    assert values == list(range(int(values[0]), int(values[-1]) + 1))
    assert values[-1] >= last


def _stored(file: Path) -> list[float]:
    """Every stored sample of the agent's count of good rounds, in order of time."""
    now_ms = time.time_ns() // 1_000_000
    store = Store(file, lambda: now_ms)
    try:
        found = store.select((Matcher(NAME, "=", ROUNDS), Matcher("outcome", "=", "ok")), 0, now_ms, 10**9)
    finally:
        store.close()
    return [value for _, value in sorted(zip(found.ts_ms.tolist(), found.values.tolist(), strict=True))]
