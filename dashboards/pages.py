"""The pages of Midwatch as pure functions over a `DataSource`: what the service's routes call.

Routes, each with the header `Content-Security-Policy: dashboards.assets.CONTENT_SECURITY_POLICY`:

- `GET /`, `/oncall`, `/debug`, `/reports`: `render(executive(source, parse("executive", query, now), now))`, and so on
  with `oncall`, `debug`, `report`.
- `GET /slo`: `render(slo(source, parse("slo", query, now), now))`; `GET /slo/{service}` is the same with the rest of
  the path as `service`. With `slo` (and `where`) it is the page of one objective.
- `GET /reports.csv`: `csv(source, request, now, part)`, media type `text/csv; charset=utf-8`, the second value as
  `Content-Disposition: attachment; filename="…"`; `/reports.parquet` and `/reports.html` likewise.
- `GET /adjustments`: `render(adjustments(source, now))`.
- `GET /incidents/{id}`: `render(incident(source, id, now))`.
- `GET /runbooks/{alert}`: `render(runbook(source, alert, markdown, now))`.
- `GET /api/panels?page=…&…`: `panels(source, parse(page_name(page), query, now), now)` as JSON.
- `GET /events?page=…&…` (text/event-stream): every few seconds or when samples arrived,
  `for event in feed.fresh(tick(source, request, now)): send(event.wire())` with one `Feed` per reader. A tick is the
  same for all readers of one (page, request): compute it once. The page opens the stream with the query string of its
  own address, and closes it while it is hidden.
- `GET /static/…`: the folder `dashboards.assets.STATIC`; names below `dist/` carry a hash: cache them for ever.
- `RequestFault` anywhere: `render(error(fault.status, str(fault), now))` with that status.

Forms that pages send (application/x-www-form-urlencoded, same origin; answer a browser with 303 to the local path in
`return_to`, and a request with `Accept: application/json` with 204):

- `POST /api/incidents/{id}/ack`: fields `by` (may be empty), `return_to`.
- `POST /api/silences`: fields `incident` (its id: silence that incident's subject, matchers `service` and its scope),
  `minutes` (1 to 10080), `by`, `comment`, `return_to`.
- `POST /adjustments`: the fields of `WindowForm`; answered 303 to `/adjustments`, or with the page, the form as it was
  sent and why it could not be obeyed: `render(adjustments(source, now, form, problem))`.
- `POST /api/slo/adjustments`: fields `incident` (its id: its time costs no budget), `created_by`, `reason`,
  `return_to`; `POST /api/slo/adjustments/{id}/revoke`: fields `by`, `why`, `return_to`.
"""

from __future__ import annotations

from dashboards import report as reports
from dashboards import report_files
from dashboards.adjustments import adjustments
from dashboards.assets import CONTENT_SECURITY_POLICY, STATIC
from dashboards.debug import debug as _debug
from dashboards.desk import open_desk
from dashboards.errors import RequestFault
from dashboards.executive import executive as _executive
from dashboards.live import Feed, SseEvent, events
from dashboards.objective import objective as _objective
from dashboards.objectives import objectives as _objectives
from dashboards.oncall import oncall as _oncall
from dashboards.page_views import DebugView, ExecutiveView, IncidentView, LiveView, OncallView, RunbookView
from dashboards.panels import Json
from dashboards.render import panels_json, render, render_file
from dashboards.report_views import ReportView
from dashboards.request import PageRequest, page_name, parse
from dashboards.single import error, incident, runbook
from dashboards.slo_views import ObjectivesView, ObjectiveView
from dashboards.source import DataSource

__all__ = [
    "CONTENT_SECURITY_POLICY",
    "STATIC",
    "DebugView",
    "ExecutiveView",
    "Feed",
    "IncidentView",
    "ObjectiveView",
    "ObjectivesView",
    "OncallView",
    "PageRequest",
    "ReportView",
    "RequestFault",
    "RunbookView",
    "SseEvent",
    "adjustments",
    "csv",
    "debug",
    "error",
    "executive",
    "incident",
    "oncall",
    "page_name",
    "panels",
    "parquet",
    "parse",
    "render",
    "report",
    "report_file",
    "runbook",
    "slo",
    "tick",
]


def executive(source: DataSource, request: PageRequest, now_ms: int) -> ExecutiveView:
    """The page `/`: what was promised and what is left."""
    return _executive(open_desk(source, request, now_ms))


def oncall(source: DataSource, request: PageRequest, now_ms: int) -> OncallView:
    """The page `/oncall`: what burns, what fires, what changed."""
    return _oncall(open_desk(source, request, now_ms))


def debug(source: DataSource, request: PageRequest, now_ms: int) -> DebugView:
    """The page `/debug`: containers, OOM kills, logs, builds, registries."""
    return _debug(open_desk(source, request, now_ms))


def report(source: DataSource, request: PageRequest, now_ms: int) -> ReportView:
    """The page `/reports`: one objective, a service or all, for a period. Raises RequestFault for what is not there."""
    return reports.report(open_desk(source, request, now_ms))


def slo(source: DataSource, request: PageRequest, now_ms: int) -> ObjectivesView | ObjectiveView:
    """The pages `/slo`: all objectives, those of a service, or one. Raises RequestFault for what does not exist."""
    desk = open_desk(source, request, now_ms)
    return _objective(desk) if request.slo else _objectives(desk)


def csv(source: DataSource, request: PageRequest, now_ms: int, part: str | None = None) -> tuple[str, str]:
    """(text, file name) of one part of a report as CSV. Raises RequestFault where there is no such part."""
    desk = open_desk(source, request, now_ms)
    return report_files.csv(desk, part), report_files.file_name(desk, "csv")


def parquet(source: DataSource, request: PageRequest, now_ms: int, part: str | None = None) -> tuple[bytes, str]:
    """(bytes, file name) of the same as Parquet."""
    desk = open_desk(source, request, now_ms)
    return report_files.parquet(desk, part), report_files.file_name(desk, "parquet")


def report_file(source: DataSource, request: PageRequest, now_ms: int, base_url: str = "") -> tuple[str, str]:
    """(HTML, file name) of a report that needs nothing beside it: to be kept, sent or printed."""
    desk = open_desk(source, request, now_ms)
    return render_file(reports.report(desk), base_url), report_files.file_name(desk, "html")


def panels(source: DataSource, request: PageRequest, now_ms: int) -> Json:
    """The panels of a page in full, as JSON for a range or zoom fetch."""
    if request.page in ("slo", "reports"):
        return {"v": 1, "page": request.page, "live": False, "panels": {}}
    return panels_json(_view(source, request, now_ms, tail=False))


def tick(source: DataSource, request: PageRequest, now_ms: int) -> list[SseEvent]:
    """What a live page is told of this moment; nothing where its range has a fixed end."""
    if not request.live or request.page in ("slo", "reports"):
        return []
    return events(_view(source, request, now_ms, tail=True), now_ms)


def _view(source: DataSource, request: PageRequest, now_ms: int, *, tail: bool) -> LiveView:
    desk = open_desk(source, request, now_ms, tail=tail)
    match request.page:
        case "executive":
            return _executive(desk)
        case "oncall":
            return _oncall(desk)
        case _:
            return _debug(desk)
