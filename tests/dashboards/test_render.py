"""Whole pages as HTML."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from dashboards import pages
from dashboards.page_views import View
from dashboards.text import shown
from tests.dashboards.fake import FakeSource
from tests.dashboards.rich import HOSTILE, NOW

Build = Callable[[FakeSource], View]
PAGES: dict[str, Build] = {
    "executive": lambda source: pages.executive(source, pages.parse("executive", {}, NOW), NOW),
    "oncall": lambda source: pages.oncall(source, pages.parse("oncall", {}, NOW), NOW),
    "debug": lambda source: pages.debug(source, pages.parse("debug", {"service": HOSTILE}, NOW), NOW),
    "everything": lambda source: pages.debug(source, pages.parse("debug", {}, NOW), NOW),
    "reports": lambda source: pages.report(source, pages.parse("reports", {}, NOW), NOW),
    "report": lambda source: pages.report(
        source, pages.parse("reports", {"slo": "container-up", "service": HOSTILE}, NOW), NOW
    ),
    "incident": lambda source: pages.incident(source, "inc-2415", NOW),
    "runbook": lambda source: pages.runbook(
        source, "oom-storm", f"# A\n\n{HOSTILE}\n\n[x](javascript:alert(1))\n", NOW
    ),
    "error": lambda source: pages.error(404, f"There is nothing at {HOSTILE}", NOW),
}
VOID = {"meta", "link", "img", "input", "br", "hr", "line", "path", "rect", "circle"}


class _Page(HTMLParser):
    """Tags with their attributes, the text, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        elif tag not in VOID:
            self.unbalanced.append(tag)


@pytest.fixture(params=list(PAGES))
def built(request: pytest.FixtureRequest) -> Build:
    """Each page in turn."""
    return PAGES[request.param]


def test_no_hostile_name_becomes_a_tag_and_no_script_stands_in_the_page(built: Build, source: FakeSource) -> None:
    text = pages.render(built(source))
    page = _Page(text)
    assert [tag for tag, _ in page.tags if tag == "img"] == []
    scripts = [has for tag, has in page.tags if tag == "script"]
    assert all("src" in it or it.get("type") == "application/json" for it in scripts)
    assert not [has for _, has in page.tags if any(name.startswith("on") or name == "style" for name in has)]
    assert not [has for tag, has in page.tags if tag == "a" and (has.get("href") or "").startswith("javascript:")]


def test_no_name_or_line_turns_the_text_of_a_page_around(built: Build, source: FakeSource) -> None:
    view = built(source)
    text = pages.render(view)
    assert "\\u202egpj\\u2066" in text
    steering = re.compile("[\u202a-\u202e\u2066-\u2069]")
    assert not steering.search(re.sub(r' value="[^"]*"', "", text)), "beside the values of forms, which nobody sees"
    boot = re.search(r'<script type="application/json" id="boot">(.*?)</script>', text, re.DOTALL)
    assert boot
    data = json.loads(boot[1])
    seen = [it["label"] for panel in data["panels"].values() for it in panel.get("series", ())]
    assert not steering.search(" ".join([*seen, *(name for name, _, _ in data["find"])]))


def test_a_form_gives_a_hostile_name_back_as_it_was(source: FakeSource) -> None:
    page = _Page(pages.render(PAGES["everything"](source)))
    assert HOSTILE in [has.get("value") for tag, has in page.tags if tag == "option"]


def test_every_tag_is_closed_and_every_id_is_there_once(built: Build, source: FakeSource) -> None:
    page = _Page(pages.render(built(source)))
    assert page.unbalanced == []
    assert page.open == []
    ids = [has["id"] for _, has in page.tags if "id" in has]
    assert len(ids) == len(set(ids))


def test_every_page_can_be_drawn_before_anything_was_measured(empty: FakeSource) -> None:
    for name in ("executive", "oncall", "everything", "reports"):
        text = pages.render(PAGES[name](empty))
        assert "No sample has arrived yet" in text
        assert "st-ok" not in text
        assert "m-ok" not in text


def test_the_first_copy_of_the_panels_is_in_the_page(source: FakeSource) -> None:
    view = PAGES["oncall"](source)
    boot = re.search(r'<script type="application/json" id="boot">(.*?)</script>', pages.render(view), re.DOTALL)
    assert boot
    data = json.loads(boot[1])
    request = pages.parse("oncall", {}, NOW)
    assert data["panels"] == json.loads(json.dumps(pages.panels(source, request, NOW)["panels"]))
    assert None in data["panels"]["errors"]["series"][0]["v"]
    assert shown(HOSTILE) in [name for name, _, _ in data["find"]]


def test_unmeasured_is_never_green(source: FakeSource) -> None:
    source.objectives = {it: tally for it, tally in source.objectives.items() if it.unmeasurable}
    source.open_incidents = []
    source.service_rows = []
    source.node_rows = []
    source.waves = {}
    source.happenings = []
    source.told = replace(source.status(), first_sample_ms=NOW - 1, evaluated_ms=None)
    for name in ("executive", "oncall"):
        text = pages.render(PAGES[name](source))
        assert "st-ok" not in text
        assert "unmeasured" in text


def test_each_hollow_state_has_its_own_mark_and_word(source: FakeSource) -> None:
    text = pages.render(PAGES["oncall"](source))
    for level, word in (("quiet", "no traffic"), ("learning", "learning"), ("unmeasured", "unmeasured")):
        assert f"st-{level}" in text
        assert f'class="word">{word}<' in text


def test_times_carry_utc_for_the_reader_who_wants_it(source: FakeSource) -> None:
    page = _Page(pages.render(PAGES["oncall"](source)))
    times = [has for tag, has in page.tags if tag == "time"]
    assert len(times) > 10
    assert all((has["title"] or "").endswith(" UTC") and (has["datetime"] or "").endswith("Z") for has in times)


def test_a_reader_without_javascript_sees_lines_values_and_rows(source: FakeSource) -> None:
    text = pages.render(PAGES["oncall"](source))
    assert re.search(r'<svg viewBox="0 0 600 150"[^>]*><path class="k0" d="M', text)
    assert text.count("data-incident") == 4
    assert "restarts in all" in text
    assert '<form method="post" action="/api/incidents/inc-2417/ack"' in text


def test_html_in_a_runbook_is_shown_as_text(source: FakeSource) -> None:
    text = pages.render(PAGES["runbook"](source))
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    assert "shop/worker: 4 OOM kills" in text


def test_an_incident_shows_its_proof_and_what_can_be_done(source: FakeSource) -> None:
    text = pages.render(pages.incident(source, "inc-2418", NOW))
    assert "4 in 5 min (limit 3)" in text
    assert 'action="/api/silences"' in text
    assert 'href="/runbooks/oom-storm"' in text
    assert 'href="/debug?service=shop%2Fworker"' in text


def test_an_incident_that_is_over_can_be_taken_out_of_the_budget_and_nothing_else(source: FakeSource) -> None:
    over = replace(source.open_incidents[0], status="resolved", resolved_ms=NOW - 1)
    source.open_incidents = [over]
    text = pages.render(pages.incident(source, over.id, NOW))
    assert re.findall(r'method="post" action="([^"]*)"', text) == ["/api/slo/adjustments"]
    assert "resolved" in text


def test_what_does_not_exist_is_not_found(source: FakeSource) -> None:
    for ask in (lambda: pages.incident(source, "nope", NOW), lambda: pages.runbook(source, "nope", None, NOW)):
        with pytest.raises(pages.RequestFault) as caught:
            ask()
        assert caught.value.status == 404


def test_an_ack_comes_back_to_the_page_it_was_sent_from(source: FakeSource) -> None:
    view = pages.oncall(source, pages.parse("oncall", {"range": "1h", "service": HOSTILE}, NOW), NOW)
    assert 'name="return_to" value="/oncall?range=1h&amp;service=%3Cimg' in pages.render(view)
