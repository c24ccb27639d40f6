"""Every alert has its page, every page its alert, and what a page tells one to type and to set exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from pydantic import BaseModel
from typer.main import get_command

import alerts
from agent.names import OWN
from agent.settings import Settings as AgentSettings
from alerts.model import Silence, SilenceMatcher
from alerts.rules import ALERTS
from alerts.silence import faults
from cli.main import app
from cli.silence_commands import MATCHER
from service.selfmetrics import OWN_COUNTERS, OWN_GAUGES
from service.settings import Settings as ServiceSettings
from slo.overrides import DEFAULTS

RUNBOOKS = Path(alerts.__file__).parent.parent / "runbooks"
SECTIONS = (
    "What people feel",
    "How it is computed",
    "Look at these first",
    "Usual causes and what to do",
    "Silence it",
)
CODE = re.compile(r"`([^`]+)`")


def _text(alert: str) -> str:
    return (RUNBOOKS / f"{alert}.md").read_text()


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_a_runbook_is_short_complete_and_without_html(alert: str) -> None:
    text = _text(alert)
    assert len(text.splitlines()) <= 60
    assert max(len(line) for line in text.splitlines()) <= 120
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[:5] == list(SECTIONS)
    assert headings[5].startswith("When to change ")
    kinds = [child.type for token in MarkdownIt().parse(text) for child in (token, *(token.children or ()))]
    assert "html_block" not in kinds
    assert "html_inline" not in kinds
    first = text.split("## Look at these first")[1].split("##")[0]
    assert re.findall(r"^(\d)\. ", first, re.MULTILINE) == ["1", "2", "3"]


def _keys(model: type[BaseModel], prefix: str) -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        found.add(f"{prefix}.{name}")
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= _keys(field.annotation, f"{prefix}.{name}")
    return found


@pytest.mark.parametrize("alert", ALERTS)
def test_every_setting_that_a_runbook_names_exists(alert: str) -> None:
    known = _keys(ServiceSettings, "service") | _keys(AgentSettings, "agent")
    named = re.findall(r"`((?:service|agent)\.[a-z_.]+)`", _text(alert))
    assert [name for name in named if name not in known] == []


@pytest.mark.parametrize("alert", ALERTS)
def test_every_metric_and_indicator_that_a_runbook_names_exists(alert: str) -> None:
    metrics = set(re.findall(r"midwatch_[a-z_]+[a-z]", _text(alert))) - {"midwatch_server"}
    assert metrics - {*OWN, *OWN_COUNTERS, *OWN_GAUGES} == set()
    assert set(re.findall(r"slo=([a-z-]+)", _text(alert))) <= set(DEFAULTS)
    assert set(re.findall(r"[Ss]ee the runbook ([a-z-]+)", _text(alert))) <= set(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_midwatch_command_in_a_runbook_exists(alert: str) -> None:
    commands = getattr(get_command(app), "commands")  # noqa: B009 - click's Group is not typed as such here
    for code in CODE.findall(_text(alert)):
        if code.startswith("midwatch "):
            assert code.split()[1] in commands, code


@pytest.mark.parametrize("alert", ALERTS)
def test_the_silence_that_a_runbook_offers_is_valid_and_of_this_alert(alert: str) -> None:
    offered = [code for code in CODE.findall(_text(alert)) if code.startswith("midwatch silence add ")]
    assert offered
    for code in offered:
        words = shlex.split(code)[3:]
        given = [MATCHER.fullmatch(word) for word in words[: words.index("--for")]]
        matchers = tuple(SilenceMatcher(it[1], it[3]) for it in given if it)
        assert SilenceMatcher("alertname", alert) in matchers
        assert faults(Silence("s", matchers, 1, 2, "ann", words[words.index("--comment") + 1]), 1) == []
