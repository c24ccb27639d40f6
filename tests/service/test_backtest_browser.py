"""The page that tries an objective, in a real browser: typed on, answered, its faults marked, nothing hostile run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from dashboards.assets import assets
from service.app import create_app
from service.main import running, system_clock
from service.settings import Settings
from tests.service.stores import Point, batch, series
from tests.slo.openslo.support import GOOD, with_line
from tests.support.ports import free_port
from tests.support.serving import serving

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service with two hours of requests and one objective over them."""
    folder: Path = tmp_path_factory.mktemp("try")
    (folder / "a.yaml").write_text(GOOD)
    listen = f"127.0.0.1:{free_port()}"
    settings = Settings(slos=(str(folder / "a.yaml"),), listen=listen)
    with running(settings, folder / "data", system_clock) as parts:
        start = parts.clock() - 7_200_000
        parts.store.append(
            batch(
                Point(series("http_requests_total", code=code), start + step * 15_000, float(step * rise), start)
                for step in range(1, 481)
                for code, rise in (("200", 99), ("500", 1))
            )
        )
        parts.evaluator.tick()
        with serving(create_app(parts), listen):
            yield f"http://{listen}"


@pytest.fixture
def page(browser_path: str, url: str) -> Iterator[Page]:
    if not assets().built:
        pytest.fail("the browser code is not built: run `python hatch_build.py`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        found = browser.new_page(viewport={"width": 390, "height": 844})
        errors: list[str] = []
        found.on("pageerror", lambda fault: errors.append(str(fault)))
        found.on("dialog", lambda dialog: (errors.append("a hostile script ran"), dialog.dismiss()))
        found.goto(f"{url}/slo/backtest")
        yield found
        wide = found.evaluate("document.documentElement.scrollWidth")
        browser.close()
        assert not errors
        assert wide == 390


def test_what_is_typed_is_tried(page: Page) -> None:
    left = page.locator(".stats div", has_text="Budget left").locator("dd").first
    expect(left).to_have_text("−900 %")
    page.fill("input[name=target]", "98")
    expect(left).to_have_text("50 %")
    page.locator("#nines").fill("1")
    expect(page.locator("input[name=target]")).to_have_value("95")
    expect(left).to_have_text("80 %")


def test_a_fault_is_marked_at_its_line_and_found_from_its_text(page: Page) -> None:
    page.fill("#text", with_line("0.999", "7"))
    expect(page.locator(".gutter .l-crit")).to_have_text("28")
    page.click("#findings li")
    assert page.evaluate("document.activeElement.id") == "text"
    chosen = "(t => t.value.slice(t.selectionStart, t.selectionEnd))(document.getElementById('text'))"
    assert page.evaluate(chosen) == "    - target: 7"
    page.fill("#text", GOOD.replace("service: shop", "service: '<img src=x onerror=alert(1)>'"))
    expect(page.locator(".gutter .l-crit")).to_have_text("6")


def test_the_form_works_without_scripts(browser_path: str, url: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_context(java_script_enabled=False).new_page()
        page.goto(f"{url}/slo/backtest")
        page.fill("input[name=target]", "98")
        page.click("#try button.main")
        expect(page.locator(".stats div", has_text="Budget left").locator("dd").first).to_have_text("50 %")
        assert not page.locator("#nines").is_visible()
        browser.close()
