"""The default alerts: facts and judgements in, findings out; each rule says what it saw, in lines of evidence.

An alert that has two roads gives one finding for each: the ticket stays while the page comes and goes.
"""

from __future__ import annotations

from collections.abc import Sequence

from alerts import rules_platform, rules_services, rules_slo
from alerts.facts import Facts
from alerts.model import AlertBook, Finding
from alerts.thresholds import DEFAULT, Thresholds
from slo.indicators import PLATFORM
from slo.model import Judgement

ALERTS: dict[str, str] = {
    "slo-burn": "An objective's error budget burns too fast.",
    "budget-projected-gone": "At the present burn an objective's budget is gone within two hours.",
    "slo-no-data": "An objective whose alert policy asks for it has no data: no traffic, or nothing measures it.",
    "oom-kill": "The kernel killed a process of a service for memory.",
    "oom-storm": "The kernel kills processes of one service, or of one node, again and again.",
    "mass-restarts": "Many containers of one service, or of one node, restarted at once.",
    "crash-loop": "A container starts and ends again and again.",
    "pulls-unauthorized": "A registry refuses the credentials of a pull.",
    "pulls-failing": "Image pulls fail.",
    "container-down": "A container that should run has not been healthy for minutes.",
    "node-disk": "A disk of a node is nearly full, or will be within hours.",
    "agent-silent": "An agent has stopped reporting: nothing on its node is measured.",
    "evaluation-late": "Objectives and alerts are judged too late.",
    "outbox-stuck": "Messages can't be delivered to the receiver.",
    "store-full": "The database is nearly full: the oldest days will go.",
    "spool-dropping": "An agent loses measurements, because the service did not take them in time.",
}
"""Every default alert with its meaning; each has a page in `runbooks/`."""


def findings(
    facts: Facts, judgements: Sequence[Judgement], thresholds: Thresholds = DEFAULT, now_ms: int = 0
) -> list[Finding]:
    """What every rule says of every subject, whether it fires or not; pure."""
    return [
        *(it for judgement in judgements for it in rules_slo.of_judgement(judgement, thresholds, now_ms)),
        *(it for service in facts.services for it in rules_services.of_service(service, thresholds, now_ms)),
        *rules_platform.of_nodes(facts, thresholds, now_ms),
        *rules_platform.of_server(facts.server, thresholds, now_ms),
    ]


def vanished(book: AlertBook, judgements: Sequence[Judgement]) -> frozenset[str]:
    """Keys of open alerts whose objective, node or registry is no longer known: `step` resolves them as gone.

    Every node and registry that is known has objectives, so that the judgements tell of both.
    """
    judged = {known for it in judgements for known in rules_slo.alerts_of(it.objective)}
    subjects = {subject for _, subject, _ in judged}
    return frozenset(
        alert.key
        for alert in book.firing()
        if (alert.alert in rules_slo.ALERTS and (alert.alert, alert.subject, alert.labels) not in judged)
        or (alert.subject.service == PLATFORM and alert.subject.scope and alert.subject not in subjects)
    )
