"""Views to HTML: Jinja2 with autoescape and undefined names as errors; nothing is marked safe but our own Markdown."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from dashboards.assets import assets, style_text
from dashboards.panels import CHART_HEIGHT, CHART_WIDTH, Json
from dashboards.report_views import AnyView, ReportView
from dashboards.text import iso, shown, stamp

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """The environment of all templates."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=_finalized,
    )
    found.filters |= {"iso": iso, "stamp": stamp, "ours": Markup, "exact": _exact}
    found.globals |= {"chart_width": CHART_WIDTH, "chart_height": CHART_HEIGHT}
    return found


def _finalized(value: object) -> object:
    """Every text that a template shows, but for what is HTML already: its parts came this way."""
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _exact(text: str) -> Markup:
    """A form's value, which comes back as it was: escaped as HTML alone."""
    return escape(text)


def render(view: AnyView) -> str:
    """The whole page."""
    return (
        environment().get_template(view.template).render(view=view, frame=view.frame, assets=assets(), boot=boot(view))
    )


def render_file(view: ReportView, base_url: str = "") -> str:
    """A report as a file of its own: its style within, no script; its links lead to `base_url`."""
    found = environment().get_template("report_file.html")
    return found.render(view=view, frame=view.frame, style=style_text(), base=base_url)


def fragment(view: AnyView, name: str) -> str:
    """One part of the page as it stands in it, for the live stream."""
    return environment().get_template(f"_{name}.html").render(view=view, frame=view.frame)


def boot(view: AnyView) -> Json:
    """What the browser code starts from: the first copy of the panels, and what the search finds."""
    return {**panels_json(view), "find": [(shown(it.text), it.kind, it.href) for it in view.frame.found]}


def panels_json(view: AnyView) -> Json:
    """All panels of a page in full."""
    request = view.frame.request
    return {
        "v": 1,
        "page": request.page,
        "live": request.live and bool(view.fragments),
        "panels": {panel.key: panel.json() for panel in view.panels},
    }


def markdown(text: str) -> str:
    """Our own Markdown as HTML; HTML in it is shown as text, and links are checked by the parser."""
    html: str = MarkdownIt("commonmark", {"html": False}).enable("table").render(shown(text))
    return html
