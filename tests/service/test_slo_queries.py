"""Objectives of queries: what slices count, what is asked again, what can't be answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from service.promql.engine import Engine
from service.promql.errors import BadQuery
from service.promql.model import Answer, Matrix
from service.slo_queries import QueriedCounts
from service.store import Store
from service.store_samples import StoreSamples
from slo.judge import judge, windows
from slo.model import Counts, EventRatio, Objective, QueryIndicator
from slo.slices import Timeslices
from tests.service.stores import T0, Clock, Point, batch, series

MINUTE, UNIT = 60_000, 10**9


@dataclass
class Answers:
    """Values by query and moment; what has none has no answer there."""

    of: dict[str, dict[int, list[float]]]
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    fault: str | None = None

    def range(self, text: str, from_ms: int, to_ms: int, step_ms: int, *, max_seconds: float | None = None) -> Answer:
        self.asked.append((text, from_ms, to_ms))
        if self.fault:
            raise BadQuery(self.fault)
        rows = [(at, value) for at in range(from_ms, to_ms + 1, step_ms) for value in self.of.get(text, {}).get(at, [])]
        ts, values = np.array([at for at, _ in rows], np.int64), np.array([it for _, it in rows], np.float64)
        return Answer(Matrix([{}], np.array([0, len(rows)]), ts, values), (), (), len(rows))


def objective(query: QueryIndicator, slices: Timeslices | None = None) -> Objective:
    return Objective(
        "x", "s", (), EventRatio(()), Fraction(1, 100), "99 %", 60 * MINUTE, "X", slices=slices, query=query
    )


def counts(answers: Answers, of: Objective, until_ms: int = T0 + 4 * MINUTE, window_ms: int = 4 * MINUTE) -> Counts:
    queried = QueriedCounts(answers)
    queried.begin()
    found = queried.of(of, [window_ms], until_ms)
    assert isinstance(found, list)
    return found[0]


def at(*values: list[float]) -> dict[int, list[float]]:
    return {T0 + minute * MINUTE: row for minute, row in enumerate(values, 1)}


def test_the_parts_of_a_ratio_are_summed_and_never_averaged() -> None:
    answers = Answers({"bad": at([0.0], [1.0], [], [0.5]), "all": at([10.0], [1.0], [1000.0], [0.5])})
    found = counts(answers, objective(QueryIndicator("bad", "bad", "all")))
    assert Fraction(found.bad, found.total) == Fraction(15, 10_115)
    assert (found.observed_ms, found.expected_ms) == (4 * MINUTE, 4 * MINUTE)


def test_an_empty_total_is_unmeasured_a_zero_or_no_number_no_traffic() -> None:
    nothing = float("nan")
    answers = Answers({"good": at([0.0], [nothing], [], [1.0]), "all": at([0.0], [nothing], [], [2.0])})
    found = counts(answers, objective(QueryIndicator("good", "good", "all")))
    assert (found.bad, found.total) == (UNIT, 2 * UNIT)
    assert (found.observed_ms, found.expected_ms) == (3 * MINUTE, 4 * MINUTE)


def test_errors_that_are_no_number_leave_a_total_unmeasured_and_never_good() -> None:
    nothing, endless = float("nan"), float("inf")
    answers = Answers({"bad": at([1.0], [nothing], [endless], [nothing]), "all": at([10.0], [10.0], [10.0], [0.0])})
    found = counts(answers, objective(QueryIndicator("bad", "bad", "all")))
    assert (found.bad, found.total) == (UNIT, 10 * UNIT)
    assert (found.observed_ms, found.expected_ms) == (2 * MINUTE, 4 * MINUTE)


def test_each_series_of_a_threshold_counts_and_raw_shares_are_slices() -> None:
    answers = Answers({"lag": at([1.0, 3.0], [2.0, 2.0], [float("inf")], [0.0])})
    found = counts(answers, objective(QueryIndicator("threshold", "lag", op="lte", value=Fraction(2))))
    assert (found.bad, found.total) == (2 * UNIT, 6 * UNIT)
    answers = Answers({"ratio": at([1.0], [0.75], [], [0.5])})
    found = counts(answers, objective(QueryIndicator("raw-good", "ratio")))
    assert (found.bad, found.total) == (75 * UNIT // 100, 3 * UNIT)
    assert found.events == (2, 3)


def test_slices_of_queries_are_judged_by_their_target() -> None:
    rule = Timeslices(Fraction(1, 2), MINUTE)
    answers = Answers({"bad": at([1.0], [6.0], [9.0], []), "all": at([10.0], [10.0], [10.0], [])})
    found = counts(answers, objective(QueryIndicator("bad", "bad", "all"), rule))
    assert (found.bad, found.total) == (2, 4)


def test_what_is_long_over_is_not_asked_again_and_what_is_new_is() -> None:
    answers, of = Answers({"r": at(*[[1.0]] * 90)}), objective(QueryIndicator("raw-good", "r"))
    queried = QueriedCounts(answers)
    for minute in (80, 81):
        queried.begin()
        assert isinstance(queried.of(of, windows(of), T0 + minute * MINUTE), list)
    (_, first, last), (_, again, end) = answers.asked
    assert (last - first) // MINUTE == 59
    assert (again, end) == (T0 + 72 * MINUTE, T0 + 81 * MINUTE)


def test_a_query_that_fails_is_unmeasured_with_the_reason_and_asked_again_in_a_minute() -> None:
    answers, of = Answers({}, fault="no such function"), objective(QueryIndicator("raw-good", "r"))
    queried = QueriedCounts(answers)
    for seconds in (0, 15, 30):
        queried.begin()
        found = queried.of(of, windows(of), T0 + seconds * 1000)
        assert isinstance(found, Objective)
        assert found.unmeasurable == "Its query can't be answered: no such function."
        assert judge(found, {}, T0).state == "unmeasured"
    assert len(answers.asked) == 1
    answers.fault = None
    queried.begin()
    assert isinstance(queried.of(of, windows(of), T0 + MINUTE), list)


def test_where_the_time_is_up_the_rest_is_asked_at_the_next_evaluation() -> None:
    now = iter(range(1000))
    answers, of = Answers({}), objective(QueryIndicator("raw-good", "r"))
    queried = QueriedCounts(answers, 0.5, lambda: float(next(now)))
    queried.begin()
    found = queried.of(of, windows(of), T0)
    assert isinstance(found, Objective)
    assert found.unmeasurable == "Its history is still being asked for."


@pytest.mark.parametrize("windowed", [True, False])
def test_over_a_real_store_a_third_of_bad_requests_is_a_third(tmp_path: Path, windowed: bool) -> None:
    store = Store(tmp_path / "x.duckdb", Clock(T0 + 3_600_000))
    points = [
        Point(series("req_total", code=code), T0 + step * 15_000, float(step * rise), T0)
        for step in range(1, 81)
        for code, rise in (("200", 2), ("500", 1))
    ]
    store.append(batch(points))
    span = "{{.window}}" if windowed else "2m"
    query = QueryIndicator("bad", f'sum(rate(req_total{{code="500"}}[{span}]))', f"sum(rate(req_total[{span}]))")
    queried, of = QueriedCounts(Engine(StoreSamples(store))), objective(query)
    queried.begin()
    found = queried.of(of, [10 * MINUTE], T0 + 20 * MINUTE)
    assert isinstance(found, list)
    assert abs(Fraction(found[0].bad, found[0].total) - Fraction(1, 3)) < Fraction(1, 10**8)
    store.close()


def test_steps_before_the_window_are_asked_for_and_what_is_not_known_was_not_observed() -> None:
    """The window is an hour; a report asks for five, of which an answer was there from the second on."""
    query, day = QueryIndicator("raw-good", "r"), T0 + 300 * MINUTE
    answers = Answers({"r": {T0 + minute * MINUTE: [0.5] for minute in range(61, 301)}})
    edges = [T0 + hour * 60 * MINUTE for hour in range(6)]

    def told(raw_ms: int | None = None) -> list[tuple[int, int, int]]:
        queried = QueriedCounts(answers, raw_ms=raw_ms)
        queried.begin()
        assert isinstance(queried.of(objective(query), [60 * MINUTE], day), list)
        queried.allow()
        found = queried.steps(objective(query), edges)
        answers.asked.clear()
        assert queried.steps(objective(query), edges[1:]) == found[1:]
        assert answers.asked == [], "a report asks once"
        queried.begin()
        again = queried.of(objective(query), [60 * MINUTE], day)
        assert isinstance(again, list)
        assert (again[0].total, again[0].expected_ms) == (60 * UNIT, 60 * MINUTE), "windows are as they were"
        return [(it.total // UNIT, it.observed_ms // MINUTE, it.expected_ms // MINUTE) for it in found]

    assert told() == [(0, 0, 0), *[(60, 60, 60)] * 4], "from the first sight on"
    assert told(raw_ms=4 * 60 * MINUTE) == [(0, 0, 60), *[(60, 60, 60)] * 4], "single samples of before are gone"
    queried = QueriedCounts(answers)
    queried.begin()
    queried.of(objective(query), [60 * MINUTE], day)
    answers.fault = "no"
    queried.allow()
    rows = queried.steps(objective(query), edges)
    assert [(it.total // UNIT, it.observed_ms, it.expected_ms // MINUTE) for it in rows] == [
        *[(0, 0, 60)] * 4, (60, 60 * MINUTE, 60),
    ]  # fmt: skip
