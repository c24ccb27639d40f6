"""Rules at work: groups evaluated when they are due, results stored as any batch, alerts kept beyond a restart."""

from __future__ import annotations

import json
import logging
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from service.errors import ServiceFault
from service.model import MetricBatch, Series
from service.promql.model import Answer
from service.rules_files import files_of, load
from service.rules_model import Alert, AlertingRule, Group, Pairs, RecordingRule, Rule, RuleFault
from service.rules_step import Point, alerted, recorded, told_by
from service.staleness import STALE
from service.store_db import Cursor, Database

_LOG = logging.getLogger(__name__)
TABLE: Final = "rule_alerts(rule VARCHAR, at_ms BIGINT, alerts VARCHAR)"
LOOK_MS: Final = 5_000
"""Time between two looks at the files."""
OUTAGE_MS: Final = 3_600_000
"""Alerts that were known longest this long ago are taken up again after a restart."""
SAVE_MS: Final = 300_000
"""Alerts are noted at least this often."""

Stat = tuple[tuple[str, int, int], ...]


class Asking(Protocol):
    """Who works expressions out."""

    def instant(self, text: str, at_ms: int) -> Answer:
        """The worth of an expression at one moment."""
        ...


@dataclass
class Status:
    """What is known of a rule from its evaluations."""

    health: str = "unknown"
    error: str = ""
    seconds: float = 0.0
    at_ms: int = 0
    alerts: list[Alert] = field(default_factory=list)
    series: frozenset[Series] = frozenset()
    """What the last evaluation stored, to be marked as gone when it is."""
    saved_ms: int = 0


@dataclass
class Running:
    """A group with the state of its rules."""

    group: Group
    rules: list[Status]
    at_ms: int | None = None
    """The moment of the last evaluation."""
    seconds: float = 0.0


class Due(NamedTuple):
    """A group that is due, and at which moment it is evaluated."""

    running: Running
    at_ms: int


class RuleBook:
    """All groups; `tick` runs on one thread, all else may be read from any."""

    def __init__(
        self,
        globs: Sequence[str],
        interval_ms: int,
        engine: Asking,
        append: Callable[[MetricBatch], object],
        database: Database,
        clock: Callable[[], int],
    ) -> None:
        self.counts: Counter[str] = Counter()
        """Evaluations of rules: `ok`, `failed`; and `missed` ones of groups."""
        self.faults: tuple[RuleFault, ...] = ()
        """What is wrong in the files as they are; the rules that were good go on."""
        self.loaded_ms = 0
        self._globs, self._interval_ms, self._engine, self._append = globs, interval_ms, engine, append
        self._database, self._clock = database, clock
        self._running: tuple[Running, ...] = ()
        self._seen: Stat | None = None
        self._looked_ms = 0
        self._stop = threading.Event()
        database.write(lambda cursor: cursor.execute(f"CREATE TABLE IF NOT EXISTS {TABLE}") and None)

    @property
    def groups(self) -> tuple[Running, ...]:
        """All groups, in the order of files."""
        return self._running

    def run(self) -> None:
        """Evaluate until told to stop."""
        while not self._stop.is_set():
            try:
                self.tick()
            except Exception:  # noqa: BLE001 - one bad moment must not end all rules: in the log and counted
                self.counts["failed"] += 1
                _LOG.exception("rules could not be evaluated")
            self._stop.wait(self.wait_seconds())

    def stop(self) -> None:
        """End `run`."""
        self._stop.set()

    def tick(self) -> None:
        """Look at the files where it is time, and evaluate every group that is due."""
        now = self._clock()
        if self._seen is None or not 0 <= now - self._looked_ms < LOOK_MS:
            self._looked_ms = now
            self.reload()
        for running, at_ms in self.due(now):
            self._evaluate(running, at_ms)

    def wait_seconds(self) -> float:
        """How long nothing is due."""
        now = self._clock()
        waits = [it.group.interval_ms - (now - moment(it.group, now)) for it in self._running]
        return max(0.05, min([LOOK_MS, *waits]) / 1000)

    def due(self, now_ms: int) -> list[Due]:
        """Groups whose moment is not that of their last evaluation; a clock that was set back is not waited for."""
        found = [Due(it, moment(it.group, now_ms)) for it in self._running]
        return [it for it in found if it.running.at_ms != it.at_ms]

    def reload(self) -> None:
        """Take the files up where they have changed; where any has a fault all stays as it was."""
        seen = _stat(self._globs)
        if seen == self._seen:
            return
        first, self._seen = self._seen is None, seen
        loaded = load(self._globs, self._interval_ms)
        self.faults = loaded.faults
        for fault in loaded.faults:
            _LOG.error("rules: %s", fault)
        if loaded.faults and not first:
            return
        faulty = {it.file for it in loaded.faults}
        before = {key: status for it in self._running for key, status in _keyed(it)}
        if first:
            before = self._restored()
        groups = [it for it in loaded.groups if it.file not in faulty]
        self._running = tuple(self._taken(it, before) for it in groups)
        self.loaded_ms = self._clock()
        self._mark_gone([status for key, status in before.items() if key not in {it for g in groups for it in keys(g)}])

    def _mark_gone(self, statuses: Sequence[Status]) -> None:
        """The series of rules that are no more are told to have ended."""
        gone = dict.fromkeys((one for it in statuses for one in it.series), STALE)
        if gone:
            self._append(batch_of(gone, self._clock()))

    def _taken(self, group: Group, before: Mapping[str, Status]) -> Running:
        known = {it.group.key: it for it in self._running}.get(group.key)
        statuses = [before.get(key, Status()) for key in keys(group)]
        return Running(group, statuses, known.at_ms if known else None)

    def _evaluate(self, running: Running, at_ms: int) -> None:
        if running.at_ms is not None:
            self.counts["missed"] += max(0, (at_ms - running.at_ms) // running.group.interval_ms - 1)
        begun = time.monotonic()
        for rule, status, key in zip(running.group.rules, running.rules, keys(running.group), strict=True):
            self._evaluate_rule(running.group, rule, status, key, at_ms)
        running.at_ms, running.seconds = at_ms, time.monotonic() - begun

    def _evaluate_rule(self, group: Group, rule: Rule, status: Status, key: str, at_ms: int) -> None:
        begun = time.monotonic()
        try:
            answer = self._engine.instant(rule.expr, at_ms - group.offset_ms)
            before = list(status.alerts)
            if isinstance(rule, RecordingRule):
                found = recorded(rule, answer.result, group.limit)
            else:
                status.alerts, found = alerted(rule, before, answer.result, group.limit, at_ms)
            self._store(status, found, at_ms)
            if _lasting(before) != _lasting(status.alerts) or (before and at_ms - status.saved_ms >= SAVE_MS):
                self._database.write(lambda cursor: _save(cursor, key, status.alerts, at_ms))
                status.saved_ms = at_ms
            status.health, status.error = "ok", ""
            self.counts["ok"] += 1
        except ServiceFault as fault:
            status.health, status.error = "err", str(fault)[:1000]
            self.counts["failed"] += 1
        status.seconds, status.at_ms = time.monotonic() - begun, at_ms

    def _store(self, status: Status, found: Sequence[Point], at_ms: int) -> None:
        """Append a result, and a marker for each series that was in the last one and is not in this."""
        fresh = {Series(it.metric, it.labels): it.value for it in found}
        rows = {**dict.fromkeys(status.series - set(fresh), STALE), **fresh}
        if rows:
            self._append(batch_of(rows, at_ms))
        status.series = frozenset(fresh)

    def _restored(self) -> dict[str, Status]:
        """The alerts that the process before knew."""
        since = self._clock() - OUTAGE_MS
        with self._database.read(lambda cursor: cursor.execute("SELECT * FROM rule_alerts").fetchall()) as (_, rows):
            found = {key: json.loads(text) for key, at_ms, text in rows if at_ms > since}
        return {key: _status([_alert(it) for it in them]) for key, them in found.items()}


def moment(group: Group, now_ms: int) -> int:
    """The last moment at which a group is evaluated: a grid of its own, so that not all groups come at once."""
    shift = zlib.crc32(group.key.encode("utf-8", "replace")) % group.interval_ms
    return (now_ms - shift) // group.interval_ms * group.interval_ms + shift


def keys(group: Group) -> list[str]:
    """What tells the rules of a group apart, also after a change of its file."""
    seen: Counter[str] = Counter()
    found = []
    for rule in group.rules:
        key = json.dumps([group.key, rule.name, rule.labels, rule.expr])
        seen[key] += 1
        found.append(f"{key}{seen[key]}")
    return found


def batch_of(rows: Mapping[Series, float], at_ms: int) -> MetricBatch:
    """A result as a batch of one moment."""
    return MetricBatch(
        identity=None,
        series=tuple(rows),
        kinds=tuple("gauge" for _ in rows),
        series_index=list(range(len(rows))),
        ts_ms=[at_ms] * len(rows),
        value=list(rows.values()),
        start_ms=[None] * len(rows),
    )


def _keyed(running: Running) -> list[tuple[str, Status]]:
    return list(zip(keys(running.group), running.rules, strict=True))


def _stat(globs: Sequence[str]) -> Stat:
    found = []
    for path in files_of(globs):
        try:
            told = path.stat()
        except OSError:
            continue
        found.append((str(path), told.st_mtime_ns, told.st_size))
    return tuple(found)


def _lasting(alerts: Sequence[Alert]) -> list[tuple[Pairs, str, int, int | None]]:
    """What of alerts must outlive the process."""
    return [(it.labels, it.state, it.active_ms, it.keep_since_ms) for it in alerts]


def _save(cursor: Cursor, key: str, alerts: Sequence[Alert], at_ms: int) -> None:
    cursor.execute("DELETE FROM rule_alerts WHERE rule = ?", [key])
    if alerts:
        cursor.execute(
            "INSERT INTO rule_alerts VALUES (?, ?, ?)", [key, at_ms, json.dumps([asdict(it) for it in alerts])]
        )


def _status(alerts: list[Alert]) -> Status:
    told = [one for it in alerts if it.state != "inactive" for one in told_by(it)]
    return Status(alerts=alerts, series=frozenset(Series(it.metric, it.labels) for it in told))


def _alert(data: dict[str, Any]) -> Alert:
    labels, annotations = (tuple((name, value) for name, value in data[it]) for it in ("labels", "annotations"))
    return Alert(**{**data, "labels": labels, "annotations": annotations})


def check(globs: Sequence[str]) -> tuple[str, ...]:
    """Every fault of the files that the patterns name, one line each."""
    return tuple(map(str, load(globs, 60_000).faults))


def alerting(running: Running) -> list[tuple[AlertingRule, Status]]:
    """The alerting rules of a group with what is known of them."""
    both = zip(running.group.rules, running.rules, strict=True)
    return [(rule, status) for rule, status in both if isinstance(rule, AlertingRule)]
