"""Incidents as rows: what happened, since when, who has it, and what keeps its messages back."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from alerts import silence
from alerts.labels import labels_of
from alerts.model import AlertState, Incident, Silence, Subject
from dashboards.marks import Mark, mark
from dashboards.page_views import AlertRow, EvidenceLine, IncidentRow
from dashboards.text import coarse


def subject_text(subject: Subject) -> str:
    """Whom an incident concerns, in words."""
    if not subject.scope:
        return subject.service
    return ", ".join(f"{name} {value}" for name, value in subject.scope)


def incident_mark(incident: Incident) -> Mark:
    """Critical for a page, a warning for a ticket, ok once resolved."""
    if incident.status == "resolved":
        return mark("ok", "resolved")
    return mark("crit", "page") if incident.road == "page" else mark("warn", "ticket")


def gravest(incident: Incident) -> AlertState | None:
    """The alert that speaks for the incident: the one that fires on its road, the oldest of them."""
    order = sorted(incident.alerts, key=lambda it: (it.status != "firing", it.road != incident.road, it.started_ms))
    return order[0] if order else None


def rows(incidents: Sequence[Incident], silences: Sequence[Silence], now_ms: int) -> tuple[IncidentRow, ...]:
    """Open incidents, pages first, those that nobody has before those that somebody has, then the newest."""
    ordered = sorted(
        (it for it in incidents if it.status == "open"),
        key=lambda it: (it.road != "page", it.acknowledged_ms is not None, -it.opened_ms),
    )
    return tuple(row(it, silences, now_ms) for it in ordered)


def row(incident: Incident, silences: Sequence[Silence], now_ms: int) -> IncidentRow:
    """One incident in words."""
    alert = gravest(incident)
    more = sum(it.status == "firing" for it in incident.alerts) - 1
    detail = alert.evidence[0].text if alert and alert.evidence else ""
    return IncidentRow(
        id=incident.id,
        mark=incident_mark(incident),
        subject=subject_text(incident.subject),
        road=incident.road,
        title=alert.summary if alert else f"{subject_text(incident.subject)}: {incident.road}",
        detail=f"{detail}{f' · {more} more alert' + 's' * (more > 1) if more > 0 else ''}",
        href=f"/incidents/{quote(incident.id, safe='')}",
        runbook_href=f"/runbooks/{alert.alert}" if alert else "",
        opened_ms=incident.opened_ms,
        lasted=coarse(max(0, (incident.resolved_ms or now_ms) - incident.opened_ms)),
        acknowledged=None if incident.acknowledged_ms is None else incident.acknowledged_by or "somebody",
        silenced_until_ms=silenced_until(incident, silences, now_ms),
        open=incident.status == "open",
    )


def alert_rows(incident: Incident) -> tuple[AlertRow, ...]:
    """Every alert of an incident with its proof, those that fire first."""
    ordered = sorted(incident.alerts, key=lambda it: (it.status != "firing", it.started_ms))
    return tuple(
        AlertRow(
            name=it.alert,
            mark=_alert_mark(it),
            summary=it.summary,
            evidence=tuple(EvidenceLine(line.label, line.text) for line in it.evidence),
            runbook_href=f"/runbooks/{it.alert}",
            started_ms=it.started_ms,
            ended_ms=it.ended_ms,
        )
        for it in ordered
    )


def _alert_mark(alert: AlertState) -> Mark:
    if alert.status == "resolved":
        return mark("ok", "resolved")
    if alert.frozen:
        return mark("unmeasured", "frozen: not measured now")
    return mark("crit", "firing") if alert.road == "page" else mark("warn", "firing")


def silenced_until(incident: Incident, silences: Sequence[Silence], now_ms: int) -> int | None:
    """Until when every firing alert of the incident is silenced; None where one of them is heard."""
    firing = [it for it in incident.alerts if it.status == "firing"]
    ends = [max((s.ends_ms for s in active(it, silences, now_ms)), default=None) for it in firing]
    heard = not ends or any(end is None for end in ends)
    return None if heard else min(end for end in ends if end is not None)


def active(alert: AlertState, silences: Sequence[Silence], now_ms: int) -> list[Silence]:
    """Silences that hold for an alert now."""
    labels = labels_of(alert)
    return [it for it in silences if silence.active(it, now_ms) and silence.matches(labels, it.matchers)]
