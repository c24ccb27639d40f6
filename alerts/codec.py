"""The alert book as JSON-able dicts and back, without loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from alerts.model import EVERYBODY, AlertBook, AlertState, Evidence, Incident, Labels, Subject


def encode(book: AlertBook) -> dict[str, Any]:
    """The book as a JSON-able dict; `decode` gives it back unchanged."""
    return {"version": 1, "incidents": [encode_incident(it) for it in book.incidents]}


def decode(data: Mapping[str, Any]) -> AlertBook:
    """The book that `encode` wrote; ValueError for another version."""
    if data.get("version") != 1:
        raise ValueError(f"alert book of version {data.get('version')!r}: this Midwatch reads version 1")
    return AlertBook(tuple(decode_incident(it) for it in data["incidents"]))


def encode_incident(incident: Incident) -> dict[str, Any]:
    """One incident as a JSON-able dict."""
    return {
        "id": incident.id,
        "subject": _encode_subject(incident.subject),
        "road": incident.road,
        "status": incident.status,
        "opened_ms": incident.opened_ms,
        "resolved_ms": incident.resolved_ms,
        "notified": incident.notified,
        "alerts": [_encode_alert(alert) for alert in incident.alerts],
        "acknowledged_ms": incident.acknowledged_ms,
        "acknowledged_by": incident.acknowledged_by,
        "told": list(incident.told),
    }


def decode_incident(data: Mapping[str, Any]) -> Incident:
    """The incident that `encode_incident` wrote."""
    return Incident(
        **{
            **data,
            "told": tuple(data.get("told", (EVERYBODY,) if data["notified"] else ())),
            "subject": _decode_subject(data["subject"]),
            "alerts": tuple(_decode_alert(alert) for alert in data["alerts"]),
        }
    )


def _encode_subject(subject: Subject) -> dict[str, Any]:
    return {"service": subject.service, "scope": [list(pair) for pair in subject.scope]}


def _decode_subject(data: Mapping[str, Any]) -> Subject:
    return Subject(cast(str, data["service"]), _labels(data["scope"]))


def _labels(data: list[list[str]]) -> Labels:
    return tuple((name, value) for name, value in data)


def _encode_alert(alert: AlertState) -> dict[str, Any]:
    plain = (
        "key",
        "alert",
        "road",
        "status",
        "started_ms",
        "last_true_ms",
        "ended_ms",
        "summary",
        "frozen",
        "end_told",
    )
    return {
        **{name: getattr(alert, name) for name in (*plain, "gone_since_ms")},
        "subject": _encode_subject(alert.subject),
        "labels": [list(pair) for pair in alert.labels],
        "receivers": list(alert.receivers),
        "evidence": [[line.label, line.text] for line in alert.evidence],
    }


def _decode_alert(data: Mapping[str, Any]) -> AlertState:
    return AlertState(
        **{
            **data,
            "receivers": tuple(data.get("receivers", ())),
            "subject": _decode_subject(data["subject"]),
            "labels": _labels(data["labels"]),
            "evidence": tuple(Evidence(label, text) for label, text in data["evidence"]),
        }
    )
