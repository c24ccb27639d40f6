"""The whole service with objectives of files: its metrics, its pages, its API, and what replaces what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.app import create_app
from service.main import running, system_clock
from service.parts import Parts
from service.settings import Settings
from tests.service.asgi import ask
from tests.slo.openslo.support import GOOD, with_line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "slos"
    found.mkdir()
    return found


@pytest.fixture
def parts(folder: Path, tmp_path: Path) -> Iterator[Parts]:
    (folder / "a.yaml").write_text(GOOD)
    (folder / "b.yaml").write_text(with_line("name: api", "name: other").replace("0.999", "1"))
    with running(Settings(slos=(str(folder),)), tmp_path, system_clock) as found:
        found.evaluator.tick()
        yield found


def test_faults_are_in_the_metric_on_the_pages_and_in_the_api(parts: Parts) -> None:
    app = create_app(parts)
    metrics = ask(app, "GET", "/metrics").text
    assert "midwatch_server_slo_file_faults 1.0" in metrics
    identity = 'node="",node_id="",registry="",service="shop",slo="api"'
    assert f'midwatch_slo_state{{{identity},state="unmeasured"}} 1.0' in metrics
    page = ask(app, "GET", "/oncall").text
    assert "b.yaml:28: spec.objectives[0].target: is not from 0 to below 1" in page
    assert "What was good before goes on." in page
    for path in ("/", "/oncall", "/debug"):
        page = ask(app, "GET", path).text
        assert page.count("<b>A file of objectives is faulty</b>") == 1
        assert page.index("A file of objectives is faulty") < page.index("b.yaml:28: ")
    judgements = json.loads(ask(app, "GET", "/api/judgements").text)["judgements"]
    (told,) = [it for it in judgements if it["slo"] == "slo-files"]
    assert (told["service"], told["state"]) == ("platform", "unmeasured")
    assert {it["slo"] for it in judgements if it["service"] == "shop"} == {"api"}
