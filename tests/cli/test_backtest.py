"""`midwatch slo backtest` and `show` against a service: what a script sees of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.backtest import Asked, backtest, untold
from cli.errors import Answered
from cli.slo_show import lines, table
from service.app import create_app
from service.main import running, system_clock
from service.settings import Settings
from tests.service.stores import Point, batch, series
from tests.slo.openslo.support import GOOD, with_line
from tests.support.ports import free_port
from tests.support.serving import serving

NOWHERE = with_line("name: api", "name: nowhere").replace("http_requests_total", "nowhere_total")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Of a service that counted an hour."""
    asked = Settings(listen=f"127.0.0.1:{free_port()}")
    with running(asked, tmp_path_factory.mktemp("data"), system_clock) as parts:
        start = parts.clock() - 3_600_000
        parts.store.append(
            batch(
                Point(series("http_requests_total", code="200"), start + step * 15_000, float(step * 10), start)
                for step in range(1, 240)
            )
        )
        parts.evaluator.tick()
        with serving(create_app(parts), asked.listen):
            yield asked


def _ran(settings: Settings, folder: Path, *texts: str, since: str = "1d", as_json: bool = False) -> int:
    """The exit code of the command over these texts."""
    for at, text in enumerate(texts):
        (folder / f"{at}.yaml").write_text(text)
    try:
        backtest(settings, Asked([folder], since, None, strict=False), as_json)
    except typer.Exit as ended:
        return ended.exit_code
    return 0


def test_what_was_counted_is_told_and_ends_well(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ran(settings, tmp_path, GOOD) == 0
    assert "budget left 100.00 %" in capsys.readouterr().out


@pytest.mark.parametrize("as_json", [False, True])
def test_an_objective_of_which_nothing_was_counted_is_told_by_the_exit_code(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    assert _ran(settings, tmp_path, GOOD, NOWHERE, as_json=as_json) == 3
    out = capsys.readouterr().out
    assert len(json.loads(out)["objectives"]) == 2 if as_json else "nothing was counted" in out


def test_a_period_without_a_whole_minute_can_not_be_meant(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="holds no whole minute"):
        _ran(settings, tmp_path, GOOD, since="0s")


def test_each_fault_of_a_file_is_a_line_as_check_tells_it(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = with_line("30d", "30x", with_line("name: api", "name: other"))
    assert _ran(settings, tmp_path, with_line("0.999", "7"), other) == 1
    told = capsys.readouterr()
    assert (told.out, len(told.err.splitlines())) == ("", 2)
    assert "0.yaml:28: spec.objectives[0].target: is not from 0 to below 1" in told.err.splitlines()[0]


def test_what_the_service_refuses_for_another_reason_is_a_refusal(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    with pytest.raises(Answered, match="target_percent is no target"):
        backtest(settings, Asked([tmp_path], "1d", "100", strict=False), json=False)


def test_files_without_an_objective_tell_nothing() -> None:
    assert untold({"objectives": []})
    assert untold({"objectives": [{"asked": None, "why_not": "so"}]})


def _judged(state: str, **more: Any) -> dict[str, Any]:
    row = {
        "long_ms": 3_600_000, "short_ms": 300_000, "long_burn": None, "short_burn": None, "op": None, "factor": 14.4,
        "fired": False, "measured": False, "guarded": False, "road": "page", "row": "fast",
    }  # fmt: skip
    return {
        "service": "shop", "slo": "both", "scope": {}, "state": state, "sli": None, "target": "99 %", "note": None,
        "budget_remaining": 0.887, "rows": [row], "exhausted_at": None, "title": "both", "reason": "so",
        "calendar": None, "window_ms": 3_600_000, "period_ms": 3_600_000, "method": "Occurrences", "indicator": "x",
        "bad": 5, "total": 9, "bad_unit": "burn", "total_unit": "burn", "parts": 1, "coverage": None,
        "members": [{"slo": "a", "weight": 1.0}],
    } | more  # fmt: skip


def test_what_is_unmeasured_has_neither_a_budget_nor_traffic_nor_an_end() -> None:
    _, row = table([_judged("unmeasured")])
    assert row.split() == ["shop", "both", "unmeasured", "none", "99", "%", "-", "-", "-"]
    told = "\n".join(lines(_judged("unmeasured")))
    assert "budget left not known\n" in told
    assert "not known: 1 h no data, 5 min no data" in told
    assert ("no traffic" in told, "runs out" in told, "burn of" in told) == (False, False, False)
