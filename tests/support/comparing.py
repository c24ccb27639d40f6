"""Two Prometheus APIs asked the same, and where their answers differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import httpx

RELATIVE = 1e-9
ORDERED = ("sort", "sort_desc")


class Difference(NamedTuple):
    """One query whose answers differ."""

    query: str
    when: str
    what: str


class Moments(NamedTuple):
    """When queries are asked: instants, and ranges of (start, end, step), in seconds."""

    instants: Sequence[float]
    ranges: Sequence[tuple[float, float, float]]


class Compared(NamedTuple):
    """How many answers were equal, how many of them held samples, and what differs."""

    equal: int
    filled: int
    differences: list[Difference]


def compare(one: str, other: str, queries: Sequence[str], moments: Moments) -> Compared:
    """Ask both base addresses every query at every moment."""
    equal, filled, found = 0, 0, []
    with httpx.Client(trust_env=False, timeout=60.0) as client:
        for query in queries:
            for path, asked, when in _asked(query, moments):
                left, right = (_result(client, base, path, asked) for base in (one, other))
                what = difference(left, right, query)
                if what:
                    found.append(Difference(query, when, what))
                else:
                    equal, filled = equal + 1, filled + bool(left.get("result"))
    return Compared(equal, filled, found)


def phase(base: str, moment: float) -> float:
    """The moment, moved by milliseconds to where no sample stands a whole number of seconds away.

    A range selector of Prometheus 2 holds a sample at its begin, one of Prometheus 3 does not.
    """
    with httpx.Client(trust_env=False) as client:
        found = _result(client, base, "query", {"query": "up[2m]", "time": f"{moment:.3f}"})
    taken = {round(at * 1000) % 1000 for one in found["result"] for at, _ in one["values"]}
    free = next(it for it in range(137, 1137) if it % 1000 not in taken)
    return math.floor(moment) + free % 1000 / 1000


def _asked(query: str, moments: Moments) -> Iterator[tuple[str, dict[str, str], str]]:
    for at in moments.instants:
        yield "query", {"query": query, "time": f"{at:.3f}"}, f"at {at:.3f}"
    for start, end, step in moments.ranges:
        asked = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        yield "query_range", asked, f"from {start:.3f} to {end:.3f} by {step:g}"


def _result(client: httpx.Client, base: str, path: str, asked: dict[str, str]) -> dict[str, Any]:
    body = client.post(f"{base}/api/v1/{path}", data=asked).json()
    if body["status"] != "success":
        return {"resultType": "error", "result": [], "error": body["error"]}
    return dict(body["data"])


def difference(left: dict[str, Any], right: dict[str, Any], query: str = "") -> str:
    """What differs, in one sentence; empty where nothing does."""
    if left["resultType"] != right["resultType"]:
        return f"{left['resultType']} {left.get('error', '')} against {right['resultType']} {right.get('error', '')}"
    if left["resultType"] in ("scalar", "string"):
        return _pairs([left["result"]], [right["result"]])
    mine, theirs = (_by_labels(it["result"]) for it in (left, right))
    if set(mine) != set(theirs):
        return f"series {sorted(set(mine) - set(theirs))[:3]} against {sorted(set(theirs) - set(mine))[:3]}"
    if query.startswith(ORDERED) and left["resultType"] == "vector" and list(mine) != list(theirs):
        return "another order"
    return next((f"{key}: {what}" for key in mine if (what := _pairs(mine[key], theirs[key]))), "")


def _by_labels(result: list[dict[str, Any]]) -> dict[tuple[tuple[str, str], ...], list[Any]]:
    return {tuple(sorted(it["metric"].items())): it["values"] if "values" in it else [it["value"]] for it in result}


def _pairs(left: Sequence[Any], right: Sequence[Any]) -> str:
    if [at for at, _ in left] != [at for at, _ in right]:
        apart = sorted({at for at, _ in left} ^ {at for at, _ in right})
        return f"{len(left)} against {len(right)} moments, apart at {apart[:3]}"
    for (at, mine), (_, theirs) in zip(left, right, strict=True):
        if not _alike(mine, theirs):
            return f"{mine} against {theirs} at {at}"
    return ""


def _alike(one: str, other: str) -> bool:
    a, b = float(one), float(other)
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or math.isclose(a, b, rel_tol=RELATIVE, abs_tol=0.0)
