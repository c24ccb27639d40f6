"""Messages reach a real receiver at least once, in order for each incident, marked after its answer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from alerts.model import AlertState, Change, Evidence, Incident, Subject
from service import desk
from service.desk import Receiver
from service.outbox import Courier
from service.ports import ask
from service.store_db import Database
from tests.support.webhook import Webhook

NOW = 1_796_000_000_000
SUBJECT = Subject("shop/api")


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now_ms = NOW

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(tmp_path / "test.duckdb")
    yield found
    found.close()


def _incident(number: str = "page-1", status: str = "open") -> Incident:
    alert = AlertState(
        key="oom-storm", alert="oom-storm", subject=SUBJECT, labels=(), road="page",
        status="firing" if status == "open" else "resolved", started_ms=NOW, last_true_ms=NOW,
        ended_ms=None if status == "open" else NOW, summary="kills", evidence=(Evidence("kills", "4"),),
    )  # fmt: skip
    return Incident(number, SUBJECT, "page", status, NOW, None if status == "open" else NOW, True, (alert,))  # type: ignore[arg-type]


def _post(database: Database, receivers: list[Receiver], incident: Incident) -> None:
    kind = "opened" if incident.status == "open" else "resolved"
    change = Change(kind, incident, "first notification", True)  # type: ignore[arg-type]
    database.write(lambda cursor: desk.post(cursor, [change], receivers, "http://watch", NOW))


def _round(database: Database, receivers: list[Receiver], clock: Clock) -> int:
    with httpx.Client(trust_env=False) as client, ThreadPoolExecutor(2) as pool:
        return Courier(database, receivers, client, clock, lambda: 0.5).round(pool)


def test_a_resolve_never_overtakes_its_page(database: Database, webhook: Webhook) -> None:
    receivers, clock = [Receiver("pager", webhook.url, ("page",))], Clock()
    webhook.answers = [500]
    _post(database, receivers, _incident())
    _post(database, receivers, _incident(status="resolved"))
    assert _round(database, receivers, clock) == 0
    assert _round(database, receivers, clock) == 0, "the page waits for its time, and the resolve for the page"
    clock.now_ms += 10_000
    assert _round(database, receivers, clock) == 2
    assert [it.json["status"] for it in webhook.received] == ["firing", "firing", "resolved"]
    assert webhook.received[0].headers["webhook-id"] == webhook.received[1].headers["webhook-id"]
    assert ask(database, desk.outbox_state).waiting == 0


def test_what_waits_is_tried_when_the_clock_is_set_back(database: Database, webhook: Webhook) -> None:
    receivers, clock = [Receiver("pager", webhook.url, ("page",))], Clock()
    webhook.answers = [500, 500]
    _post(database, receivers, _incident())
    with httpx.Client(trust_env=False) as client, ThreadPoolExecutor(2) as pool:
        courier = Courier(database, receivers, client, clock, lambda: 0.5)
        assert courier.round(pool) == 0
        clock.now_ms -= 86_400_000
        assert [courier.round(pool), len(webhook.received)] == [0, 2]
        clock.now_ms -= 1
        assert courier.round(pool) == 1
    _post(database, receivers, _incident("page-2"))
    clock.now_ms -= 86_400_000
    assert _round(database, receivers, clock) == 1, "nobody knows at the start how the clock was"


def test_what_was_delivered_is_not_sent_again_after_a_restart(database: Database, webhook: Webhook) -> None:
    receivers = [Receiver("pager", webhook.url, ("page",))]
    _post(database, receivers, _incident())
    assert [_round(database, receivers, Clock()) for _ in range(2)] == [1, 0]
    assert len(webhook.received) == 1


def test_one_incident_that_cannot_be_told_holds_up_no_other(database: Database, webhook: Webhook) -> None:
    receivers = [Receiver("pager", webhook.url, ("page",))]
    webhook.answers = [503]
    _post(database, receivers, _incident("page-1"))
    assert _round(database, receivers, Clock()) == 0
    _post(database, receivers, _incident("page-2"))
    assert _round(database, receivers, Clock()) == 1


def test_a_final_refusal_is_given_up_and_the_resolve_still_goes(database: Database, webhook: Webhook) -> None:
    receivers = [Receiver("pager", webhook.url, ("page",))]
    webhook.answers = [404]
    _post(database, receivers, _incident())
    _post(database, receivers, _incident(status="resolved"))
    _round(database, receivers, Clock())
    _round(database, receivers, Clock())
    assert [it.json["status"] for it in webhook.received] == ["firing", "resolved"]
    assert ask(database, desk.outbox_state).waiting == 0


def test_only_the_receivers_of_a_road_are_told(database: Database, webhook: Webhook) -> None:
    receivers = [Receiver("tickets", webhook.url, ("ticket",)), Receiver("both", webhook.url, ("page", "ticket"))]
    _post(database, receivers, _incident())
    _post(database, receivers, replace(_incident("ticket-1"), road="ticket"))
    _round(database, receivers, Clock())
    assert sorted(it.json["receiver"] for it in webhook.received) == ["both", "both", "tickets"]


def test_a_receiver_that_is_configured_no_more_ends_its_messages(database: Database, webhook: Webhook) -> None:
    _post(database, [Receiver("old", webhook.url, ("page",))], _incident())
    _round(database, [], Clock())
    state = ask(database, desk.outbox_state)
    assert (state.waiting, webhook.received) == (0, [])
