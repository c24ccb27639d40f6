"""The labels that an alert carries to receivers and to silences."""

from __future__ import annotations

from alerts.model import AlertState, Labels

SEVERITIES = {"page": "critical", "ticket": "warning"}


def labels_of(alert: AlertState) -> Labels:
    """`alertname`, `service`, `road`, `severity`, and what else identifies the alert, sorted by name."""
    subject = dict((*alert.labels, *alert.subject.scope))
    own = {
        "alertname": alert.alert,
        "service": alert.subject.service,
        "road": alert.road,
        "severity": SEVERITIES[alert.road],
    }
    return tuple(sorted({**subject, **own}.items()))
