"""Objectives of files and those in force as rules of Prometheus, by the burn rows that are set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from alerts.rules_slo import WATCHED_BY_A_RULE
from service.settings import Settings
from service.slo_backtest import objectives_in
from service.slo_promql import why_not
from slo.model import Objective
from slo.openslo.faults import Finding
from slo.overrides import Asked
from slo.prometheus.alerting import Alerting
from slo.prometheus.export import Fields, exported, fields_of, written
from slo.prometheus.model import LeftOut


class Rules(NamedTuple):
    """Groups of rules as a rule file has them, and what is left out, in sentences."""

    groups: tuple[Fields, ...]
    left_out: tuple[str, ...]

    def text(self) -> str:
        """The rule file."""
        return written(self.groups, self.left_out)


def rules_of_files(
    texts: Sequence[tuple[str, str]], settings: Settings, strict: bool = False
) -> tuple[Rules, tuple[Finding, ...]]:
    """The rules of what files ask for, without the service; built-in indicators are left out."""
    files, findings = objectives_in(texts, strict, settings.burn.policy())
    faults = tuple(it for it in findings if it.level == "error")
    return rules_of(files.objectives, settings, [_builtin(it) for it in files.asked]), faults


def rules_of(objectives: Iterable[Objective], settings: Settings, left_out: Sequence[LeftOut] = ()) -> Rules:
    """The rules of objectives."""
    how = Alerting(f"{settings.base_url}/runbooks", WATCHED_BY_A_RULE)
    found = exported(objectives, settings.burn.policy(), how, why_not)
    return Rules(tuple(map(fields_of, found.groups)), tuple(map(str, (*left_out, *found.left_out))))


def _builtin(it: Asked) -> LeftOut:
    why = "which series a built-in indicator has is known to the service; with the file in service.slos say --builtin"
    return LeftOut(it.name, it.of, "everything", why)
