"""Slices, minutes and queries as rules, evaluated by promtool minute by minute, against numbers made by hand."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from slo.model import EventRatio, MinuteSlices, Objective, QueryIndicator, Selector
from slo.slices import RatioTimeslices, Timeslices
from tests.slo.prometheus.support import objective, rules
from tests.slo.support import DAY, MINUTE
from tests.support.prometheus import needs_prometheus

WEEK = 7 * DAY
"""Its fast row has windows of 14 and 2 minutes."""


def _counter(rises: Sequence[int]) -> str:
    """Four samples a minute; what a minute adds comes with them in equal parts."""
    sums = [sum(rises[:minute]) + rises[minute] * quarter // 4 for minute in range(len(rises)) for quarter in range(4)]
    return " ".join(str(it) for it in [*sums, sum(rises)])


def _steps(values: Sequence[float]) -> str:
    """A gauge that holds each value for a minute, and ends with the last one's first sample."""
    held = [str(value) for value in values for _ in range(4)]
    return " ".join([*held[:-3], "stale"])


BAD = [0] * 4 + [400, 400] + [0] * 3 + [200] + [0] * 10
GOOD = [400 - it for it in BAD]
LAG = [0.0] + [0.1] * 9 + [0.5, 0.6] + [0.1] * 9
USED = [0.0] + [50.0] * 11 + [31.0, 30.0, 29.0] + [50.0] * 6
SERIES = {
    'requests_total{code="200"}': _counter(GOOD),
    'requests_total{code="500"}': _counter(BAD),
    "lag": _steps(LAG),
    "avail": _steps(USED),
    "size": _steps([100.0] * 21),
}


def _promtool(folder: Path, objectives: Sequence[Objective], asked: dict[str, int | None]) -> str:
    """What promtool says where expressions have not these values, in millionths, two minutes after the last slice.

    promtool evaluates groups in any order, and in another one each time, if it is not told.
    """
    text = rules(objectives)[0]
    (folder / "rules.yml").write_text(text)
    order = [it["name"] for it in yaml.safe_load(text)["groups"]]
    tests: list[dict[str, Any]] = [
        {
            "expr": f"round(1e6 * sum({expr}))",
            "eval_time": "22m30s",
            "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
        }
        for expr, value in asked.items()
    ]
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in SERIES.items()],
        "promql_expr_test": tests,
    }
    (folder / "test.yml").write_text(
        json.dumps(
            {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "group_eval_order": order, "tests": [test]}
        )
    )
    promtool = shutil.which("promtool")
    assert promtool is not None
    ran = subprocess.run(
        [promtool, "test", "rules", str(folder / "test.yml")], capture_output=True, text=True, check=False
    )
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


def _at(name: str, slo: str) -> str:
    return f'midwatch_slo:{name}{{slo="{slo}"}}'


RATIO = EventRatio(
    (Selector("requests_total"),),
    bad=(Selector("requests_total", objective().indicator.bad[0].matchers),),  # type: ignore[union-attr]
)
WHOLE_WEEK = 7 * 24 * 60


@needs_prometheus
@pytest.mark.parametrize(
    ("of", "bad", "total", "whole"),
    [
        (objective("x", slices=Timeslices(Fraction(95, 100), MINUTE)), 1, 14, 3 / WHOLE_WEEK),
        (objective("x", slices=Timeslices(Fraction(1, 2), MINUTE)), 0, 14, 2 / WHOLE_WEEK),
        (objective("x", slices=RatioTimeslices(MINUTE)), 0.5, 12, 2.5 / 20),
        (objective("x", query=QueryIndicator("threshold", "lag", op="lt", value=Fraction(1, 2))), 2, 12, 2 / 21),
        (objective("x", query=QueryIndicator("threshold", "lag", op="lte", value=Fraction(1, 2))), 1, 12, 1 / 21),
        (objective("x", query=QueryIndicator("raw-bad", "lag")), 2.1, 12, 2.9 / 21),
        (
            objective(
                "x",
                indicator=MinuteSlices("gauge", Selector("avail"), Selector("size"), Fraction(7, 10), complement=True),
            ),
            2, 12, 3 / 21,
        ),
    ],
    ids=["timeslices", "half", "ratios", "threshold", "threshold-lte", "raw", "disk"],
)  # fmt: skip
def test_slices_are_summed_over_each_window(of: Any, bad: float, total: int, whole: float, tmp_path: Path) -> None:
    of = objective("x", indicator=of.indicator, slices=of.slices, query=of.query, window_ms=WEEK)
    said = _promtool(
        tmp_path,
        [of],
        {
            _at("bad:increase14m", "x"): round(bad * 10**6),
            _at("total:increase14m", "x"): total * 10**6,
            _at("sli_error:ratio_rate14m", "x"): round(bad / total * 10**6),
            _at("burn:rate14m", "x"): round(bad / total * 10**9),
            _at("sli_error:ratio_rate7d", "x"): round(whole * 10**6),
        },
    )
    assert said == ""


@needs_prometheus
def test_a_composite_with_a_member_that_nobody_sees_is_not_covered_and_has_no_budget(tmp_path: Path) -> None:
    """Its alert `slo-unmeasured` is by that coverage, and its members have none."""
    nowhere = EventRatio((Selector("nowhere_total"),), bad=(Selector("nowhere_bad_total"),))
    seen = objective("seen", indicator=RATIO, window_ms=WEEK, budget=Fraction(1, 2), part_of="both")
    quiet = objective("quiet", indicator=nowhere, window_ms=WEEK, budget=Fraction(1, 2), part_of="both")
    members = tuple((name, Fraction(1)) for name in ("seen", "quiet"))
    both = objective("both", budget=Fraction(1), window_ms=WEEK, members=members)
    whole = objective("whole", budget=Fraction(1), window_ms=WEEK, members=members[:1])
    said = _promtool(
        tmp_path,
        [seen, quiet, both, whole],
        {
            'midwatch_slo:coverage:ratio2m{slo="both"}': 0,
            'midwatch_slo:coverage:ratio2m{slo="whole"}': 10**6,
            'midwatch_slo:error_budget_remaining:ratio{slo="both"}': None,
            'midwatch_slo:error_budget_remaining:ratio{slo="whole"} > bool 0': 10**6,
        },
    )
    assert said == ""


@needs_prometheus
def test_a_slice_of_a_composite_is_bad_once_and_the_dearest_member_pays(tmp_path: Path) -> None:
    def member(name: str, target: Fraction, budget: Fraction) -> Objective:
        return objective(
            name, indicator=RATIO, slices=Timeslices(target, MINUTE), budget=budget, part_of="both", window_ms=WEEK
        )

    strict, loose = (
        member("strict", Fraction(95, 100), Fraction(1, 50)),
        member("loose", Fraction(1, 2), Fraction(1, 10)),
    )
    both = objective(
        "both",
        budget=Fraction(1),
        slices=strict.slices,
        window_ms=WEEK,
        members=(("strict", Fraction(1)), ("loose", Fraction(10))),
    )
    said = _promtool(
        tmp_path,
        [strict, loose, both],
        # two minutes are bad for both, and cost 10 / 0.1; one is bad for the first alone, and costs 1 / 0.02
        {'midwatch_slo:burn:rate7d{slo="both"}': round((2 * 100 + 50) / WHOLE_WEEK * 10**6)},
    )
    assert said == ""
