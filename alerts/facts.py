"""What the rules are told of the world: counts of recent windows and present states, filled by the service's queries.

Counts are those that arrived: a lower bound where something is silent. `measured` says whether they are whole, so that
a limit that is reached fires either way, and one that is not reached is only known to be so where all was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

SPOOL_LOSSES = "spool_full|disk_full|disk_error|refused"
"""Label `reason` of midwatch_agent_dropped_total, as a pattern: whole batches that the agent lost."""


class ContainerRestarts(NamedTuple):
    """Restarts by policy of one container within `Thresholds.crash_loop_window_ms`; only those with any are listed."""

    container: str
    restarts: int
    last_exit: str | None = None
    """How it last ended, in words: `exit code 137, oom`."""


class ServiceState(NamedTuple):
    """One service as it is now; windows are those of `Thresholds`."""

    service: str
    measured: bool
    """False where any node that runs it has been silent (see `Thresholds.silent_rounds`): counts are lower bounds."""
    declared: bool
    """True where a Compose file that Midwatch keeps asks for it."""
    desired: int | None
    healthy: int | None
    short_since_ms: int | None
    """Since when healthy < desired, without a break; None where all are healthy or it is unknown."""
    none_since_ms: int | None
    """Since when none is healthy while some are desired, without a break; None where not so or unknown."""
    oom_kills: int
    """Kills of all causes within `oom_storm_window_ms`."""
    restarted: int
    """Distinct containers restarted by policy within `mass_restarts_window_ms`."""
    restarts: tuple[ContainerRestarts, ...]
    """Containers with restarts by policy within `crash_loop_window_ms`."""
    pulls_unauthorized: int
    """Pulls with outcome `unauthorized` within `pulls_unauthorized_window_ms`."""
    pulls_failed: int
    """Pulls that reached for the network and failed, of any class, within `pulls_failing_window_ms`."""
    pull_message: str | None = None
    """The last failed pull's message, as the engine gave it."""


class Tally(NamedTuple):
    """How many of a node's events belong to one service; `service` is empty for what belongs to no container."""

    service: str
    number: int


class DiskPoint(NamedTuple):
    """Bytes available on a filesystem at a moment."""

    at_ms: int
    available_bytes: int


class DiskState(NamedTuple):
    """One filesystem of a node; `trend` has about one point a minute over `disk_trend_window_ms`, ascending."""

    mountpoint: str
    size_bytes: int
    available_bytes: int
    trend: tuple[DiskPoint, ...]

    @property
    def used_ratio(self) -> Fraction:
        """1 - available / size, exact: what is reserved for root counts as used."""
        return 1 - Fraction(self.available_bytes, self.size_bytes)


class NodeState(NamedTuple):
    """One node as its agent last told it."""

    node: str
    node_id: str
    last_seen_ms: int
    """When the last batch of its agent was stored."""
    interval_ms: int
    """The agent's configured time between rounds."""
    containers: int
    """Containers that are desired on it."""
    restarted: tuple[Tally, ...]
    """Distinct containers restarted by policy within `mass_restarts_window_ms`, by service."""
    oom_kills: tuple[Tally, ...]
    """Kills on this node, in containers, unattributed and of the host, within `oom_storm_window_ms`, by service."""
    disks: tuple[DiskState, ...]
    spool_dropped: int
    """Batches that the agent lost for SPOOL_LOSSES within `spool_window_ms`."""


class ServerState(NamedTuple):
    """The service's own state."""

    up_since_ms: int
    """When this process began to take batches: silence before it is its own."""
    evaluation_age_ms: int | None
    """Age of the last finished evaluation when this one began; None at the first."""
    outbox_oldest_ms: int | None
    """When the oldest message that still waits was put into the outbox; None where none waits."""
    outbox_waiting: int
    outbox_error: str | None = None
    """What the receiver last answered."""
    store_bytes: int | None = None
    """What the database uses of its file; None where nobody says."""
    store_most_bytes: int | None = None
    """What it may use: beyond, the oldest days go."""


@dataclass(frozen=True)
class Facts:
    """All that the rules need beside judgements, at one moment."""

    services: tuple[ServiceState, ...]
    nodes: tuple[NodeState, ...]
    server: ServerState | None
