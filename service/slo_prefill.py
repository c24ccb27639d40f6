"""The OpenSLO text of an objective in force, from which a try begins."""

from __future__ import annotations

from typing import Final

from service.slo_book import Shelf
from slo.model import Objective
from slo.openslo.export import export
from slo.openslo.written import builtin_text

EXAMPLE: Final = """\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: answers
spec:
  service: shop
  indicator:
    metadata:
      name: good-answers
    spec:
      ratioMetric:
        counter: true
        bad:
          metricSource:
            type: Prometheus
            spec:
              query: http_requests_total{code=~"5.."}
        total:
          metricSource:
            type: Prometheus
            spec:
              query: http_requests_total
  timeWindow:
    - duration: 30d
      isRolling: true
  budgetingMethod: Occurrences
  objectives:
    - target: 0.999
"""


def text_of(objective: Objective, shelf: Shelf) -> str | None:
    """The document that asks for an objective, with what it names in its place; None where none can."""
    name = objective.part_of or objective.slo
    for plan in shelf.plans:
        if plan.service == objective.service and name in (plan.name, plan.slo):
            found = [it for it in shelf.slos if it.meta.name == plan.slo and it.at.file == plan.at.file]
            return export(found[:1]) if found else None
    return builtin_text(objective)
