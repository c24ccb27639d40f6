from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.errors import ServiceFault
from service.pace import Pace
from tests.support.waiting import until


@contextmanager
def paced(answers: list[Exception | None]) -> Iterator[tuple[Pace, list[int]]]:
    """A pace whose evaluations end as told, one after the other; asked again as long as there are any."""
    failures: list[int] = []

    def evaluate() -> None:
        answer = answers.pop(0) if answers else None
        pace.ask(urgent=True) if answers else None
        if answer is not None:
            raise answer

    pace = Pace(evaluate, lambda: None, lambda: failures.append(1))
    pace.start()
    try:
        yield pace, failures
    finally:
        pace.stop()


def test_an_outage_is_in_the_log_once_however_long_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "service.pace")
    away = [ServiceFault("the remote store can't be reached") for _ in range(4)]
    with paced([*away, ServiceFault("it answers 500")]) as (pace, failures):
        until(lambda: len(failures) == 5)
        until(lambda: pace.fault == "it answers 500")
    said = [record.getMessage().rpartition(": ")[2] for record in caplog.records]
    assert said == ["the remote store can't be reached", "it answers 500"]
    assert all(record.exc_info is None or record.exc_info is False for record in caplog.records)


def test_what_nobody_expected_has_its_traceback_and_an_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "service.pace")
    with paced([KeyError("x"), KeyError("x"), None]) as (pace, failures):
        until(lambda: len(failures) == 2 and pace.fault is None)
    assert [bool(record.exc_info) for record in caplog.records] == [True]
