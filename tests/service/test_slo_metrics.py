"""What the service tells Prometheus of each objective: nothing that was not measured, and no more than it may."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import chain

import pytest
from prometheus_client.core import Metric

from service import slo_metrics
from service.slo_metrics import FAMILIES, beyond, objective_families
from slo.judge import judge
from slo.model import Allowance, EventRatio, Judgement, Selector, TakenOut
from slo.slices import RATIO_UNIT, RatioTimeslices, Timeslices
from tests.slo.support import DAY, NOW, counts, objective, steady

RATIO = EventRatio((Selector("all_total"),), bad=(Selector("bad_total"),))


def told(*judgements: Judgement) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Samples by the family's name below midwatch_slo_."""
    return {it.name.removeprefix("midwatch_slo_"): _samples(it) for it in objective_families(judgements)}


def _samples(family: Metric) -> list[tuple[dict[str, str], float]]:
    return [(it.labels, it.value) for it in family.samples]


def value(found: Sequence[tuple[dict[str, str], float]]) -> float:
    (only,) = found
    return only[1]


def burning(bad_per_million: int = 20_000) -> Judgement:
    of = objective()
    return judge(of, steady(of, bad_per_million, per_hour=12_000_000), NOW)


def test_the_names_are_fixed() -> None:
    assert {it.name for it in objective_families([])} == {f"midwatch_slo_{name}" for name, _, _ in FAMILIES}
    assert [name for name, _, _ in FAMILIES] == [
        "info", "objective_ratio", "window_seconds", "sli_ratio", "events", "bad_events",
        "error_budget_remaining_ratio", "exhaustion_seconds", "burn_rate", "burn_row_fired", "coverage_ratio",
        "taken_out_seconds", "state",
    ]  # fmt: skip


def test_an_objective_is_told_whole() -> None:
    found = told(burning(500))
    assert value(found["objective_ratio"]) == 0.999
    assert value(found["window_seconds"]) == 30 * 86_400
    assert value(found["sli_ratio"]) == 0.9995
    assert value(found["events"]) == 8_640_000_000
    assert value(found["bad_events"]) == 4_320_000
    assert value(found["error_budget_remaining_ratio"]) == 0.5
    assert {labels["window"]: burn for labels, burn in found["burn_rate"]} == dict.fromkeys(
        ("5m", "30m", "1h", "2h", "6h", "1d", "3d"), 0.5
    )
    assert {(it["row"], it["road"], fired) for it, fired in found["burn_row_fired"]} == {
        ("fast", "page", 0.0), ("slow", "page", 0.0), ("ticket-1d", "ticket", 0.0), ("ticket-3d", "ticket", 0.0),
    }  # fmt: skip
    assert found["exhaustion_seconds"] == []
    labels, one = found["info"][0]
    assert (labels["method"], labels["window"], labels["target"], one) == ("Occurrences", "rolling", "99.9 %", 1.0)


def test_a_budget_that_burns_has_an_end_and_its_rows_fire() -> None:
    of = objective()
    history = steady(of, 2_000, per_hour=12_000_000)
    found = told(judge(of, {**history, of.window_ms: counts(1, 10**9, of.window_ms)}, NOW))
    left = value(found["error_budget_remaining_ratio"])
    assert value(found["exhaustion_seconds"]) == pytest.approx(left * 30 * 86_400 / 2, rel=1e-9)
    assert all(fired == 1.0 for _, fired in told(burning())["burn_row_fired"])


def test_what_is_not_measured_has_a_state_and_no_number() -> None:
    found = told(judge(objective(unmeasurable="No probe."), {}, NOW))
    assert [(it["state"], on) for it, on in found["state"] if on] == [("unmeasured", 1.0)]
    measured = {"sli_ratio", "events", "bad_events", "error_budget_remaining_ratio", "exhaustion_seconds", "burn_rate",
                "burn_row_fired", "coverage_ratio", "taken_out_seconds"}  # fmt: skip
    assert {name for name, samples in found.items() if not samples} == measured


def test_a_row_that_can_not_be_known_is_absent() -> None:
    of = objective()
    history = steady(of, 20_000)
    day = DAY
    history[day] = counts(1, 200, day, observed_ms=day // 2)
    found = told(judge(of, history, NOW))
    assert {labels["row"] for labels, _ in found["burn_row_fired"]} == {"fast", "slow", "ticket-3d"}


@pytest.mark.parametrize(
    ("changed", "events", "method"),
    [
        ({"indicator": replace(RATIO, scale=1000)}, (0.002, 0.5), "Occurrences"),
        ({"indicator": Allowance((Selector("a"),), (Selector("b"),))}, (2, 0.5), "Occurrences"),
        ({"slices": Timeslices(Fraction(9, 10), 60_000)}, (2, 500), "Timeslices"),
        ({"slices": RatioTimeslices(60_000)}, (2 / RATIO_UNIT, 500 / RATIO_UNIT), "RatioTimeslices"),
    ],
)
def test_events_are_told_in_their_own_unit(
    changed: dict[str, object], events: tuple[float, float], method: str
) -> None:
    of = replace(objective(), **changed)  # type: ignore[arg-type]
    found = told(judge(of, {**steady(of), of.window_ms: counts(2, 500, of.window_ms)}, NOW))
    assert (value(found["bad_events"]), value(found["events"])) == events
    assert found["info"][0][0]["method"] == method


def test_beyond_the_bound_what_burns_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slo_metrics, "MOST_OBJECTIVES", 2)
    of = objective()
    every = [judge(replace(of, slo=f"calm-{it}"), steady(of), NOW) for it in range(3)]
    every.append(judge(replace(of, slo="hot"), steady(of, 20_000), NOW))
    assert beyond(len(every)) == 2
    shown: Iterable[str] = chain.from_iterable({it["slo"] for it, _ in told(*every)[name]} for name in ("state",))
    assert sorted(shown) == ["calm-0", "hot"]


def test_the_time_that_is_taken_out_is_told_where_any_is() -> None:
    found = burning()
    assert told(found)["taken_out_seconds"] == []
    taken = TakenOut("a1", "maintenance", "new disks", "ann", 5_400_500, 3, 9, now=False)
    assert value(told(replace(found, taken_out=(taken, taken)))["taken_out_seconds"]) == 10_801.0
