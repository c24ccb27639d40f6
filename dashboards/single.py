"""Pages about one thing: an incident, a runbook, an error."""

from __future__ import annotations

from alerts.rules import ALERTS
from dashboards import incident_rows
from dashboards.desk import Desk, frame, nav, open_desk
from dashboards.errors import RequestFault
from dashboards.page_views import ErrorView, IncidentView, RunbookView
from dashboards.render import markdown
from dashboards.request import PageRequest
from dashboards.slo_rows import burn_columns, slo_rows
from dashboards.source import DataSource
from dashboards.views import Frame
from slo.model import Judgement

_HEADINGS = {400: "That address makes no sense here", 404: "There is nothing at this address"}
PLATFORM = "platform"


def incident(source: DataSource, incident_id: str, now_ms: int) -> IncidentView:
    """The page `/incidents/{id}`. Raises RequestFault where there is no such incident."""
    found = source.incident(incident_id)
    if found is None:
        raise RequestFault(f"There is no incident {incident_id[:60]!r}.", 404)
    desk = _desk(source, now_ms)
    silences = source.silences(now_ms)
    row = incident_rows.row(found, silences, now_ms)
    concerned = [it for it in desk.judgements if _concerns(it, found.subject.service, found.subject.scope)]
    held = {it for alert in found.alerts for it in incident_rows.active(alert, silences, now_ms)}
    scope = {"service": found.subject.service} if found.subject.service != PLATFORM else {}
    node = dict(found.subject.scope).get("node_id") or dict(found.subject.scope).get("node")
    narrowed: dict[str, str | None] = {**scope, "node": node}
    return IncidentView(
        frame=frame(desk, f"{row.subject}: {row.road}", "oncall", ranges=False),
        incident=row,
        resolved_ms=found.resolved_ms,
        alerts=incident_rows.alert_rows(found),
        objectives=slo_rows(desk, concerned),
        burn_columns=tuple(window for _, window in burn_columns(concerned)),
        oncall_href=desk.request.link("oncall", **narrowed),
        debug_href=desk.request.link("debug", **narrowed),
        silences=tuple(
            (f"{it.created_by}: {it.comment}", it.ends_ms) for it in sorted(held, key=lambda it: it.ends_ms)
        ),
        taken_out=tuple(
            (it.id, f"{it.created_by}: {it.reason}")
            for it in source.adjustments()
            if it.incident == found.id and it.revoked is None
        ),
    )


def _concerns(judgement: Judgement, service: str, scope: tuple[tuple[str, str], ...]) -> bool:
    found = judgement.objective
    return found.service == service and set(scope) <= set(found.scope)


def runbook(source: DataSource, alert: str, text: str | None, now_ms: int) -> RunbookView:
    """The page `/runbooks/{alert}` from its Markdown. Raises RequestFault where there is none."""
    if text is None:
        raise RequestFault(f"There is no runbook {alert[:60]!r}; the alerts are {', '.join(ALERTS)}.", 404)
    desk = _desk(source, now_ms)
    concerned = [
        it for it in source.incidents(now_ms) if any(a.alert == alert and a.status == "firing" for a in it.alerts)
    ]
    return RunbookView(
        frame=frame(desk, f"Runbook {alert}", "runbooks", ranges=False),
        alert=alert,
        summary=ALERTS.get(alert, ""),
        html=markdown(text),
        active=incident_rows.rows(concerned, source.silences(now_ms), now_ms),
    )


def error(status: int, message: str, now_ms: int) -> ErrorView:
    """A page that says what could not be shown; it needs no source, which may be what failed."""
    request = PageRequest("executive", "auto")
    around = Frame(title="Not shown", key="", request=request, now_ms=now_ms, nav=nav(request, ""), ranges=())
    return ErrorView(around, status, _HEADINGS.get(status, "This page could not be shown"), message)


def _desk(source: DataSource, now_ms: int) -> Desk:
    return open_desk(source, PageRequest("oncall", "auto"), now_ms)
