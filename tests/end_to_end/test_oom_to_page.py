"""The whole path with one fault: container, OOM kill, counter, batch, store, judgement, page, resolve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import EngineUnderTest
from tests.support.shop import TestProject, project, shop_service
from tests.support.stack import Stack, running
from tests.support.waiting import until
from tests.support.webhook import Received, Webhook

KILLS = 4
"""One more than a storm of a service needs."""
QUICK = {"oom_storm_window_seconds": 30, "hold_seconds": 2, "oom_storm_node_kills": 1000, "mass_restarts_min": 1000}
"""Nothing pages for the node: other tests' containers may be on it."""


def _service_settings(webhook: Webhook) -> dict[str, Any]:
    receivers = [{"name": "pager", "url": webhook.url, "roads": ["page"]}]
    return {"receivers": receivers, "alerts": QUICK, "evaluate_seconds": 1}


def _storms(received: list[Received], service: str) -> list[Received]:
    return [it for it in received if it.json["groupLabels"].get("service") == service]


@pytest.mark.engine
def test_every_kill_is_counted_and_their_storm_pages_once_and_resolves_once(
    engine: EngineUnderTest, python_image: str, data: Path, webhook: Webhook
) -> None:
    with running(engine, data, service=_service_settings(webhook)) as stack, project(stack) as shop:
        shop.run({"api": shop_service(python_image)})
        service = f"{shop.name}/api"
        until(lambda: shop.ready("api"), 60.0)

        for _ in range(KILLS):
            shop.kill_by_memory("api")
        until(lambda: stack.total("midwatch_oom_kills_total", service=service) >= KILLS, 20.0)
        until(lambda: _storms(webhook.with_status("firing"), service), 30.0, what="the page of the storm")
        _has_evidence(_storms(webhook.with_status("firing"), service)[0])

        until(lambda: _storms(webhook.with_status("resolved"), service), 90.0, what="the resolve")
        _exactly_once(stack, shop, webhook, service)


def _has_evidence(page: Received) -> None:
    payload = page.json
    assert payload["version"] == "4"
    assert "oom-storm" in {alert["labels"]["alertname"] for alert in payload["alerts"]}
    storm = next(alert for alert in payload["alerts"] if alert["labels"]["alertname"] == "oom-storm")
    text = " ".join(storm["annotations"].values())
    assert "kill" in text.lower()
    assert storm["annotations"]["runbook_url"].endswith("/runbooks/oom-storm")
    assert storm["annotations"]["dashboard_url"].startswith("http")


def _exactly_once(stack: Stack, shop: TestProject, webhook: Webhook, service: str) -> None:
    """Nothing more has come by the time that several further evaluations are done."""
    assert stack.total("midwatch_oom_kills_total", service=service) == KILLS
    assert stack.total("midwatch_oom_kills_total", service=service, victim="main") == KILLS
    assert stack.total("midwatch_container_restarts_total", service=service, by="policy") == KILLS
    firing, resolved = (_storms(webhook.with_status(status), service) for status in ("firing", "resolved"))
    assert (len(firing), len(resolved)) == (1, 1)
    assert firing[0].json["groupKey"] == resolved[0].json["groupKey"]
    assert firing[0].at_ms <= resolved[0].at_ms
