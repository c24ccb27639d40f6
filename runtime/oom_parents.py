"""What containers that vanished still count for: on v2 a folder's count has that of all below it, also of what is gone.

A kill in a cgroup that was gone before its counter was read shows as an excess of its parent: more kills there than
its runs explain. Where the excess lasts, and one run alone had ended since parent and runs were last in balance, it is
that run's. Where several had, nothing tells whose it is.
https://docs.kernel.org/admin-guide/cgroup-v2.html, memory.events
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from runtime import cgroup_v2
from runtime.errors import ParseFault
from runtime.kept import Allowance, KeptFile
from runtime.oom_book import Run

EXCESS_HOLD_MS = 250
"""What is logged a little later explains an excess too."""
MAX_PARENTS = 2048


class Vanished(NamedTuple):
    """A run that ended with kills that nobody has counted."""

    run: Run
    kills: int


class Excess:
    """Kills of a parent that no run explains; `ended` are the runs that they can be of, `kills` the fewest seen."""

    def __init__(self, at_ms: int, kills: int, ended: list[Run]) -> None:
        self.at_ms, self.kills, self.ended = at_ms, kills, ended


class Parent:
    """One folder that holds containers: its hierarchical count, and the runs in it."""

    def __init__(self, folder: Path, base: int | None) -> None:
        """`base` is what it counted when the watch of it began; None to read it now."""
        self.settled = 0
        self._file = KeptFile(folder / "memory.events", Allowance(1))
        self._value = base or 0
        self.read()
        self._base = self._value if base is None else base
        self._runs: list[Run] = []
        self._excess: Excess | None = None

    def read(self) -> None:
        """Takes its count; one that is gone, or that counts nothing, stands where it stood."""
        text = self._file.read()
        try:
            count = None if text is None else cgroup_v2.oom_kills(text, self._file.path)
        except ParseFault:
            return
        self._value = max(self._value, count or 0)

    @property
    def rise(self) -> int:
        """Kills below it since the watch of it began, by the last reading."""
        return self._value - self._base

    @property
    def gone(self) -> bool:
        """True once it was found to be no more."""
        return self._file.gone

    def join(self, run: Run) -> None:
        """A run began in it."""
        self._runs.append(run)

    def open_runs(self) -> list[str]:
        """The containers in it whose cgroup is there."""
        return [run.container_id for run in self._runs if run.closed_ms is None]

    def balance(self, below: int, now_ms: int) -> Vanished | None:
        """Compares its count with its runs and with `below`, what the folders below it counted."""
        excess = self.rise - self.settled - below - sum(run.since_opened for run in self._runs)
        ended = [run for run in self._runs if run.closed_ms is not None]
        if excess <= 0:
            self._excess = None
            self._settle(ended)
            return None
        if self._excess is None:
            self._excess = Excess(now_ms, excess, ended)
        if not self._excess.ended:  # it is of a run whose beginning had not been told of when it was seen first
            self._excess.ended = ended
        self._excess.kills = min(self._excess.kills, excess)
        return self._claim(self._excess) if now_ms - self._excess.at_ms >= EXCESS_HOLD_MS else None

    def _claim(self, excess: Excess) -> Vanished | None:
        """Ends the hold; what stays without a name is settled, or it would be every later run's."""
        self._excess = None
        self._settle(excess.ended)
        self.settled += excess.kills
        return Vanished(excess.ended[0], excess.kills) if len(excess.ended) == 1 else None

    def _settle(self, ended: list[Run]) -> None:
        self.settled += sum(run.since_opened for run in ended)
        self._runs = [run for run in self._runs if run not in ended]

    def close(self) -> None:
        """Closes its file."""
        self._file.close()


class OomParents:
    """All folders that hold containers."""

    def __init__(self) -> None:
        self._parents: dict[Path, Parent] = {}

    def begin(self, folders: Iterable[Path]) -> None:
        """The folders that are there when the watch begins: what they counted is of before."""
        for folder in folders:
            self._meet(folder, None)

    def join(self, folder: Path, run: Run, *, new: bool) -> None:
        """A run began in a folder; a folder that was not there before began with nothing."""
        parent = self._meet(folder, 0 if new else None)
        if parent is not None:
            parent.join(run)

    def read(self) -> list[str]:
        """Reads all of them; the containers whose own counters are to be read after that and before `balance`."""
        for parent in self._parents.values():
            parent.read()
        return [container for parent in self._parents.values() for container in parent.open_runs()]

    def balance(self, now_ms: int) -> list[Vanished]:
        """The runs that ended with kills that nobody has counted."""
        below: Counter[Path | None] = Counter()
        for folder, parent in self._parents.items():
            below[self._above(folder)] += parent.rise
        found = [parent.balance(below[folder], now_ms) for folder, parent in self._parents.items()]
        for folder in [folder for folder, parent in self._parents.items() if parent.gone and not parent.open_runs()]:
            self._drop(folder)
        return [vanished for vanished in found if vanished is not None]

    def close(self) -> None:
        """Closes all files."""
        for parent in self._parents.values():
            parent.close()

    def _meet(self, folder: Path, base: int | None) -> Parent | None:
        if folder in self._parents and self._parents[folder].gone:
            self._drop(folder)
            base = 0
        if folder not in self._parents:
            if len(self._parents) >= MAX_PARENTS:
                return None
            self._parents[folder] = Parent(folder, base)
        return self._parents[folder]

    def _drop(self, folder: Path) -> None:
        """What it counted is settled in the one above it."""
        above, parent = self._above(folder), self._parents.pop(folder)
        if above is not None:
            self._parents[above].settled += parent.rise
        parent.close()

    def _above(self, folder: Path) -> Path | None:
        return next((path for path in folder.parents if path in self._parents), None)
