"""Prometheus's HTTP API over the query engine: what each address answers, without HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from service import prometheus_json as wire
from service.prometheus_params import Form, PrometheusFault, invalid
from service.promql.engine import Engine
from service.promql.errors import LimitFault, QueryFault, QueryTimeout
from service.promql.model import Answer, Limits, Matrix, Vector
from service.promql.parse import parse, pretty
from service.promql.tree import Paren, Selector, Shift
from service.samples import NAME, Matcher

FOREVER_MS: Final = 1 << 62
TRUNCATED: Final = "results truncated due to limit"

Labels = Mapping[str, str]
T = TypeVar("T")


class Listing(Protocol):
    """Where series are listed."""

    def series_of(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> Sequence[Labels]:
        """The labels of the series that match and may have a sample in `(since, until]`, in order."""
        ...

    def names_of(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> Sequence[str]:
        """The label names of these series, in order."""
        ...

    def values_of(self, name: str, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> Sequence[str]:
        """The values that a label has in these series, in order."""
        ...


@dataclass(frozen=True)
class Queries:
    """What queries are answered with; `max_listed` bounds listings."""

    engine: Engine
    listing: Listing
    limits: Limits
    clock: Callable[[], int]
    max_listed: int = 100_000


def query(api: Queries, form: Form, canceled: Callable[[], bool]) -> Iterator[bytes]:
    """`/query`: an expression at one moment."""
    at_ms, limit = form.moment("time", api.clock()), form.limit()
    found = _evaluated(lambda more: api.engine.instant(form.text("query"), at_ms, canceled=canceled, **more), form)
    return wire.answer(_limited(found, limit), _stats(form, found))


def query_range(api: Queries, form: Form, canceled: Callable[[], bool]) -> Iterator[bytes]:
    """`/query_range`: an expression at each step of a range."""
    start_ms, end_ms = form.needed("start"), form.needed("end")
    if end_ms < start_ms:
        raise invalid("end", "end timestamp must not be before start time")
    step_ms = form.duration("step")
    if step_ms <= 0:
        raise invalid("step", "zero or negative query resolution step widths are not accepted. Try a positive integer")
    if (end_ms - start_ms) // step_ms >= api.limits.max_points:
        raise PrometheusFault(
            "bad_data",
            f"exceeded maximum resolution of {api.limits.max_points:,} points per timeseries. "
            "Try decreasing the query resolution (?step=XX)",
        )
    limit = form.limit()
    found = _evaluated(
        lambda more: api.engine.range(form.text("query"), start_ms, end_ms, step_ms, canceled=canceled, **more), form
    )
    return wire.answer(_limited(found, limit), _stats(form, found))


def _evaluated(ask: Callable[[dict[str, Any]], Answer], form: Form) -> Answer:
    more: dict[str, Any] = {}
    if form.text("timeout"):
        more["max_seconds"] = form.duration("timeout") / 1000
    if form.text("lookback_delta"):
        more["lookback_ms"] = form.duration("lookback_delta")
        if not 0 < more["lookback_ms"] <= 366 * 86_400_000:
            raise invalid("lookback_delta", "it must be above zero and at most a year")
    try:
        return ask(more)
    except QueryFault as fault:
        raise of_query(fault) from fault


def of_query(fault: QueryFault) -> PrometheusFault:
    """A query's fault as the API tells it."""
    if fault.kind == "bad_data":
        return invalid("query", str(fault))
    return PrometheusFault(fault.kind, str(fault), _limit_of(fault))  # type: ignore[arg-type]


def _limit_of(fault: QueryFault) -> str | None:
    if isinstance(fault, QueryTimeout):
        return "timeout_seconds"
    return fault.limit if isinstance(fault, LimitFault) else None


def _limited(found: Answer, limit: int) -> Answer:
    result = found.result
    if not isinstance(result, Vector | Matrix) or not 0 < limit < len(result.labels):
        return found
    if isinstance(result, Vector):
        cut: Vector | Matrix = Vector(result.at_ms, result.labels[:limit], result.values[:limit])
    else:
        end = int(result.offsets[limit])
        cut = Matrix(result.labels[:limit], result.offsets[: limit + 1], result.ts_ms[:end], result.values[:end])
    return Answer(cut, (*found.warnings, TRUNCATED), found.infos, found.samples)


def _stats(form: Form, found: Answer) -> dict[str, Any] | None:
    return {"samples": {"totalQueryableSamples": found.samples}} if form.text("stats") else None


def format_query(form: Form) -> bytes:
    """`/format_query`: an expression in one fixed style."""
    try:
        return wire.envelope(pretty(form.text("query")))
    except QueryFault as fault:
        raise of_query(fault) from fault


def exemplars(form: Form) -> bytes:
    """`/query_exemplars`: none are kept."""
    form.span()
    try:
        parse(form.text("query"))
    except QueryFault as fault:
        raise of_query(fault) from fault
    return wire.envelope([])


def series(api: Queries, form: Form, canceled: Callable[[], bool]) -> bytes:
    """`/series`: the label sets of what matches, each once."""
    if not form.all("match[]"):
        raise PrometheusFault("bad_data", "no match[] parameter provided")
    parts = _each(api, form, canceled, lambda it, since, until: api.listing.series_of(it, since, until))
    if len(parts) == 1:
        return _told(parts[0], api, form)
    found = {tuple(sorted(one.items())): one for part in parts for one in part}
    return _told([found[key] for key in sorted(found)], api, form)


def labels(api: Queries, form: Form, canceled: Callable[[], bool]) -> bytes:
    """`/labels`: every label name."""
    parts = _each(api, form, canceled, lambda it, since, until: api.listing.names_of(it, since, until))
    return _told(parts[0] if len(parts) == 1 else sorted({name for part in parts for name in part}), api, form)


def label_values(api: Queries, name: str, form: Form, canceled: Callable[[], bool]) -> bytes:
    """`/label/NAME/values`: every value of a label."""
    found = _unescaped(name)
    if not found:
        raise PrometheusFault("bad_data", f'invalid label name: "{name[:80]}"')
    parts = _each(api, form, canceled, lambda it, since, until: api.listing.values_of(found, it, since, until))
    return _told(parts[0] if len(parts) == 1 else sorted({value for part in parts for value in part}), api, form)


def _told(found: Sequence[Any], api: Queries, form: Form) -> bytes:
    limit = min(form.limit() or api.max_listed, api.max_listed)
    cut = len(found) > limit
    return wire.envelope(list(found[:limit]), (TRUNCATED,) if cut else ())


def _each(
    api: Queries,
    form: Form,
    canceled: Callable[[], bool],
    ask: Callable[[tuple[Matcher, ...], int, int], Sequence[T]],
) -> list[Sequence[T]]:
    """What is found for each of the selectors, in the time of a query."""
    span, deadline = form.span(), time.monotonic() + api.limits.max_seconds
    since = -FOREVER_MS if span.start_ms is None else span.start_ms - 1
    until = FOREVER_MS if span.end_ms is None else span.end_ms
    parts = []
    for it in [matchers_of(text) for text in form.all("match[]")] or [()]:
        if canceled():
            raise PrometheusFault("canceled", "nobody waits for the answer any more")
        if time.monotonic() > deadline:
            raise PrometheusFault("timeout", "query timed out (service.query.timeout_seconds): ask for fewer selectors")
        parts.append(ask(it, since, until))
    return parts


def matchers_of(text: str) -> tuple[Matcher, ...]:
    """The matchers of a selector, as `match[]` has it; raises PrometheusFault."""
    try:
        node = parse(text)
    except QueryFault as fault:
        raise PrometheusFault("bad_data", f'invalid parameter "match[]": {fault}') from fault
    while isinstance(node, Paren):
        node = node.inner
    if not isinstance(node, Selector) or node.shift != Shift():
        raise PrometheusFault("bad_data", 'invalid parameter "match[]": a selector of series is needed, without times')
    return node.matchers


def _unescaped(name: str) -> str:
    """A label name that may be escaped for an address: `U__a_2e_b` is `a.b`; empty where it is no name."""
    if not name.startswith("U__"):
        return name
    parts, rest = [], name.removeprefix("U__").replace("__", "\0")
    while rest:
        plain, mark, rest = rest.partition("_")
        parts.append(plain)
        if mark:
            code, end, rest = rest.partition("_")
            if not end or not code or len(code) > 6 or not all(it in "0123456789abcdefABCDEF" for it in code):
                return ""
            if int(code, 16) > 0x10FFFF or 0xD800 <= int(code, 16) < 0xE000:
                return ""
            parts.append(chr(int(code, 16)))
    return "".join(parts).replace("\0", "_")


def tsdb_status(listing: Listing, limit: int, now_ms: int) -> dict[str, Any]:
    """`/status/tsdb`: which names and pairs have most series among those of the last hour."""
    found = listing.series_of((), now_ms - 3_600_000, now_ms)
    names: dict[str, int] = {}
    values: dict[str, set[str]] = {}
    pairs: dict[str, int] = {}
    for one in found:
        _add(names, one.get(NAME, ""))
        for name, value in one.items():
            values.setdefault(name, set()).add(value)
            _add(pairs, f"{name}={value}")
    memory = {name: sum(len(it.encode("utf-8", "replace")) for it in them) for name, them in values.items()}
    return {
        "headStats": {
            "numSeries": len(found),
            "numLabelPairs": len(pairs),
            "chunkCount": len(found),
            "minTime": now_ms - 3_600_000,
            "maxTime": now_ms,
        },
        "seriesCountByMetricName": _most(names.items(), limit),
        "labelValueCountByLabelName": _most(((name, len(them)) for name, them in values.items()), limit),
        "memoryInBytesByLabelName": _most(memory.items(), limit),
        "seriesCountByLabelValuePair": _most(pairs.items(), limit),
    }


def _add(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1


def _most(counts: Iterable[tuple[str, int]], limit: int) -> list[dict[str, Any]]:
    ordered = sorted(counts, key=lambda it: (-it[1], it[0]))
    return [{"name": name, "value": value} for name, value in ordered[:limit]]
