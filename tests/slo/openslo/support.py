"""OpenSLO texts for tests, and what is said of them."""

from __future__ import annotations

from slo.openslo.read import Read, read
from slo.openslo.resolve import Loaded, load

GOOD = """\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: api
spec:
  service: shop
  indicator:
    metadata:
      name: good-answers
    spec:
      ratioMetric:
        counter: true
        good:
          metricSource:
            type: Prometheus
            spec:
              query: http_requests_total{code!~"5.."}
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
"""One SLO without a fault."""


def said(text: str, strict: bool = False) -> list[str]:
    """Every finding of one text, as `line: path: …`."""
    return [str(it).removeprefix("f:") for it in read([("f", text)], strict).findings]


def with_line(old: str, new: str, text: str = GOOD) -> str:
    """The text with one piece, which it must hold once, replaced."""
    assert text.count(old) == 1
    return text.replace(old, new)


def one(text: str, strict: bool = False) -> Read:
    """A single file read."""
    return read([("f", text)], strict)


def loaded(*texts: str, strict: bool = False) -> Loaded:
    """Files f0, f1, … loaded."""
    return load([(f"f{index}", text) for index, text in enumerate(texts)], strict)
