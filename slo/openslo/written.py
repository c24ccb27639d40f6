"""A built-in objective as the OpenSLO document that would ask for it."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from slo.model import Allowance, EventRatio, MinuteSlices, Objective
from slo.openslo.export import dumped
from slo.overrides import DEFAULTS
from slo.rows import DAY_MS, HOUR_MS
from slo.text import number, percent

_NO_NAME = re.compile(r"[^a-z0-9]+")
"""What no name of OpenSLO has; the indicator names the service as it is."""
_FIELDS = {"node-disk": "node", "cpu-steal": "node", "registry-latency": "registry"}


def builtin_text(objective: Objective) -> str | None:
    """The document of an objective whose name is that of a built-in indicator; None for others."""
    if objective.slo not in DEFAULTS or objective.calendar or objective.slices or not objective.service:
        return None
    allowance = isinstance(objective.indicator, Allowance)
    budget = objective.budget * HOUR_MS if allowance else objective.budget
    if not 0 < budget <= 1:
        return None
    document = {
        "apiVersion": "openslo/v1",
        "kind": "SLO",
        "metadata": {"name": objective.slo},
        "spec": {
            "service": _NO_NAME.sub("-", objective.service.lower()).strip("-")[:63] or "service",
            "indicator": {"metadata": {"name": objective.slo}, "spec": {"ratioMetric": _ratio(objective)}},
            "timeWindow": [{"duration": _window(objective.window_ms), "isRolling": True}],
            "budgetingMethod": "Occurrences",
            "objectives": [{"target": _decimal(1 - budget)}],
        },
    }
    return dumped(document)


def _ratio(objective: Objective) -> dict[str, Any]:
    field = _FIELDS.get(objective.slo, "service")
    scope = dict(objective.scope)
    spec: dict[str, Any] = {"indicator": objective.slo}
    if field != "service" or objective.service != "platform":
        spec[field] = scope.get(field, objective.service)
    threshold = _threshold(objective)
    if threshold is not None:
        spec["threshold"] = threshold
    return {"rawType": "success", "raw": {"metricSource": {"type": "midwatch", "spec": spec}}}


def _threshold(objective: Objective) -> str | None:
    """The threshold that is in force: the bucket that counts, or the share."""
    indicator = objective.indicator
    if isinstance(indicator, MinuteSlices):
        return percent(indicator.bound)
    if not isinstance(indicator, EventRatio) or DEFAULTS[objective.slo].threshold is None:
        return None
    bounds = {it.value for selector in indicator.good for it in selector.matchers if it.name == "le"}
    bound = next(iter(bounds), "")
    return f"{bound}s" if bound.replace(".", "", 1).isdigit() else None


def _window(ms: int) -> str:
    days, rest = divmod(ms, DAY_MS)
    return f"{days}d" if not rest else f"{ms // HOUR_MS}h"


def _decimal(share: Fraction) -> Any:
    """A number as YAML writes it, with the decimals that it has."""
    return float(number(share, 12))
