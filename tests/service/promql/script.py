"""Runs the script language in which Prometheus's own engine is tested.

`load STEP` with series lines, `clear`, `eval [instant at T | range from A to B step S] EXPR` with the series expected
below, `expect …` lines, and the older forms `eval_fail`, `eval_ordered`, `eval_warn`, `eval_info`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import promql_parser

from service.promql import Answer, Engine, Matrix, QueryFault, Scalar, Text, Vector
from tests.support.samples import STALE, MemorySamples

_EVAL = re.compile(
    r"eval(?P<form>_\w+)?\s+(?:instant(?:\s+at\s+(?P<at>\S+))?|"
    r"range\s+from\s+(?P<a>\S+)\s+to\s+(?P<b>\S+)\s+step\s+(?P<step>\S+))\s+(?P<text>.+)",
    re.DOTALL,
)
_METRIC = re.compile(
    r'(?P<name>[a-zA-Z_:][\w:]*)?\s*(?:\{(?P<labels>(?:[^"}]|"(?:\\.|[^"\\])*")*)\})?\s*(?P<rest>.*)', re.DOTALL
)
Labels = frozenset[tuple[str, str]]


@dataclass
class Case:
    """One `eval` and all that was loaded before it."""

    where: str
    line: str
    samples: MemorySamples
    below: list[str] = field(default_factory=list)


def cases(path: Path) -> Iterator[Case]:
    """The evals of a file, each with the samples it runs on."""
    samples = MemorySamples()
    found: Case | None = None
    load_step = 0
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if raw[0] not in " \t":
            if found is not None:
                yield found
            found, load_step = None, 0
        if line.startswith("load"):
            load_step = milliseconds(line.split()[1])
        elif line == "clear":
            samples = MemorySamples()
        elif line.startswith("eval"):
            found = Case(f"{path.name}:{number}", line, samples)
        elif found is not None:
            found.below.append(line)
        elif load_step:
            load(samples, line, load_step)
        else:
            raise ValueError(f"{path}:{number}: {line}")
    if found is not None:
        yield found


def load(samples: MemorySamples, line: str, step_ms: int) -> None:
    """One series line."""
    labels, values = series(line)
    kept = [(i * step_ms, it) for i, it in enumerate(values) if it is not None]
    samples.add(dict(labels), [it for it, _ in kept], [it for _, it in kept])


def milliseconds(text: str) -> int:
    """A duration, or a number of seconds."""
    units = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
    parts = re.findall(r"(\d+)(ms|[smhd])", text)
    return sum(int(it) * units[unit] for it, unit in parts) if parts else round(float(text) * 1000)


def series(line: str) -> tuple[Labels, list[float | None]]:
    """A metric and its values; None where there is none."""
    if re.fullmatch(r"[+-]?([0-9.]+(e[+-]?\d+)?|NaN|[Ii]nf)", line):
        return frozenset(), [number(line)]
    found = _METRIC.fullmatch(line)
    assert found is not None, line
    text = f"{found['name'] or ''}{{{found['labels'] or ''}}}"
    labels: set[tuple[str, str]] = set()
    if (found["labels"] or "").strip() or found["name"]:
        tree = promql_parser.parse(text)
        labels = {(it.name, it.value) for it in tree.matchers.matchers}
        if tree.name is not None:
            labels.add(("__name__", tree.name))
    return frozenset(labels), [it for token in found["rest"].split() for it in run(token)]


def run(token: str) -> list[float | None]:
    """`1`, `_`, `stale`, `1+2x3`, `_x3`."""
    if token.startswith("_"):
        return [None] * int(token.removeprefix("_x") or 1) if token != "_" else [None]
    if token == "stale":
        return [STALE]
    found = re.fullmatch(r"([+-]?(?:[0-9.]+(?:[eE][+-]?[0-9]+)?|[nN]a[nN]|[iI]nf))(?:([+-].+?)?x(\d+))?", token)
    assert found is not None, token
    first, grow, times = number(found[1]), number(found[2] or "0"), int(found[3] or 0)
    return [first] if found[3] is None else [first + grow * i for i in range(times + 1)]


def number(text: str) -> float:
    """A number as these files write them."""
    return float(text)


def check(case: Case) -> None:
    """Runs a case; raises AssertionError where it does not hold."""
    found = _EVAL.fullmatch(case.line)
    assert found is not None, case.line
    expects = [it.removeprefix("expect").strip() for it in case.below if it.startswith("expect")]
    expects += [found["form"].removeprefix("_")] if found["form"] else []
    wanted = [it for it in case.below if not it.startswith("expect")]
    engine = Engine(case.samples)
    if any(it.startswith("fail") for it in expects):
        _check_failure(engine, found, expects)
        return
    answer, moments = _ask(engine, found)
    _check_notes(answer, expects)
    if found["a"] is None:
        _check_instant(answer, [series(it) for it in wanted], any(it.startswith("ordered") for it in expects))
    else:
        _check_range(answer, [series(it) for it in wanted], moments)


def _ask(engine: Engine, found: re.Match[str]) -> tuple[Answer, list[int]]:
    if found["a"] is None:
        at = milliseconds(found["at"] or "0")
        return engine.instant(found["text"], at), [at]
    a, b, step = (milliseconds(found[it]) for it in ("a", "b", "step"))
    return engine.range(found["text"], a, b, step), list(range(a, b + 1, step))


def _check_failure(engine: Engine, found: re.Match[str], expects: list[str]) -> None:
    try:
        answer, _ = _ask(engine, found)
    except QueryFault as fault:
        for it in expects:
            if it.startswith("fail msg:"):
                assert str(fault) == it.removeprefix("fail msg:").strip()
            if it.startswith("fail regex:"):
                assert re.search(it.removeprefix("fail regex:").strip(), str(fault))
        return
    raise AssertionError(f"it should have failed: {answer.result}")


def _check_notes(answer: Answer, expects: list[str]) -> None:
    notes = {"warn": answer.warnings, "info": answer.infos}
    for it in expects:
        kind, _, rest = it.partition(" ")
        if kind in notes:
            assert notes[kind], f"no {kind}"
            if rest.startswith("msg:"):
                assert rest.removeprefix("msg:").strip() in notes[kind], notes[kind]
        elif kind in ("no_warn", "no_info"):
            assert not notes[kind.removeprefix("no_")], notes


def _check_instant(answer: Answer, wanted: list[tuple[Labels, list[float | None]]], ordered: bool) -> None:
    result = answer.result
    if isinstance(result, Scalar | Text):
        assert len(wanted) == 1
        assert wanted[0][0] == frozenset()
        assert same(float(result.value), wanted[0][1][0])
        return
    assert isinstance(result, Vector), result
    got = [(frozenset(it.items()), float(value)) for it, value in zip(result.labels, result.values, strict=True)]
    assert len({it for it, _ in got}) == len(got)
    if ordered:
        assert [it for it, _ in got] == [it for it, _ in wanted]
    assert {it for it, _ in got} == {it for it, _ in wanted}
    values = dict(got)
    for labels, expected in wanted:
        assert same(values[labels], expected[0]), (labels, values[labels], expected)


def _check_range(answer: Answer, wanted: list[tuple[Labels, list[float | None]]], moments: list[int]) -> None:
    result = answer.result
    assert isinstance(result, Matrix)
    got = {}
    for i, labels in enumerate(result.labels):
        part = slice(result.offsets[i], result.offsets[i + 1])
        got[frozenset(labels.items())] = dict(
            zip(result.ts_ms[part].tolist(), result.values[part].tolist(), strict=True)
        )
    assert set(got) == {it for it, _ in wanted}
    for labels, expected in wanted:
        points = {at: it for at, it in zip(moments, expected, strict=False) if it is not None}
        assert set(points) == set(got[labels]), (labels, points, got[labels])
        for at, it in points.items():
            assert same(got[labels][at], it), (labels, at, got[labels][at], it)


def same(a: float, b: float | None) -> bool:
    """Equal but for rounding, as the peer's runner has it."""
    assert b is not None
    if a == b or (math.isnan(a) and math.isnan(b)):
        return True
    return abs(a - b) <= 1e-6 * min(abs(a) + abs(b), 1.7e308)
