"""An objective whose judging fails is unmeasured, says why and is counted; all others are judged, and alerts go out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from alerts.thresholds import DEFAULT as LIMITS
from service import judging as judging_module
from service.adjusted_plans import Planner
from service.desk import Receiver
from service.errors import StoreUnavailable
from service.evaluate import Evaluator
from service.judging import Judging
from service.ports import rows_of
from service.slo_faults import AGAIN_MS
from service.slo_slices import SlicedCounts
from service.store import Store
from slo.adjust import Adjustment
from slo.composite import judge_composite
from slo.judge import judge
from slo.model import BurnRow, Counts, EventRatio, Indicator, Judgement, Matcher, Objective, Selector
from slo.slices import Timeslices
from tests.service.stores import T0, Clock, Point, batch, select, series

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOW = T0 + 2 * HOUR
BAD = EventRatio((select("requests_total"),), bad=(Selector("requests_total", (Matcher("code", "=~", "5.."),)),))
TAKEN = (Adjustment("a", "maintenance", (), (), (), T0 + HOUR, T0 + HOUR + MINUTE, "why", "who", 0),)


def objective(name: str, **more: object) -> Objective:
    found = Objective(name, "s", (), BAD, Fraction(1, 100), "99 %", 7 * DAY, "X")
    return replace(found, **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path / "x.duckdb", Clock(NOW))
    points = []
    for at in range(T0, NOW + 5 * MINUTE, 15_000):
        rounds = (at - T0) // 15_000
        points += [Point(series("requests_total", code="200"), at, 10.0 * rounds, T0, "counter")]
        points += [Point(series("requests_total", code="500"), at, 10.0 * rounds, T0, "counter")]
    found.append(batch(points))
    yield found
    found.close()


def failing(real: Callable[..., object], name: str = "bad") -> Callable[..., object]:
    """The same, but of an objective of this name."""

    def run(*parameters: object, **more: object) -> object:
        if any(isinstance(it, Objective) and it.slo == name for it in parameters):
            raise ArithmeticError("what nobody thought of")
        return real(*parameters, **more)

    return run


@pytest.mark.parametrize("where", ["judge", "windows", "plan", "slices", "held"])
def test_one_that_fails_is_unmeasured_and_no_other(store: Store, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    condition = BurnRow("mine", HOUR, HOUR, Fraction(0), Fraction(2), "page", "gt", MINUTE)
    slices = Timeslices(Fraction(9, 10), MINUTE)
    every = [objective(it, slices=slices, conditions=(condition,)) for it in ("one", "bad", "two")]
    expected = {it.objective.slo: it for it in Judging(store).judged(every, NOW)}
    judging = Judging(store)
    if where in ("judge", "windows"):

        def only_measured(objective: Objective, *rest: object) -> object:
            if objective.slo == "bad" and objective.unmeasurable is None:
                raise ArithmeticError("what nobody thought of")
            return real(objective, *rest)

        real: Callable[..., object] = getattr(judging_module, where)
        monkeypatch.setattr(judging_module, where, only_measured)
    elif where == "held":
        of = judging.held.of

        def held(it: Judgement) -> Judgement:
            if it.objective.slo == "bad":
                raise ArithmeticError("what nobody thought of")
            return of(it)

        monkeypatch.setattr(judging.held, "of", held)
    else:
        owner, method = (Planner, "plan") if where == "plan" else (SlicedCounts, "of")
        monkeypatch.setattr(owner, method, failing(getattr(owner, method)))
    found = {it.objective.slo: it for it in judging.judged(every, NOW)}
    assert (found["one"], found["two"]) == (expected["one"], expected["two"])
    assert (found["bad"].state, judging.faults.count) == ("unmeasured", 1)
    assert found["bad"].reason == "Judging it failed: ArithmeticError: what nobody thought of."


def test_counting_of_many_goes_on_without_the_one_that_fails_and_tries_it_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = EventRatio((select("nothing_total"),), bad=(select("nothing_bad_total"),))
    every = [objective(str(it)) for it in range(5)] + [objective("bad", indicator=other)] + [objective("last")]
    real, calls = store.counts_of, 0

    def counts_of(
        indicators: Sequence[Indicator], windows_ms: Sequence[Sequence[int]], until_ms: int
    ) -> list[list[Counts]]:
        nonlocal calls
        calls += 1
        if other in indicators:
            raise ValueError("no such thing")
        return real(indicators, windows_ms, until_ms)

    judging = Judging(store)
    monkeypatch.setattr(store, "counts_of", counts_of)
    for at, tries in ((NOW, 7), (NOW + 15_000, 1), (NOW + AGAIN_MS, 7)):
        calls = 0
        found = judging.judged(every, at)
        assert [it.objective.slo for it in found] == [it.slo for it in every]
        assert [it.state for it in found] == ["exhausted"] * 5 + ["unmeasured", "exhausted"]
        assert "no such thing" in found[5].reason
        assert calls <= tries
    assert judging.faults.count == 2
    monkeypatch.setattr(store, "counts_of", real)
    assert judging.judged(every, NOW + 3 * AGAIN_MS)[5].reason == "No sample has been seen yet."


def test_what_is_taken_out_of_one_fails_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(BAD, total=(select("requests_total"), select("requests_total")))
    every = [objective("one"), objective("bad", indicator=other), objective("two")]
    real = store.slices

    def slices(indicators: Sequence[Indicator], edges_ms: Sequence[int]) -> list[list[Counts]]:
        if other in indicators:
            raise ValueError("no such thing")
        return real(indicators, edges_ms)

    monkeypatch.setattr(store, "slices", slices)
    found = Judging(store).judged(every, NOW, TAKEN)
    assert [it.state for it in found] == ["exhausted", "unmeasured", "exhausted"]
    assert [len(it.taken_out) for it in found] == [1, 0, 1]


def test_a_composite_that_fails_leaves_its_members_and_other_composites(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [objective(f"m{at}", part_of="c") for at in range(2)]
    names = tuple((it.slo, Fraction(1)) for it in members)
    every = [objective(it, members=names, budget=Fraction(1)) for it in ("bad", "good")] + members
    monkeypatch.setattr("service.slo_composites.judge_composite", failing(judge_composite))
    found = {it.objective.slo: it.state for it in Judging(store).judged(every, NOW)}
    assert found == {"m0": "exhausted", "m1": "exhausted", "bad": "unmeasured", "good": "exhausted"}


def test_a_store_that_can_not_be_read_is_no_objectives_fault(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*rest: object) -> list[list[Counts]]:
        raise StoreUnavailable("the disk is gone")

    monkeypatch.setattr(store, "counts_of", gone)
    with pytest.raises(StoreUnavailable):
        Judging(store).judged([objective("one")], NOW)


@pytest.mark.parametrize("where", ["judge", "of_judgement", "placed"])
def test_pages_of_the_others_go_out(store: Store, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    every = [objective("bad"), objective("good")]
    receivers = [Receiver("hook", "http://127.0.0.1:1/", ("page", "ticket"))]
    evaluator = Evaluator(store, receivers, "http://midwatch", LIMITS, lambda: NOW, lambda: None)
    monkeypatch.setattr(evaluator, "_wanted", lambda *rest: every)
    if where == "of_judgement":
        from alerts import rules_slo
        from service import evaluate

        def told(it: Judgement, *rest: object) -> object:
            if it.objective.slo == "bad" and it.rows:
                raise ArithmeticError("what nobody thought of")
            return rules(it, *rest)  # type: ignore[arg-type]

        rules = rules_slo.of_judgement
        monkeypatch.setattr(rules_slo, "of_judgement", told)
        monkeypatch.setattr(evaluate, "of_judgement", told)
    else:
        target = "service.evaluate.placed" if where == "placed" else "service.judging.judge"

        def only_measured(of: Objective, *rest: object) -> object:
            if of.slo == "bad" and of.unmeasurable is None:
                raise ArithmeticError("what nobody thought of")
            return of if where == "placed" else judge(of, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(target, only_measured)
    found = evaluator.tick()
    assert {it.objective.slo: it.state for it in found.judgements} == {"bad": "unmeasured", "good": "exhausted"}
    assert evaluator.failures == 1
    ((told_of,),) = rows_of(store.database, "SELECT count(*) FROM outbox WHERE payload LIKE '%good%'")
    assert told_of >= 1
    ((told_of,),) = rows_of(store.database, "SELECT count(*) FROM judgements")
    assert told_of == 2


@pytest.mark.parametrize("where", ["write_history", "promises"])
def test_pages_go_out_though_what_was_judged_can_not_be_stored(
    store: Store, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def broken(*rest: object) -> None:
        raise ArithmeticError("what nobody thought of")

    receivers = [Receiver("hook", "http://127.0.0.1:1/", ("page", "ticket"))]
    evaluator = Evaluator(store, receivers, "http://midwatch", LIMITS, lambda: NOW, lambda: None)
    monkeypatch.setattr(evaluator, "_wanted", lambda *rest: [objective("good")])
    if where == "promises":
        monkeypatch.setattr(evaluator._promises, "write", broken)
    else:
        monkeypatch.setattr("service.evaluate.write_history", broken)
    evaluator.tick()
    assert evaluator.failures == 1
    ((posted, stored),) = rows_of(
        store.database, "SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM judgements)"
    )
    assert posted >= 1
    assert stored == (0 if where == "write_history" else 1)


def test_that_nothing_is_judged_is_told_whatever_the_reason(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [NOW]
    receivers = [Receiver("hook", "http://127.0.0.1:1/", ("page", "ticket"))]
    evaluator = Evaluator(store, receivers, "http://midwatch", LIMITS, lambda: now[0], lambda: None)
    evaluator.tick()

    def broken(*rest: object) -> None:
        raise ArithmeticError("what nobody thought of")

    monkeypatch.setattr("service.evaluate.gather", broken)
    for minutes in (1, 10):
        now[0] = NOW + minutes * MINUTE
        with pytest.raises(ArithmeticError):
            evaluator.tick()
    ((posted,),) = rows_of(store.database, "SELECT count(*) FROM outbox WHERE payload LIKE '%evaluation-late%'")
    assert posted == 1
