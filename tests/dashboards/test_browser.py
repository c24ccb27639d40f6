"""Pages in a real browser: nothing from elsewhere, nothing hostile runs, nothing scrolls sideways."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from dashboards.assets import STATIC, assets
from dashboards.text import shown
from tests.dashboards.fake import FakeSource
from tests.dashboards.rich import HOSTILE, NOW
from tests.dashboards.serve import Site, serving

pytestmark = pytest.mark.browser
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
ADDRESSES = ("/", "/oncall", "/debug", "/slo", "/slo/shop/worker", "/slo/shop/api?slo=request-availability",
             "/reports?service=shop/api", "/reports?slo=request-availability&service=shop/api", "/incidents/inc-2415",
             "/runbooks/oom-storm", "/nothing-here")  # fmt: skip
MOST_SCRIPT_BYTES = 80_000


@dataclass
class Opened:
    """One page with what it did wrong."""

    page: Page
    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


Open = Callable[..., Opened]


@pytest.fixture(scope="module")
def browser(browser_path: str) -> Iterator[Browser]:
    """One browser for all tests of this file."""
    if not assets().built:
        pytest.fail("the browser code is not built: run `python hatch_build.py`")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=browser_path, args=list(FLAGS))
        yield found
        found.close()


@pytest.fixture
def site(fleet: FakeSource) -> Iterator[Site]:
    """The busy fleet, served."""
    with serving(replace(fleet, asked=[]), lambda: NOW) as found:
        yield found


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Open]:
    """Opens an address in a fresh context and waits until its scripts have run."""
    contexts = []

    def go(address: str, *, ready: bool = True, **options: Any) -> Opened:
        context = browser.new_context(**{"viewport": DESK, "timezone_id": "Europe/Paris", **options})
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.on("pageerror", lambda fault: opened.errors.append(str(fault)))
        opened.page.on(
            "console", lambda said: opened.errors.append(said.text) if _complains(said.type, said.text) else None
        )
        opened.page.on("dialog", lambda dialog: (opened.errors.append("a hostile script ran"), dialog.dismiss()))
        opened.page.on(
            "request", lambda it: None if it.url.startswith((site.url, "data:")) else opened.elsewhere.append(it.url)
        )
        opened.page.goto(site.url + address)
        if ready:
            opened.page.wait_for_selector("html[data-ready]", state="attached")
        return opened

    yield go
    for context in contexts:
        context.close()


def _complains(kind: str, text: str) -> bool:
    return kind == "error" and "404" not in text


def _no_fault(opened: Opened) -> None:
    assert opened.errors == []
    assert opened.elsewhere == []


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_runs_without_a_fault_and_asks_no_other_host(visit: Open, address: str, scheme: str) -> None:
    opened = visit(address, color_scheme=scheme)
    _no_fault(opened)
    assert opened.page.locator("img").count() == 0


@pytest.mark.parametrize("address", ADDRESSES)
def test_nothing_scrolls_sideways_on_a_phone(visit: Open, address: str) -> None:
    opened = visit(address, viewport=PHONE, is_mobile=True, has_touch=True)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    expect(opened.page.locator(".tab")).to_be_visible()
    _no_fault(opened)


def test_the_scripts_are_small(browser: Browser) -> None:
    sizes = {it.name: it.stat().st_size for it in (STATIC / "dist").glob("*.js")}
    assert sum(sizes.values()) < MOST_SCRIPT_BYTES, sizes
    assert "uplot" in (STATIC / "dist" / "THIRD-PARTY-LICENSES.txt").read_text()


def test_a_hostile_name_is_text_in_tooltip_legend_and_search(visit: Open) -> None:
    opened = visit("/debug")
    page = opened.page
    expect(page.locator("[data-legend=cpu]")).to_contain_text(shown(HOSTILE))
    page.locator("[data-panel=cpu]").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".tip")).to_contain_text(shown(HOSTILE))
    page.keyboard.press("Tab")
    page.keyboard.press("/")
    page.keyboard.type("onerror")
    expect(page.locator("#search li").first).to_contain_text(shown(HOSTILE))
    page.keyboard.press("Enter")
    page.wait_for_url("**/oncall?service=%3Cimg*")
    expect(page.locator(".chip").first).to_contain_text(shown(HOSTILE))
    _no_fault(opened)


def test_a_drag_zooms_into_the_address_and_back_comes_back(visit: Open) -> None:
    opened = visit("/oncall?range=6h")
    page = opened.page
    page.locator("[data-panel=errors]").scroll_into_view_if_needed()
    box = page.locator("[data-panel=errors] .u-over").bounding_box()
    assert box
    page.mouse.move(box["x"] + 150, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 260, box["y"] + 50, steps=5)
    page.mouse.up()
    page.wait_for_url(re.compile(r"from=\d+&to=\d+"))
    expect(page.locator("#live")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#custom")).to_be_visible()
    page.go_back()
    page.wait_for_url("**/oncall?range=6h")
    _no_fault(opened)


def test_the_crosshair_is_over_all_charts_at_one_time(visit: Open) -> None:
    page = visit("/debug?range=1h").page
    box = page.locator("[data-panel=memory] .u-over").bounding_box()
    assert box
    page.mouse.move(box["x"] + 200, box["y"] + 60)
    expect(page.locator(".tip")).to_contain_text("MiB")
    moved = "[...document.querySelectorAll('.u-cursor-x')].filter(it => !/-10px/.test(it.style.transform)).length"
    _until(page, lambda: page.evaluate(f"{moved} >= 2"))


def test_a_change_arrives_live_without_a_reload(visit: Open, site: Site, fleet: FakeSource) -> None:
    opened = visit("/oncall")
    page = opened.page
    _until(page, lambda: page.evaluate("document.querySelector('#live').dataset.state === 'on'"))
    expect(page.locator("[data-incident]")).to_have_count(4)
    assert isinstance(site.source, FakeSource)
    site.source.open_incidents = fleet.open_incidents[:1]
    site.tell()
    expect(page.locator("[data-incident]")).to_have_count(1)
    expect(page.locator("[data-tile=firing] b")).to_have_text("1")
    _no_fault(opened)


def test_graphs_go_on_with_time_and_keep_their_gap(visit: Open, site: Site) -> None:
    page = visit("/oncall?range=6h").page
    _until(page, lambda: page.evaluate("document.querySelector('#live').dataset.state === 'on'"))
    before = page.locator(".foot time").get_attribute("datetime")
    site.now = lambda: NOW + 240_000
    assert isinstance(site.source, FakeSource)
    site.source.now_ms = NOW + 240_000
    site.tell()
    _until(page, lambda: page.evaluate("before => document.querySelector('.foot time').dateTime !== before", before))
    expect(page.locator("#lost")).to_be_hidden()


def test_a_hidden_page_holds_no_stream(visit: Open, site: Site) -> None:
    page = visit("/oncall").page
    _until(page, lambda: page.evaluate("document.querySelector('#live').dataset.state === 'on'"))
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {configurable: true, get: () => true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    _until(page, lambda: site.streams == 0)
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    _until(page, lambda: site.streams == 1)


def _until(page: Page, condition: Callable[[], bool]) -> None:
    """Wait for a condition; `wait_for_function` would evaluate text in the page, which its policy forbids."""
    for _ in range(300):
        if condition():
            return
        page.wait_for_timeout(100)
    pytest.fail("it did not come to that within 30 s")


def test_a_service_that_is_gone_is_told(visit: Open, site: Site, browser: Browser) -> None:
    page = visit("/oncall").page
    _until(page, lambda: page.evaluate("document.querySelector('#live').dataset.state === 'on'"))
    page.context.set_offline(True)
    site.ended.set()
    site.tell()
    expect(page.locator("#lost")).to_be_visible()


def test_an_incident_is_acknowledged_by_keyboard(visit: Open, site: Site) -> None:
    opened = visit("/oncall")
    opened.page.keyboard.press("j")
    with opened.page.expect_response("**/ack"):
        opened.page.keyboard.press("a")
    assert site.posted == [("/api/incidents/inc-2418/ack", {"return_to": "/oncall"})]
    _no_fault(opened)


def test_keys_change_page_and_range(visit: Open) -> None:
    page = visit("/oncall?service=search").page
    page.keyboard.press("2")
    page.wait_for_url("**/oncall?range=1h&service=search")
    page.wait_for_selector("html[data-ready]", state="attached")
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_url("**/debug?range=1h&service=search")


def test_the_chosen_theme_stays(visit: Open) -> None:
    page = visit("/oncall", color_scheme="light").page
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 16, 20)"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_times_are_in_the_readers_zone_with_utc_beside_them(visit: Open) -> None:
    page = visit("/oncall").page
    shown = page.locator(".inc time").first
    assert shown.inner_text() == "02:27"
    assert shown.get_attribute("title") == "2026-12-02 01:27 UTC"


def test_without_javascript_everything_is_there_but_the_live_part(browser: Browser, site: Site) -> None:
    context = browser.new_context(java_script_enabled=False, viewport=DESK)
    page = context.new_page()
    page.goto(f"{site.url}/oncall")
    assert page.locator("table.slo tbody tr").count() == len(FakeSource.judgements(site.source))  # type: ignore[arg-type]
    expect(page.locator("[data-panel=errors] .drawn")).to_be_visible()
    expect(page.locator("#live")).to_be_hidden()
    page.locator(".inc button").first.click()
    page.wait_for_url("**/oncall")
    assert site.posted[0][0] == "/api/incidents/inc-2418/ack"
    page.goto(f"{site.url}/debug")
    page.select_option("select[name=service]", "shop/worker")
    page.locator(".filter button").click()
    page.wait_for_url(re.compile(r"/debug\?service=shop%2Fworker"))
    context.close()


def test_a_report_is_printed_from_what_the_server_drew(visit: Open) -> None:
    page = visit("/reports?slo=request-availability&service=shop/api").page
    page.emulate_media(media="print")
    expect(page.locator("svg.plot").first).to_be_visible()
    expect(page.locator(".top")).to_be_hidden()


def test_nothing_sent_yet_is_drawn_without_a_fault(browser: Browser, empty: FakeSource) -> None:
    with serving(empty, lambda: NOW) as site:
        context = browser.new_context(viewport=PHONE)
        page = context.new_page()
        faults: list[Error] = []
        page.on("pageerror", lambda fault: faults.append(fault))
        for address in ("/", "/oncall", "/debug", "/reports"):
            page.goto(site.url + address)
            page.wait_for_selector("html[data-ready]", state="attached")
            expect(page.locator(".notice").filter(has_text="No sample has arrived yet")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert faults == []
        context.close()


def test_a_page_of_objectives_renews_itself_while_somebody_looks(browser: Browser, site: Site) -> None:
    context = browser.new_context(viewport=DESK)
    context.clock.install()
    page = context.new_page()
    faults: list[Error] = []
    page.on("pageerror", lambda fault: faults.append(fault))
    page.goto(f"{site.url}/slo/shop/api?slo=request-availability")
    # frames are of the installed clock too
    page.clock.run_for(1000)
    page.wait_for_selector("html[data-ready]", state="attached")
    before = page.locator("#asof time").get_attribute("datetime")
    site.now = lambda: NOW + 60_000
    page.clock.run_for(61_000)
    expect(page.locator("#asof time")).not_to_have_attribute("datetime", before or "")
    expect(page.locator("svg.plot")).to_be_visible()
    assert faults == []
    context.close()
