"""Alertmanager's webhook payload, version 4: what a receiver gets of an incident.

Names and texts that come from containers are data in it: bounded in length, and never part of a key unescaped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from alerts.labels import labels_of
from alerts.model import AlertState, Change, Incident, Labels, Subject, pairs
from slo.indicators import PLATFORM
from slo.text import utc

MAX_ALERTS = 50
MAX_VALUE = 512
MAX_EVIDENCE = 12
MAX_KEY = 512
NEVER = "0001-01-01T00:00:00Z"
"""What Alertmanager writes as the end of what still fires."""
_ROW_FIRED = " row fired"


@dataclass(frozen=True)
class Links:
    """Where a receiver finds Midwatch, and under which name it is known; `base_url` without a slash at its end."""

    base_url: str
    receiver: str = "midwatch"

    def runbook(self, alert: str) -> str:
        """The page that says what to do."""
        return f"{self.base_url}/runbooks/{_quoted(alert)}"

    def dashboard(self, subject: Subject) -> str:
        """The on-call dashboard, narrowed to the service or the node that it concerns."""
        scope = dict(subject.scope)
        if subject.service != PLATFORM:
            return f"{self.base_url}/oncall?service={_quoted(subject.service)}"
        if node := scope.get("node_id", scope.get("node")):
            return f"{self.base_url}/oncall?node={_quoted(node)}"
        return f"{self.base_url}/oncall"


def payload(change: Change, links: Links, now_ms: int) -> dict[str, Any]:
    """The message for a change that notifies; JSON-able, without NaN or infinities."""
    incident = change.incident
    resolved = incident.status == "resolved"
    shown = [it for it in incident.alerts if resolved or it.status == "firing"]
    alerts = [_alert(it, incident, links) for it in shown[:MAX_ALERTS]]
    return {
        "version": "4",
        "groupKey": group_key(incident),
        "truncatedAlerts": max(0, len(shown) - MAX_ALERTS),
        "status": "resolved" if resolved else "firing",
        "receiver": links.receiver,
        "groupLabels": _bounded((("service", incident.subject.service), *incident.subject.scope)),
        "commonLabels": _common([it["labels"] for it in alerts]),
        "commonAnnotations": _common([it["annotations"] for it in alerts]),
        "externalURL": links.base_url,
        "notification_reason": change.reason,
        "alerts": alerts,
    }


def body(message: dict[str, Any]) -> bytes:
    """The payload in bytes: pure ASCII JSON, so that no hostile character breaks a receiver."""
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode("ascii")


def group_key(incident: Incident) -> str:
    """Stable for a subject on a road, whatever fires: `{}/{road="page"}:{service="shop/api"}`."""
    key = incident.subject.key
    if len(key) > MAX_KEY:
        key = f'digest="{hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()}"'
    return f"{{}}/{{{pairs((('road', incident.road),))}}}:{{{key}}}"


def fingerprint(labels: Labels) -> str:
    """Prometheus's: FNV-1a of 64 bits over sorted name, 0xFF, value, 0xFF; in hexadecimal."""
    value = 0xCBF29CE484222325
    for text in (part for pair in sorted(labels) for part in pair):
        for byte in (*text.encode("utf-8", "surrogatepass"), 0xFF):
            value = ((value ^ byte) * 0x100000001B3) % 2**64
    return f"{value:016x}"


def _alert(alert: AlertState, incident: Incident, links: Links) -> dict[str, Any]:
    labels = labels_of(alert)
    return {
        "status": alert.status,
        "labels": _bounded(labels),
        "annotations": _annotations(alert, incident, links),
        "startsAt": _rfc3339(alert.started_ms),
        "endsAt": NEVER if alert.ended_ms is None else _rfc3339(alert.ended_ms),
        "generatorURL": links.dashboard(alert.subject),
        "fingerprint": fingerprint(labels),
    }


def _annotations(alert: AlertState, incident: Incident, links: Links) -> dict[str, str]:
    lines = alert.evidence[:MAX_EVIDENCE]
    notes = {
        "summary": alert.summary,
        "description": "\n".join(f"{_cut(it.label)}: {_cut(it.text)}" for it in lines),
        "incident_id": incident.id,
        "incident_opened": utc(incident.opened_ms),
        "runbook_url": links.runbook(alert.alert),
        "dashboard_url": links.dashboard(alert.subject),
    }
    for line in lines:
        if line.label.endswith(_ROW_FIRED):
            notes.setdefault("row", line.label.removesuffix(_ROW_FIRED))
            notes.setdefault("burn", line.text)
        elif line.label in ("budget left", "budget runs out"):
            notes[line.label.replace(" ", "_")] = line.text
    return {name: text if name == "description" else _cut(text) for name, text in notes.items()}


def _quoted(text: str) -> str:
    """A name as part of an address; what is no Unicode text is replaced, for such names come from containers."""
    return quote(text[:MAX_VALUE], safe="", errors="replace")


def _bounded(labels: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {_cut(name): _cut(value) for name, value in labels}


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"


def _common(dicts: list[dict[str, str]]) -> dict[str, str]:
    """What all of them say alike."""
    if not dicts:
        return {}
    return {name: value for name, value in dicts[0].items() if all(it.get(name) == value for it in dicts[1:])}


def _rfc3339(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"
