"""Evaluation: objectives are judged, rules asked, and what follows is stored in one transaction with its messages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import duckdb

from alerts.facts import Facts, ServerState
from alerts.model import AlertBook, Change, Finding, Subject
from alerts.rules import findings, vanished
from alerts.rules_slo import of_judgement
from alerts.step import acknowledge, step
from alerts.thresholds import Thresholds
from service import adjusted_silences, catalogue, desk, roster
from service.adjustments import AdjustmentBook
from service.desk import Receiver
from service.errors import StoreFault
from service.facts import gather
from service.judging import Judging
from service.ports import Readings, ask
from service.roster import Heard, Row
from service.slo_book import SloBook
from service.slo_changes import Promised, Promises
from service.slo_held import read_held, write_held
from service.slo_history import STEP_MS, write_history
from service.slo_kept import Day
from service.slo_lint import Linted
from service.slo_queries import Engine
from service.store_db import Cursor
from service.store_keep import used_bytes
from slo.builtin import builtin
from slo.burn import DEFAULT, Policy
from slo.held import HeldConditions
from slo.indicators import PLATFORM
from slo.judge import placed
from slo.model import Counts, Judgement, Objective
from slo.openslo.objectives import FromFiles, refused, replaced

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
KEEP_SLICES_MS = 600_000
"""How often days of judged slices are stored."""


@dataclass(frozen=True)
class Evaluated:
    """The last finished evaluation."""

    at_ms: int
    seconds: float
    judgements: tuple[Judgement, ...]
    findings: tuple[Finding, ...]


class _Present(NamedTuple):
    """What is watched now: names of services, names and ids of nodes."""

    services: frozenset[str]
    nodes: frozenset[str]

    @classmethod
    def of(cls, rows: Sequence[Row], heard: Sequence[Heard], files: FromFiles) -> _Present:
        """What these rows tell; a service that a file speaks of is watched whether or not it has a container."""
        nodes = {name for it in heard for name in (it.node, it.node_id)}
        services = {row.service for row in rows} | files.services | {PLATFORM}
        return cls(frozenset(services), frozenset(nodes))

    def gone(self, book: AlertBook) -> frozenset[str]:
        """Keys of subjects in the book that are watched no more: a node that was silent for a day is none any more."""
        return frozenset(it.subject.key for it in book.incidents if not self._holds(it.subject))

    def _holds(self, subject: Subject) -> bool:
        scope = dict(subject.scope)
        node = scope.get("node_id") or scope.get("node")
        return subject.service in self.services and (node is None or node in self.nodes)


class Evaluator:
    """Judges everything, one evaluation at a time; `tick` may be called from any thread."""

    def __init__(
        self,
        store: Readings,
        receivers: Sequence[Receiver],
        base_url: str,
        thresholds: Thresholds,
        clock: Callable[[], int],
        wake: Callable[[], None],
        most_bytes: int | None = None,
        slos: SloBook | None = None,
        engine: Engine | None = None,
        policy: Policy = DEFAULT,
        raw_ms: int | None = None,
    ) -> None:
        """`most_bytes` is what the database may use; `engine` answers the queries of objectives.

        `raw_ms` is how long single samples are kept, where that is known.
        """
        self.slos = slos or SloBook()
        """The objectives of files."""
        self.adjustments = AdjustmentBook()
        """What is taken out of budgets."""
        self._store = store
        self._most_bytes = most_bytes
        self._receivers = tuple(receivers)
        self._base_url = base_url
        self._thresholds = thresholds
        self._clock = clock
        self._wake = wake
        self._lock = threading.Lock()
        self._up_since_ms = clock()
        self._history_ms = 0
        self._kept_ms = 0
        self._book = desk.KeptBook()
        self._policy, self._linted = policy, Linted(policy)
        self._promises = Promises()
        self._held_since_ms = ask(store.database, read_held)
        self._judging = Judging(store, engine, policy, HeldConditions(policy, self._held_since_ms), raw_ms)
        self.last: Evaluated | None = None
        self.changes: dict[tuple[str, str], int] = {}
        """What was decided since the start, by (kind, road)."""

    @property
    def slices_dropped(self) -> int:
        """Days of judged slices that had to go for their bound."""
        return self._judging.kept.dropped

    def tick(self) -> Evaluated:
        """One evaluation at the present moment."""
        with self._lock:
            try:
                found = self._evaluate(self._clock())
            except Exception:  # that nothing is judged is told whatever the reason
                self._without_samples(self._clock())
                raise
            self.last = found
            return found

    @property
    def failures(self) -> int:
        """Judgements of single objectives that failed, since the start."""
        return self._judging.faults.count

    @property
    def left_off(self) -> int:
        """Times that adjustments could not take out of objectives' budgets, for the bound."""
        return self._judging.left_off

    def acknowledge(self, incident_id: str, by: str) -> None:
        """Note that someone is at it; KeyError where no such incident is open."""
        with self._lock:
            now_ms = self._clock()

            def run(cursor: Cursor) -> desk.Kept:
                before = self._book.read(cursor)
                return self._book.write(cursor, before, acknowledge(before, incident_id, by, now_ms), now_ms)

            self._book.keep(self._store.database.write(run))

    def steps(self, objectives: Sequence[Objective], edges_ms: Sequence[int]) -> list[list[Counts]]:
        """Counts of contiguous steps of each objective, as it is judged."""
        with self._lock:
            return self._judging.steps(objectives, edges_ms)

    def asked_by(self, files: FromFiles) -> list[Objective]:
        """The objectives that these files ask for, as they would be now."""
        now_ms = self._clock()
        rows, ended = ask(self._store.database, lambda it: (roster.present(it), roster.gone(it)))
        known = catalogue.catalogue(self._store, catalogue.nodes(self._store, now_ms), ended, now_ms)
        facts = roster.facts(rows)
        plain = set(builtin(facts, known, policy=self._policy))
        return [*(it for it in builtin(facts, known, files.asked, self._policy) if it not in plain), *files.objectives]

    def objectives(self) -> list[Objective]:
        """All objectives that are in force, calendars not yet put into their present periods."""
        now_ms = self._clock()
        rows, ended = ask(self._store.database, lambda it: (roster.present(it), roster.gone(it)))
        return self._wanted(rows, ended, catalogue.nodes(self._store, now_ms), self.slos.in_force, now_ms)

    def _wanted(
        self, rows: Sequence[Row], ended: Collection[str], heard: list[Heard], files: FromFiles, now_ms: int
    ) -> list[Objective]:
        known = catalogue.catalogue(self._store, heard, ended, now_ms)
        built = builtin(roster.facts(rows), known, files.asked, self._policy)
        return replaced(built, [*files.objectives, *refused(self.slos.faults)])

    def _evaluate(self, now_ms: int) -> Evaluated:
        rows, ended, state, adjustments = ask(
            self._store.database,
            lambda it: (roster.present(it), roster.gone(it), desk.outbox_state(it), self.adjustments.look(it)),
        )
        heard = catalogue.nodes(self._store, now_ms)
        files = self.slos.look(now_ms)
        asked = self._wanted(rows, ended, heard, files, now_ms)
        objectives = [self._placed(it, now_ms) for it in asked]
        judgements = self._judging.judged(objectives, now_ms, adjustments)
        age = None if self.last is None else now_ms - self.last.at_ms
        used = ask(self._store.database, used_bytes)
        server = ServerState(
            self._up_since_ms, age, state.oldest_ms, state.waiting, state.detail, used, self._most_bytes
        )
        facts = gather(self._store, rows, heard, server, self._thresholds, now_ms)
        judgements, found = self._findings(facts, judgements, now_ms)
        present = _Present.of(rows, heard, files)
        self._settle(lambda book: present.gone(book) | vanished(book, judgements), judgements, found, now_ms, asked)
        return Evaluated(now_ms, (self._clock() - now_ms) / 1000, judgements, found)

    def _findings(
        self, facts: Facts, judgements: tuple[Judgement, ...], now_ms: int
    ) -> tuple[tuple[Judgement, ...], tuple[Finding, ...]]:
        """What all rules say; where they fail over a judgement, it is one that could not be made."""
        try:
            return judgements, tuple(findings(facts, judgements, self._thresholds, now_ms))
        except Exception:  # noqa: BLE001 - one judgement's fault is none of the others'
            judgements = tuple(self._tellable(it, now_ms) for it in judgements)
            return judgements, tuple(findings(facts, judgements, self._thresholds, now_ms))

    def _tellable(self, it: Judgement, now_ms: int) -> Judgement:
        def told() -> Judgement:
            of_judgement(it, self._thresholds, now_ms)
            return it

        return self._judging.guarded(it.objective, told, now_ms)

    def _placed(self, objective: Objective, now_ms: int) -> Objective:
        """The objective in its present period; one that can't be put there can't be measured."""

        def found() -> Objective:
            mine = placed(objective, now_ms)
            self._linted.look([mine])
            return mine

        return self._judging.faults.guarded(objective, found, lambda it: it)

    def _without_samples(self, now_ms: int) -> None:
        """What can be told while samples can't be read: that nothing is judged. All other alerts stay as they are."""
        state = ask(self._store.database, desk.outbox_state)
        since_ms = self._up_since_ms if self.last is None else self.last.at_ms
        server = ServerState(self._up_since_ms, now_ms - since_ms, state.oldest_ms, state.waiting, state.detail)
        found = findings(Facts((), (), server), (), self._thresholds, now_ms)
        self._settle(lambda book: frozenset(), (), found, now_ms)

    def _settle(
        self,
        gone_of: Callable[[AlertBook], frozenset[str]],
        judgements: Sequence[Judgement],
        found: Sequence[Finding],
        now_ms: int,
        asked: Sequence[Objective] = (),
    ) -> None:
        """Step the alerts and store what follows; what is undone with the transaction has not happened."""
        # a clock that was set back stops no history
        due = bool(judgements) and not 0 <= now_ms - self._history_ms < STEP_MS

        held_since_ms = self._judging.held.since_ms

        keeps = judgements and not 0 <= now_ms - self._kept_ms < KEEP_SLICES_MS
        days: list[Day] = []

        def run(cursor: Cursor) -> tuple[list[Change], int, desk.Kept, Promised | None]:
            days[:] = self._judging.kept.write(cursor, now_ms) if keeps else ()
            write_held(cursor, self._held_since_ms, held_since_ms)
            book = self._book.read(cursor)
            adjusted_silences.begun(cursor, self.adjustments.standing, now_ms)
            after, changes = step(book, found, desk.read_silences(cursor, now_ms), now_ms, gone_of(book))
            kept = self._book.write(cursor, book, after, now_ms)
            ended = [it.incident for it in changes if it.incident.status == "resolved"]
            desk.write_incidents(cursor, ended)
            posted = desk.post(cursor, changes, self._receivers, self._base_url, now_ms)
            self._beside(lambda: write_history(cursor, judgements, now_ms) if due else None)
            promised = self._beside(lambda: self._promises.write(cursor, asked, now_ms) if judgements else None)
            return changes, posted, kept, promised

        changes, posted, kept, promised = self._store.database.write(run)
        self._book.keep(kept)
        self._held_since_ms = held_since_ms
        self._judging.kept.written(days)
        self._kept_ms = now_ms if keeps else self._kept_ms
        if promised is not None:
            self._promises.keep(promised)
        if due:
            self._history_ms = now_ms
        self._tell(changes)
        if posted:
            self._wake()

    def _beside(self, write: Callable[[], T]) -> T | None:
        """What is written beside the alerts; where it fails these go out all the same, unless the database fails."""
        try:
            return write()
        except (StoreFault, duckdb.Error):
            raise
        except Exception as fault:  # noqa: BLE001 - no reason to tell nobody of what burns
            self._judging.faults.count += 1
            _LOG.error("what was judged can't be stored", exc_info=fault)
            return None

    def _tell(self, changes: Sequence[Change]) -> None:
        """Count and log what was decided."""
        for it in changes:
            key = (it.kind, it.incident.road)
            self.changes[key] = self.changes.get(key, 0) + 1
            _LOG.info("%s %s: %s (%s)", it.incident.road, it.kind, it.incident.subject.key, it.reason)
