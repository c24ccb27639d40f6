"""What adjustments take out, as pages and reports tell it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace

import pytest

from dashboards import pages
from dashboards.slo_rows import taken_text
from dashboards.slo_views import ObjectiveView
from slo.adjust import Adjustment, Revoked
from slo.model import Counts, Judgement, Objective, TakenOut
from tests.dashboards.fake import FakeSource
from tests.dashboards.rich import DAY, HOSTILE, HOUR, NOW

API = {"slo": "request-availability", "service": "shop/api"}
MADE = Adjustment(
    "a1",
    "maintenance",
    ("request-*",),
    (),
    (),
    NOW - DAY,
    NOW - DAY + 2 * HOUR,
    f"new disks {HOSTILE}",
    "ann",
    NOW - DAY,
)


@pytest.fixture
def adjusted(source: FakeSource, monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    """One objective of which two adjustments took something, and an adjustment of it that was revoked."""
    gone = replace(MADE, id="a2", reason="never mind", revoked=Revoked(NOW, "bob", "was wrong"))
    source.made_adjustments = [MADE, gone]
    judged, steps = source.judgements, source.steps
    taken = (
        TakenOut("a1", "maintenance", MADE.reason, "ann", 2 * HOUR, 12, 3456, now=False),
        TakenOut("a3", "incident", "a drill", "bob", 30 * 60_000, 1, 2, now=False),
    )

    def with_taken() -> Sequence[Judgement]:
        return [
            replace(it, taken_out=taken) if (it.objective.slo, it.objective.service) == tuple(API.values()) else it
            for it in judged()
        ]

    def without(objectives: Sequence[Objective], edges_ms: Sequence[int]) -> list[list[Counts]]:
        found = [list(it) for it in steps(objectives, edges_ms)]
        return [[replace(one, taken_ms=HOUR) if at == 0 else one for at, one in enumerate(row)] for row in found]

    monkeypatch.setattr(source, "judgements", with_taken)
    monkeypatch.setattr(source, "steps", without)
    return source


def test_a_row_tells_how_much_why_and_who(adjusted: FakeSource) -> None:
    view = pages.oncall(adjusted, pages.parse("oncall", {}, NOW), NOW)
    told = {(it.slo, it.subject): (it.taken_out, it.taken_out_title) for it in view.slo if it.taken_out}
    assert told == {
        ("request-availability", "shop/api"): (
            "2 h 30 min taken out",
            f"2 h taken out, 12 bad of 3 456: {MADE.reason} (ann); 30 min taken out, 1 bad of 2: a drill (bob)",
        )
    }
    text = pages.render(view)
    assert ">2 h 30 min taken out</a>" in text
    assert HOSTILE not in text


def test_the_list_of_objectives_marks_it(adjusted: FakeSource) -> None:
    text = pages.render(pages.slo(adjusted, pages.parse("slo", {}, NOW), NOW))
    assert text.count(">2 h 30 min taken out</a>") == 1


def test_the_page_of_the_objective_tells_it(adjusted: FakeSource) -> None:
    view = pages.slo(adjusted, pages.parse("slo", API, NOW), NOW)
    assert isinstance(view, pages.ObjectiveView)
    assert dict(view.facts)["costs no budget"].startswith("2 h taken out, 12 bad of 3 456: new disks")
    assert 'href="/adjustments"' in pages.render(view)


def test_a_report_tells_what_was_taken_out_of_its_period(adjusted: FakeSource) -> None:
    asked = pages.parse("reports", {**API, "range": "7d"}, NOW)
    view = pages.report(adjusted, asked, NOW)
    assert view.note.endswith(f" 1 h taken out of the budget: {MADE.reason} (ann).")
    assert HOSTILE not in pages.render(view)
    text, _ = pages.csv(adjusted, asked, NOW)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [it["taken_out_seconds"] for it in rows] == ["3600", *["0"] * (len(rows) - 1)]


def test_a_report_without_any_says_nothing_of_it(source: FakeSource) -> None:
    view = pages.report(source, pages.parse("reports", {**API, "range": "7d"}, NOW), NOW)
    assert "taken out" not in view.note


def test_the_page_of_an_objective_tells_each_of_them(adjusted: FakeSource) -> None:
    view = pages.slo(adjusted, pages.parse("slo", API, NOW), NOW)
    assert isinstance(view, ObjectiveView)
    assert [tuple(it) for it in view.taken] == [
        (MADE.reason, "ann", "2 h", "12 bad of 3 456"), ("a drill", "bob", "30 min", "1 bad of 2"),
    ]  # fmt: skip
    assert HOSTILE not in pages.render(view)
    row = next(
        it
        for group in pages.slo(adjusted, pages.parse("slo", {"service": "shop/api"}, NOW), NOW).groups  # type: ignore[union-attr]
        for it in group.rows
        if it.taken_out
    )
    assert (row.slo, row.taken_out) == ("request-availability", "2 h 30 min taken out")


def test_what_was_never_seen_had_no_time_taken_out(source: FakeSource) -> None:
    judged = source.judgements()[0]
    assert taken_text(replace(judged, taken_out=(TakenOut("a1", "maintenance", "x", "y", 0, 0, 0, now=True),))) == ""
