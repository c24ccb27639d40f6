"""The payload is Alertmanager's, and hostile names are data in it."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from alerts.message import MAX_ALERTS, MAX_VALUE, Links, body, fingerprint, group_key, payload
from alerts.model import AlertBook, Change, Evidence, Finding, Incident, Subject
from alerts.step import step
from tests.alerts.support import NOW, finding

LINKS = Links("http://127.0.0.1:8640")


def _opened(*findings: Finding) -> Change:
    _, changes = step(AlertBook(), list(findings), [], NOW)
    return changes[0]


def _resolved() -> Change:
    book, _ = step(AlertBook(), [finding()], [], NOW)
    _, changes = step(book, [finding(False)], [], NOW + 61_500)
    return changes[0]


def test_the_fingerprint_is_prometheus_own() -> None:
    assert fingerprint((("foo", "bar"),)) == "3fff2c2d7595e046"


def test_a_page_has_every_field_of_version_four() -> None:
    made = payload(_opened(finding()), LINKS, NOW)
    assert made == {
        "version": "4",
        "groupKey": '{}/{road="page"}:{service="shop/api"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "midwatch",
        "groupLabels": {"service": "shop/api"},
        "commonLabels": made["alerts"][0]["labels"],
        "commonAnnotations": made["alerts"][0]["annotations"],
        "externalURL": "http://127.0.0.1:8640",
        "notification_reason": "first notification",
        "alerts": [
            {
                "status": "firing",
                "labels": {
                    "alertname": "oom-storm", "road": "page", "service": "shop/api", "severity": "critical"
                },
                "annotations": {
                    "summary": "3 OOM kills",
                    "description": "OOM kills: 3 in 5 min",
                    "incident_id": _opened(finding()).incident.id,
                    "incident_opened": "2027-01-15 08:00:00 UTC",
                    "runbook_url": "http://127.0.0.1:8640/runbooks/oom-storm",
                    "dashboard_url": "http://127.0.0.1:8640/oncall?service=shop%2Fapi",
                },
                "startsAt": "2027-01-15T08:00:00.000Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://127.0.0.1:8640/oncall?service=shop%2Fapi",
                "fingerprint": made["alerts"][0]["fingerprint"],
            }
        ],
    }  # fmt: skip


def test_a_resolve_has_the_pages_key_id_and_fingerprint_and_an_end() -> None:
    page, resolve = payload(_opened(finding()), LINKS, NOW), payload(_resolved(), LINKS, NOW)
    assert (resolve["status"], resolve["alerts"][0]["endsAt"]) == ("resolved", "2027-01-15T08:01:01.500Z")
    assert resolve["groupKey"] == page["groupKey"]
    assert resolve["alerts"][0]["fingerprint"] == page["alerts"][0]["fingerprint"]
    assert resolve["commonAnnotations"]["incident_id"] == page["commonAnnotations"]["incident_id"]
    assert resolve["notification_reason"] == "all alerts resolved"


def test_a_burn_says_row_burns_budget_and_end_as_annotations_of_their_own() -> None:
    lines = (
        Evidence("fast row fired", "50x over 1 h and 60x over 5 min (limit 14.4x)"),
        Evidence("budget left", "90 %"),
        Evidence("budget runs out", "2027-01-15 20:57:36 UTC, in 12 h 57 min"),
    )
    notes = payload(_opened(replace(finding(alert="slo-burn"), evidence=lines)), LINKS, NOW)["commonAnnotations"]
    assert (notes["row"], notes["burn"]) == ("fast", "50x over 1 h and 60x over 5 min (limit 14.4x)")
    assert (notes["budget_left"], notes["budget_runs_out"][:10]) == ("90 %", "2027-01-15")


def test_alerts_that_differ_share_only_what_is_alike() -> None:
    made = payload(_opened(finding(), finding(alert="mass-restarts")), LINKS, NOW)
    assert len(made["alerts"]) == 2
    assert "alertname" not in made["commonLabels"]
    assert made["commonLabels"]["service"] == "shop/api"


def test_a_nodes_dashboard_is_narrowed_to_the_node() -> None:
    scoped = finding(subject=Subject("platform", (("node", "n 1"),)))
    assert payload(_opened(scoped), LINKS, NOW)["alerts"][0]["generatorURL"].endswith("/oncall?node=n%201")
    assert payload(_opened(finding(subject=Subject("platform"))), LINKS, NOW)["alerts"][0]["generatorURL"].endswith(
        "/oncall"
    )


def test_more_alerts_than_fit_are_cut_and_counted() -> None:
    many = [finding(labels=(("container", str(index)),)) for index in range(MAX_ALERTS + 7)]
    made = payload(_opened(*many), LINKS, NOW)
    assert (len(made["alerts"]), made["truncatedAlerts"]) == (MAX_ALERTS, 7)


def test_a_name_can_not_pose_as_another_key() -> None:
    posing = Incident("i", Subject('a",node="b'), "page", "open", NOW, None, False, ())
    real = Incident("i", Subject("a", (("node", "b"),)), "page", "open", NOW, None, False, ())
    assert group_key(posing) != group_key(real)
    assert posing.subject.key != real.subject.key


@given(st.text(max_size=2000), st.text(max_size=2000))
def test_hostile_texts_stay_data_and_bounded(name: str, text: str) -> None:
    hostile = replace(finding(subject=Subject(name), summary=text), evidence=(Evidence(text, text),) * 50)
    made = payload(_opened(hostile), LINKS, NOW)
    sent = body(made)
    assert json.loads(sent) == json.loads(json.dumps(made))
    assert len(sent) < 400_000
    assert len(made["groupLabels"]["service"]) <= MAX_VALUE
    assert len(made["alerts"][0]["annotations"]["summary"]) <= MAX_VALUE
    assert made["alerts"][0]["labels"]["service"][:100] == name[:100]
    assert len(made["groupKey"]) < 1000


def test_even_a_lone_surrogate_is_sent() -> None:
    assert json.loads(body(payload(_opened(finding(subject=Subject("a\ud800\x00\n"))), LINKS, NOW)))
