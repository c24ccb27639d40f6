"""A composite of a counter, a query and a built-in indicator, by each method: judged, drawn, told and reported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from dashboards import pages
from dashboards.slo_views import ObjectivesView, ObjectiveView
from service.app import create_app
from service.main import running, system_clock
from service.parts import Parts
from service.settings import Settings
from slo.history import Point as Judged
from tests.service.asgi import ask
from tests.service.stores import Point, batch, series

METHODS = ("Occurrences", "Timeslices", "RatioTimeslices")
SLO = """\
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: of-%(name)s}
spec:
  service: shop
  timeWindow: [{duration: 1d, isRolling: true}]
  budgetingMethod: %(method)s
  objectives:
    - displayName: counted
      target: 0.9%(slices)s
      indicator:
        metadata: {name: counted}
        spec:
          ratioMetric:
            counter: true
            bad: {metricSource: {type: Prometheus, spec: {query: 'asked_total{bad="1"}'}}}
            total: {metricSource: {type: Prometheus, spec: {query: asked_total}}}
    - displayName: asked
      target: 0.99%(slices)s
      compositeWeight: 0.5
      indicator:
        metadata: {name: asked}
        spec:
          ratioMetric:
            counter: false
            bad: {metricSource: {type: Prometheus, spec: {query: 'sum(increase(asked_total{bad="1"}[2m])) * 1'}}}
            total: {metricSource: {type: Prometheus, spec: {query: 'sum(increase(asked_total[2m])) * 1'}}}
    - displayName: built-in
      target: 0.5%(slices)s
      indicator:
        metadata: {name: built-in}
        spec:
          ratioMetric:
            rawType: success
            raw: {metricSource: {type: midwatch, spec: {indicator: container-up, service: shop/api}}}
"""
SLICES = {
    "Occurrences": "",
    "Timeslices": "\n      timeSliceTarget: 0.9\n      timeSliceWindow: 1m",
    "RatioTimeslices": "\n      timeSliceWindow: 1m",
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """Two hours, of which in the last half every third minute fails."""
    folder: Path = tmp_path_factory.mktemp("composites")
    texts = (SLO % {"name": it.lower(), "method": it, "slices": SLICES[it]} for it in METHODS)
    (folder / "c.yaml").write_text("".join(texts).removeprefix("---\n"))
    with running(Settings(slos=(str(folder),)), folder / "data", system_clock) as found:
        begin, good, bad, points = found.clock() - 7_200_000, 0, 0, list[Point]()
        for at in range(1, 481):
            fails = at >= 360 and at // 4 % 3 == 0
            good, bad, now = good + (5 if fails else 10), bad + (5 if fails else 0), begin + at * 15_000
            points += [
                Point(series("asked_total", bad=it), now, float(n), begin) for it, n in (("0", good), ("1", bad))
            ]
            for it, how in (("desired", 2.0), ("healthy", 2.0 if at < 400 else 1.0)):
                name = series(f"midwatch_container_{it}_seconds_total", service="shop/api")
                points.append(Point(name, now, how * 15 * at, begin))
        found.store.append(batch(points))
        found.evaluator.tick()
        yield found


@pytest.mark.parametrize("method", METHODS)
def test_a_composite_of_several_kinds_is_judged_by_every_method(parts: Parts, method: str) -> None:
    assert parts.evaluator.last is not None
    judged = {it.objective.slo: it for it in parts.evaluator.last.judgements}
    found = judged[f"of-{method.lower()}"]
    members = [judged[f"of-{method.lower()}-{name}"] for name in ("counted", "asked", "built-in")]
    assert [it.state in ("ok", "burning", "exhausted") for it in (found, *members)] == [True] * 4
    assert all(it.objective.part_of == f"of-{method.lower()}" for it in members)
    burns = [1 - left for it in members if (left := it.budget_remaining) is not None]
    weighted = burns[0] + burns[1] / 2 + burns[2]
    assert found.budget_remaining is not None
    if method == "Timeslices":  # slices that are bad for several are so once
        assert max(burns[0], burns[1] / 2, burns[2]) <= 1 - found.budget_remaining <= weighted
        assert found.sli is not None
        assert found.sli <= min(it.sli for it in members if it.sli is not None)
    else:
        assert 1 - found.budget_remaining == weighted
    if method == "RatioTimeslices":
        misses = [1 - it.sli for it in members if it.sli is not None]
        assert found.sli == 1 - misses[0] - misses[1] / 2 - misses[2]
    if method == "Occurrences":
        assert found.sli is None


@pytest.mark.parametrize("method", METHODS)
def test_a_composite_is_drawn_and_reported(parts: Parts, method: str) -> None:
    app, name = create_app(parts), f"of-{method.lower()}"
    for path in (
        "/", "/oncall", "/slo", f"/slo/shop?slo={name}", f"/reports?slo={name}&service=shop",
        f"/reports.csv?slo={name}&service=shop", f"/reports.parquet?slo={name}&service=shop",
        f"/api/slo/objective?slo={name}&service=shop", "/metrics", "/api/judgements", "/api/slo/rules",
    ):  # fmt: skip
        assert ask(app, "GET", path).status_code == 200, path
    report = json.loads(ask(app, "GET", f"/api/slo/report?slo={name}&service=shop&from=7d").text)
    assert "Infinity" not in json.dumps(report) and "NaN" not in json.dumps(report)  # sloth #749


def _page(parts: Parts, name: str) -> ObjectiveView:
    now = parts.clock()
    view = pages.slo(parts.source, pages.parse("slo", {"slo": name, "service": "shop"}, now), now)
    assert isinstance(view, ObjectiveView)
    return view


def test_what_was_never_judged_of_a_composite_is_hatched_and_no_line(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was judged once, just now: no budget of before is known, not even a whole one."""

    def once(key: object, since_ms: int, until_ms: int, limit: int) -> list[Judged]:
        return [Judged(until_ms, "ok", 1.0, 0.5, *([None] * 7))]

    monkeypatch.setattr(parts.source, "points", once)
    plot = _page(parts, "of-occurrences").plot
    assert plot is not None
    assert sum(width for _, width in plot.gaps) > 70
    assert all(float(it.split()[0].strip("ML")) > plot.width * 0.7 for it in plot.line.split("L"))


def test_the_columns_of_a_young_query_are_no_shorter_than_its_minutes(parts: Parts) -> None:
    """Two hours in 180 columns would leave every third without a minute, as if it were not measured."""
    plot = _page(parts, "of-occurrences-asked").plot
    assert plot is not None
    assert sum(width for _, width in plot.gaps) < 5


def test_a_composite_shows_no_units_of_its_burn_as_events(parts: Parts) -> None:
    for slo in ("of-occurrences", "of-timeslices", "of-ratiotimeslices"):
        assert [it.key for it in _page(parts, slo).tiles if it.key == "bad"] == []
        asked = pages.parse("reports", {"slo": slo, "service": "shop", "period": "today"}, parts.clock())
        told = pages.report(parts.source, asked, parts.clock())
        assert [it.key for it in told.tiles if it.key == "bad"] == []
        assert {(it.bad, it.total) for it in told.rows} == {("–", "–")}
    rows = {it.slo: it for group in _listed(parts).groups for it in group.rows}
    assert (rows["of-occurrences"].sli, rows["of-occurrences"].target) == ("no SLI", "its members")


def _listed(parts: Parts) -> ObjectivesView:
    view = pages.slo(parts.source, pages.parse("slo", {}, parts.clock()), parts.clock())
    assert isinstance(view, ObjectivesView)
    return view


def test_what_a_composite_has_left_is_the_end_of_its_burn_down(parts: Parts) -> None:
    assert parts.evaluator.last is not None
    for it in parts.evaluator.last.judgements:
        if it.objective.members and it.budget_remaining is not None:
            edges = [it.at_ms - it.objective.window_ms, it.at_ms - 3_600_000, it.at_ms]
            steps = parts.evaluator.steps([it.objective], edges)[0]
            whole = it.counts.total if it.objective.slo == "of-timeslices" else sum(one.total for one in steps)
            left = 1 - Fraction(sum(one.bad for one in steps), whole)
            assert abs(left - it.budget_remaining) < Fraction(1, 10**9)
