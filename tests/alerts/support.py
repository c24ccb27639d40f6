"""Facts, findings and judgements for tests, in few words."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from alerts.facts import DiskPoint, DiskState, Facts, NodeState, ServerState, ServiceState
from alerts.model import Evidence, Finding, Road, Subject
from alerts.rules import findings
from alerts.thresholds import Thresholds

NOW = 1_800_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
GIB = 2**30
API = Subject("shop/api")


def service(name: str = "shop/api", **changes: Any) -> ServiceState:
    """A healthy, measured, declared service of two containers."""
    state = ServiceState(name, True, True, 2, 2, None, None, 0, 0, (), 0, 0, None)
    return state._replace(**changes)


def disk(used: str = "0.5", falling_bytes_per_minute: int = 0, minutes: int = 60, mountpoint: str = "/") -> DiskState:
    """A disk of 100 GiB with a straight trend."""
    available = int((1 - Fraction(used)) * 100 * GIB)
    trend = tuple(
        DiskPoint(NOW - age * MINUTE, available + age * falling_bytes_per_minute) for age in range(minutes, -1, -1)
    )
    return DiskState(mountpoint, 100 * GIB, available, trend)


def node(name: str = "n1", node_id: str = "uuid-1", **changes: Any) -> NodeState:
    """A node that reported just now, with ten containers and a half-full disk."""
    return NodeState(name, node_id, NOW - 2_000, 5_000, 10, (), (), (disk(),), 0)._replace(**changes)


def server(**changes: Any) -> ServerState:
    """A service that runs well since an hour."""
    return ServerState(NOW - HOUR, 15_000, None, 0, None, 100, 1000)._replace(**changes)


def rule(facts: Facts, alert: str, road: Road, thresholds: Thresholds | None = None) -> Finding:
    """The one finding of this alert on this road."""
    found = [it for it in findings(facts, (), thresholds or Thresholds(), NOW) if (it.alert, it.road) == (alert, road)]
    assert len(found) == 1, found
    return found[0]


def of_service(alert: str, road: Road, **changes: Any) -> Finding:
    return rule(Facts((service(**changes),), (), None), alert, road)


def of_node(alert: str, road: Road, **changes: Any) -> Finding:
    return rule(Facts((), (node(**changes),), server()), alert, road)


def finding(
    firing: bool | None = True,
    alert: str = "oom-storm",
    road: Road = "page",
    subject: Subject = API,
    at_ms: int = NOW,
    hold_ms: int = 0,
    labels: tuple[tuple[str, str], ...] = (),
    summary: str = "3 OOM kills",
) -> Finding:
    return Finding(
        alert, subject, labels, road, firing, at_ms, summary, (Evidence("OOM kills", "3 in 5 min"),), None, hold_ms
    )
