"""The state machine of alerts and incidents: pure, deterministic, one page and one resolve per incident.

An incident gathers all alerts of one subject on one road. It opens with the first that fires; what fires later joins it
without another message; it is resolved when all its alerts are, each of which must have been known to be gone for its
hold. What fires again after that is a new incident. What can't be known (`firing` None, or no finding) changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from alerts.labels import labels_of
from alerts.model import EVERYBODY, AlertBook, AlertState, Change, Finding, Incident, Road, Silence, Subject
from alerts.silence import silenced

FIRST = "first notification"
ADDED = "new alerts added"
ALL_RESOLVED = "all alerts resolved"
SILENCED = "silenced"
SILENCE_ENDED = "silence ended"

_Told = Mapping[tuple[Road, str], Finding]
_Firing = Mapping[tuple[Subject, Road], Sequence[Finding]]


def step(
    book: AlertBook,
    findings: Sequence[Finding],
    silences: Sequence[Silence],
    now_ms: int,
    gone: frozenset[str] = frozenset(),
) -> tuple[AlertBook, list[Change]]:
    """The book after these findings, and what changed, to be stored in one transaction with the messages it asks for.

    `gone` holds keys of subjects and alerts that exist no more: their alerts resolve where no finding speaks of them.
    """
    told = _by_identity(_of_interest(book, findings))
    firing = _firing_of(told)
    kept: list[Incident] = []
    changes: list[Change] = []
    for before in book.incidents:
        mine = firing.get((before.subject, before.road), ())
        after = _settled(_joined(_advanced(before, told, gone, now_ms), mine, now_ms), now_ms)
        after, made = _announced(before, after, told, silences, now_ms)
        changes += made
        kept += [after] if after.status == "open" else []
    taken = {(it.subject, it.road) for it in book.incidents}
    for fresh in _opened(firing, taken, now_ms):
        after, made = _announced(None, fresh, told, silences, now_ms)
        changes += made
        kept.append(after)
    return AlertBook(tuple(kept)), changes


def acknowledge(book: AlertBook, incident_id: str, by: str, now_ms: int) -> AlertBook:
    """The book with this incident acknowledged, once: the first to do so stands; KeyError for one that is not open."""
    if all(it.id != incident_id for it in book.incidents):
        raise KeyError(incident_id)
    return AlertBook(
        tuple(
            replace(it, acknowledged_ms=now_ms, acknowledged_by=by[:128])
            if it.id == incident_id and it.acknowledged_ms is None
            else it
            for it in book.incidents
        )
    )


def incident_id(subject: Subject, road: Road, opened_ms: int) -> str:
    """The incident's identity, the same in every message about it: no route and no setting is in it."""
    digest = hashlib.sha256(subject.key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{road}-{opened_ms}-{digest[:12]}"


def _of_interest(book: AlertBook, findings: Sequence[Finding]) -> list[Finding]:
    """Findings that fire, and those of subjects with an open incident: what else is quiet changes nothing."""
    open_ = {it.subject for it in book.incidents}
    return [it for it in findings if it.firing or it.subject in open_]


def _firing_of(told: _Told) -> _Firing:
    """What fires, by subject and road, in the order of what is told."""
    found: dict[tuple[Subject, Road], list[Finding]] = {}
    for finding in told.values():
        if finding.firing:
            found.setdefault((finding.subject, finding.road), []).append(finding)
    return found


def _by_identity(findings: Sequence[Finding]) -> dict[tuple[Road, str], Finding]:
    """One finding per alert and road, sorted; of several one that fires, then an unknown one, then the longest hold."""
    rank = {True: 0, None: 1, False: 2}
    order = sorted(findings, key=lambda it: (it.road, it.key, rank[it.firing], -it.hold_ms, it.summary))
    told: dict[tuple[Road, str], Finding] = {}
    for finding in order:
        told.setdefault((finding.road, finding.key), finding)
    return told


def _advanced(incident: Incident, told: _Told, gone: frozenset[str], now_ms: int) -> Incident:
    """The incident with each of its alerts moved by what is told of it."""
    alerts = tuple(
        _alert_after(alert, _finding_of(alert, told), bool({alert.key, alert.subject.key} & gone), now_ms)
        for alert in incident.alerts
    )
    return replace(incident, alerts=alerts)


def _finding_of(alert: AlertState, told: _Told) -> Finding | None:
    """What is told of the alert on its road; one that is known on the other road alone has left this one."""
    here = told.get((alert.road, alert.key))
    there = told.get(("ticket" if alert.road == "page" else "page", alert.key))
    if here is None and there is not None and there.firing is not None:
        return replace(there, firing=False, road=alert.road)
    return here


def _alert_after(alert: AlertState, finding: Finding | None, gone: bool, now_ms: int) -> AlertState:
    match finding.firing if finding is not None else None:
        case True if finding is not None:
            return _firing(finding, now_ms, alert)
        case False if finding is not None and alert.status == "firing":
            # a clock that was set back lets the hold begin anew: what is gone is not to wait until it is there again
            since = now_ms if alert.gone_since_ms is None else min(alert.gone_since_ms, now_ms)
            held = replace(alert, frozen=False, gone_since_ms=since)
            return _resolved(held, now_ms) if now_ms - since >= finding.hold_ms else held
        case None if alert.status == "firing":
            if gone and finding is None:
                return _resolved(alert, now_ms)
            return replace(alert, frozen=True, gone_since_ms=None)
        case _:
            return alert


def _firing(finding: Finding, now_ms: int, before: AlertState | None = None) -> AlertState:
    """The alert as it fires now; one that fired before keeps its start."""
    since = now_ms if finding.since_ms is None else min(finding.since_ms, now_ms)
    return AlertState(
        key=finding.key,
        alert=finding.alert,
        subject=finding.subject,
        labels=finding.labels,
        road=finding.road,
        status="firing",
        started_ms=before.started_ms if before is not None and before.status == "firing" else since,
        last_true_ms=now_ms,
        ended_ms=None,
        summary=finding.summary,
        evidence=finding.evidence,
        receivers=finding.receivers,
        end_told=finding.end_told,
    )


def _resolved(alert: AlertState, now_ms: int) -> AlertState:
    return replace(alert, status="resolved", ended_ms=now_ms, frozen=False)


def _joined(incident: Incident, firing: Sequence[Finding], now_ms: int) -> Incident:
    """The incident with what else fires of its subject on its road."""
    known = {it.key for it in incident.alerts}
    more = tuple(_firing(it, now_ms) for it in firing if it.key not in known)
    return replace(incident, alerts=incident.alerts + more) if more else incident


def _settled(incident: Incident, now_ms: int) -> Incident:
    if any(it.status == "firing" for it in incident.alerts):
        return incident
    return replace(incident, status="resolved", resolved_ms=now_ms)


def _opened(firing: _Firing, taken: set[tuple[Subject, Road]], now_ms: int) -> list[Incident]:
    """A new incident for each subject and road where something fires and none is open."""
    fresh = {key: tuple(_firing(it, now_ms) for it in found) for key, found in firing.items() if key not in taken}
    return [
        Incident(incident_id(subject, road, now_ms), subject, road, "open", now_ms, None, False, alerts)
        for (subject, road), alerts in sorted(fresh.items())
    ]


def _announced(
    before: Incident | None, after: Incident, told: _Told, silences: Sequence[Silence], now_ms: int
) -> tuple[Incident, list[Change]]:
    """What is to be said of the incident: once to each who is to know, when something unsilenced is known to fire.

    The resolve of what was sent goes to all of them, silenced or not, but for a ticket whose rules ask for none; of
    what was never sent there is none.
    """
    if after.status == "resolved":
        said = after.notified and (after.road == "page" or any(it.end_told for it in after.alerts))
        return after, [Change("resolved", after, ALL_RESOLVED, said, after.told)]
    loud = _loud(after, told, silences, now_ms)
    fresh = tuple(sorted({who for it in loud for who in it.receivers or (EVERYBODY,)} - set(after.told)))
    if fresh:
        known = {it.key for it in before.alerts} if before else set()
        reason = ADDED if after.notified else SILENCE_ENDED if known & {it.key for it in loud} else FIRST
        kind: Literal["joined", "opened"] = "joined" if after.notified else "opened"
        whole = replace(after, notified=True, told=(*after.told, *fresh))
        return whole, [Change(kind, whole, reason, True, fresh, after.told)]
    if before is None:
        return after, [Change("suppressed", after, SILENCED, False)]
    return after, [Change("joined", after, ADDED, False)] if _newly_firing(before, after) else []


def _loud(incident: Incident, told: _Told, silences: Sequence[Silence], now_ms: int) -> list[AlertState]:
    """The incident's alerts that are known to fire now and that no silence matches."""
    return [
        it
        for it in incident.alerts
        if it.status == "firing" and it.last_true_ms == now_ms and (it.road, it.key) in told
        and told[it.road, it.key].firing and not silenced(labels_of(it), silences, now_ms)
    ]  # fmt: skip


def _newly_firing(before: Incident, after: Incident) -> bool:
    firing = {it.key for it in before.alerts if it.status == "firing"}
    return any(it.status == "firing" and it.key not in firing for it in after.alerts)
