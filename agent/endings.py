"""Ends of runs whose verdict is still open: the kernel's word on memory and the engine's `stop` come after `die`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.book import Record
from agent.verdict import KILLED, End, KillSeen
from runtime.model import ServiceName

HOLD_MS = 2_000
SAME_REQUEST_MS = 1_000
"""A kill that the engine tells of this long after an end was the end's own: both are told of by different threads."""


@dataclass
class Ending:
    """The end of one run of a container."""

    record: Record
    at_ms: int
    exit_code: int | None
    due_ms: int
    killed: bool = False
    stopped: bool = False
    oom_flag: bool = False
    kills: list[KillSeen] = field(default_factory=list)

    def end(self) -> End:
        """What is known of it now."""
        return End(self.at_ms, self.exit_code, self.killed, self.stopped, self.oom_flag, tuple(self.kills))

    @property
    def unexplained(self) -> bool:
        """Killed by someone, and nobody has said that it was he."""
        return self.exit_code == KILLED and not self.killed and not self.kills


class Endings:
    """Open ends by container id, oldest first."""

    def __init__(self, hold_ms: int = HOLD_MS) -> None:
        self._hold_ms = hold_ms
        self._open: dict[str, list[Ending]] = {}

    def add(self, record: Record, at_ms: int, exit_code: int | None, now_ms: int) -> Ending:
        """Opens the end of the record's run; it takes over what the run has seen."""
        due_ms = max(at_ms, now_ms) + self._hold_ms
        ending = Ending(record, at_ms, exit_code, due_ms, record.killed, record.stopped, kills=record.kills)
        record.kills, record.counted_kills = [], 0
        self._open.setdefault(record.container.id, []).append(ending)
        return ending

    def killed(self, container_id: str, at_ms: int) -> bool:
        """An ending signal was sent at that time; True where it explains the last end."""
        for ending in self._open.get(container_id, ())[-1:]:
            if ending.at_ms <= at_ms <= ending.at_ms + SAME_REQUEST_MS:
                ending.killed = True
                return True
        return False

    def stopped(self, container_id: str) -> None:
        """Its stop or removal was asked for: that explains its last end, if a signal was sent too."""
        for ending in self._open.get(container_id, ())[-1:]:
            ending.stopped = True

    def claim(self, container_id: str, kill: KillSeen, *, alive: bool) -> bool:
        """Gives a kill to the end that it explains; False where it belongs to the run that goes on."""
        endings = self._open.get(container_id, [])
        unexplained = next((ending for ending in endings if ending.unexplained), None)
        found = unexplained or (endings[-1] if endings and not alive else None)
        if found is None:
            return False
        found.kills.append(kill)
        return True

    def all(self) -> Iterator[Ending]:
        """Every open end."""
        return (ending for endings in self._open.values() for ending in endings)

    def put_back(self, ending: Ending) -> None:
        """An open end of a checkpoint."""
        self._open.setdefault(ending.record.container.id, []).append(ending)

    def of(self, service: ServiceName) -> bool:
        """True while an end in the service is open."""
        return any(ending.record.service == service for ending in self.all())

    def due(self, now_ms: int | None) -> Iterator[Ending]:
        """Takes out the ends whose time has come, all of them without a time."""
        for container_id, endings in list(self._open.items()):
            while endings and (now_ms is None or endings[0].due_ms <= now_ms):
                yield endings.pop(0)
            if not endings:
                del self._open[container_id]
