"""Labels `midwatch.slo.<indicator>.target|threshold|window`: read exactly, and every fault told."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, NamedTuple

from slo.model import BurnRow
from slo.patterns import covers
from slo.periods import CalendarPeriods
from slo.rows import DAY_MS, HOUR_MS
from slo.slices import RatioTimeslices, Timeslices

LABEL_PREFIX = "midwatch.slo."
"""Labels `midwatch.slo.<indicator>.target|threshold|window` of a container override an objective."""
SHORTEST_MS, LONGEST_MS = DAY_MS, 366 * DAY_MS
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,12})?) ?%", re.ASCII)
_RATE = re.compile(r"(\d{1,6}(?:\.\d{1,12})?) ?/ ?h", re.ASCII)
_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,6})?) ?(ms|s|m|min|h)", re.ASCII)
_WINDOW = re.compile(r"(\d{1,4}) ?(h|d|w)", re.ASCII)
_SECONDS = {"ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "min": Fraction(60), "h": Fraction(3600)}
_WINDOW_MS = {"h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}

Of = Literal["service", "platform"]


@dataclass(frozen=True)
class Goal:
    """What an objective asks for: its target, its window, and its threshold where it has one."""

    of: Of
    kind: Literal["percent", "rate"]
    target: Fraction
    """The good share of the total, or with kind `rate` allowed events per instance-hour."""
    target_text: str
    window_ms: int
    threshold: Fraction | None = None
    """Seconds, or with `threshold_kind` `percent` a share."""
    threshold_kind: Literal["time", "percent"] = "time"
    threshold_text: str = ""


def _percent(of: Of, target: str, days: int, threshold: str = "", kind: Literal["time", "percent"] = "time") -> Goal:
    base = Goal(of, "percent", _target_percent(target), target, days * DAY_MS)
    if not threshold:
        return base
    value = _time(threshold) if kind == "time" else _share(threshold)
    return replace(base, threshold=value, threshold_kind=kind, threshold_text=threshold)


class _Refused(Exception):
    """A label's value that can't be obeyed, with what would be right."""


def _share(text: str) -> Fraction:
    found = _PERCENT.fullmatch(text)
    if not found or not 0 < Fraction(found[1]) < 100:
        raise _Refused("not a share between 0 and 100 %, such as 80 %")
    return Fraction(found[1]) / 100


def _target_percent(text: str) -> Fraction:
    found = _PERCENT.fullmatch(text)
    if not found:
        raise _Refused("not a target in percent, such as 99.9 %")
    if Fraction(found[1]) >= 100:
        raise _Refused(
            "a target of 100 % or more leaves no budget: nothing could be judged; use one below, such as 99.9 %"
        )
    if Fraction(found[1]) == 0:
        raise _Refused("a target of 0 % asks for nothing; use one above, such as 99.9 %")
    return Fraction(found[1]) / 100


def _target_rate(text: str) -> Fraction:
    found = _RATE.fullmatch(text)
    if not found or Fraction(found[1]) == 0:
        raise _Refused("not an allowed rate above 0 per instance-hour, such as 0.1/h")
    return Fraction(found[1])


def _time(text: str) -> Fraction:
    found = _TIME.fullmatch(text)
    if not found or Fraction(found[1]) == 0:
        raise _Refused("not a duration above 0, such as 500ms, 2s or 5m")
    return Fraction(found[1]) * _SECONDS[found[2]]


def _window(text: str) -> int:
    found = _WINDOW.fullmatch(text)
    ms = int(found[1]) * _WINDOW_MS[found[2]] if found else 0
    if not SHORTEST_MS <= ms <= LONGEST_MS:
        raise _Refused("not a window from 1d to 366d, such as 7d or 4w")
    return ms


DEFAULTS: dict[str, Goal] = {
    "container-up": _percent("service", "99 %", 30),
    "image-pull-success": _percent("service", "99.9 %", 30),
    "restart-rate": Goal("service", "rate", Fraction(1, 10), "0.1 restarts per instance-hour", 7 * DAY_MS),
    "cold-start": _percent("service", "99 %", 30, "500ms"),
    "request-availability": _percent("service", "99.9 %", 30),
    "request-latency": _percent("service", "99 %", 30, "300ms"),
    "build-time": _percent("service", "90 %", 30, "5m"),
    "node-disk": _percent("platform", "99 %", 7, "70 %", "percent"),
    "cpu-steal": _percent("platform", "99 %", 7, "5 %", "percent"),
    "registry-latency": _percent("platform", "99 %", 7, "300ms"),
    "vulnerabilities": _percent("platform", "99 %", 30),
}
"""Every built-in objective with its default target, window and threshold."""


class MemberOf(NamedTuple):
    """A composite, and whether it is judged: then it alerts in its members' place."""

    slo: str
    service: str
    judged: bool


@dataclass(frozen=True)
class Asked:
    """One objective that a file asks for on a built-in indicator."""

    indicator: str
    of: str
    """The name of a service, node or registry; `*` in it stands for any text."""
    name: str
    goal: Goal
    where: str
    """The file and line that asks for it."""
    unmeasurable: str | None = None
    """Why nothing can measure it as it is asked for."""
    calendar: CalendarPeriods | None = None
    slices: Timeslices | RatioTimeslices | None = None
    per_ms: int | None = None
    """Of an allowance: the time of one instance that its target speaks of."""
    conditions: tuple[BurnRow, ...] = ()
    member_of: MemberOf | None = None
    """The composite that it is a member of: it stands beside, under its own name."""

    @property
    def any(self) -> bool:
        """True where it is for all that a pattern covers."""
        return "*" in self.of

    def covers(self, name: str) -> bool:
        """Whether a name is one of those that it is for; in time linear in both."""
        return covers(self.of, name)


class Fault(NamedTuple):
    """A label that could not be obeyed: the default stands instead."""

    service: str
    label: str
    value: str
    problem: str
    """What is wrong and what would be right."""


def goals(
    service: str, labels: Mapping[str, str], defaults: Mapping[str, Goal] = DEFAULTS
) -> tuple[dict[str, Goal], list[Fault]]:
    """Every indicator's goal for a service with these labels, and the labels that can't be obeyed, in order of name."""
    found = dict(defaults)
    faults = []
    for label, value in sorted(labels.items()):
        if not label.startswith(LABEL_PREFIX):
            continue
        try:
            name, goal = _overridden(found, service, label, value.strip())
            found[name] = goal
        except _Refused as problem:
            faults.append(Fault(service, label[:128], value[:64], str(problem)))
    return found, faults


def with_threshold(goal: Goal, text: str) -> Goal:
    """The goal with another threshold, whose text `checked_threshold` found right."""
    limit = _share(text) if goal.threshold_kind == "percent" else _time(text)
    return replace(goal, threshold=limit, threshold_text=text)


def checked_threshold(indicator: str, text: str) -> tuple[str, str] | None:
    """What is wrong with a threshold's text for an indicator, and the remedy; None where it is right."""
    goal = DEFAULTS.get(indicator)
    if goal is None or goal.threshold is None:
        return f"{indicator} has no threshold", "remove it"
    try:
        _share(text) if goal.threshold_kind == "percent" else _time(text)
    except _Refused as refused:
        return f"{text[:40]!r} is {refused}", f"write one such as {goal.threshold_text}"
    return None


def _overridden(found: Mapping[str, Goal], service: str, label: str, value: str) -> tuple[str, Goal]:
    name, _, field = label.removeprefix(LABEL_PREFIX).rpartition(".")
    if name not in found:
        raise _Refused(f"no such indicator{_nearest(name)}")
    goal = found[name]
    if (goal.of == "platform") != (service == "platform"):
        raise _Refused(f"{name} belongs to {'nodes and registries' if goal.of == 'platform' else 'services'}")
    match field:
        case "target" if goal.kind == "rate":
            rate = _target_rate(value)
            text = f"{value.removesuffix('h').rstrip(' /')} restarts per instance-hour"
            return name, replace(goal, target=rate, target_text=text)
        case "target":
            target = _target_percent(value)
            return name, replace(goal, target=target, target_text=f"{value.rstrip(' %')} %")
        case "window":
            return name, replace(goal, window_ms=_window(value))
        case "threshold" if goal.threshold is not None:
            limit = _share(value) if goal.threshold_kind == "percent" else _time(value)
            return name, replace(goal, threshold=limit, threshold_text=value)
        case "threshold":
            raise _Refused(f"{name} has no threshold")
        case _:
            raise _Refused(f"not one of target, threshold, window{_nearest(field, ('target', 'threshold', 'window'))}")


def _nearest(name: str, known: tuple[str, ...] = tuple(DEFAULTS)) -> str:
    close = difflib.get_close_matches(name[:64], known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
