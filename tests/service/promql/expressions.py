"""Random PromQL that is well formed and well typed, over the series of `small`."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from service.promql.aggregate import _FOLDS
from service.promql.calendar import CALENDAR
from service.promql.over_time import _FOLDS as _OVER_TIME
from service.promql.values import ELEMENTWISE
from tests.support.samples import STALE, MemorySamples

NAMES = ("one", "two_total", "lat_bucket", "none")
LABELS = ("a", "b", "le", "__name__", "zz")
MATCHERS = ("", '{a="x"}', '{a!="x"}', '{b=~"1|2"}', '{b!~"1.*"}', '{a="x",b=""}', '{zz=""}')
DURATIONS = ("1m", "90s", "2m30s", "7m", "1ms", "3", "1h")
NUMBERS = ("0", "1", "-1", "0.5", "3", "1e300", "NaN", "Inf", "-Inf", "2m", "0x10", "time()", "pi()")
ARITHMETIC = ("+", "-", "*", "/", "%", "^", "atan2")
COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
TWO_SCALARS = ("min_of", "max_of")


def small() -> MemorySamples:
    """Some series with holes, resets, special values and staleness markers."""
    random, samples = np.random.default_rng(3), MemorySamples()
    special = [0.0, 1.0, -2.0, float("nan"), float("inf"), STALE, 5.5, 5.5]
    for name in NAMES[:3]:
        for a in ("x", "y"):
            for b in ("", "1", "2"):
                bounds = ("0.1", "1", "+Inf", "odd") if name == "lat_bucket" else ("",)
                for le in bounds:
                    ts = np.flatnonzero(random.random(120) < 0.7) * 15_000 + random.integers(0, 2)
                    values = random.choice(special, len(ts)) if name == "one" else random.poisson(3, len(ts)).cumsum()
                    samples.add({"__name__": name, "a": a, "b": b, "le": le}, ts, values)
    return samples


def names() -> st.SearchStrategy[str]:
    """A list of labels."""
    return st.lists(st.sampled_from(LABELS), max_size=2, unique=True).map(", ".join)


def _selector(borders: bool) -> st.SearchStrategy[str]:
    at = ["", "", "", " @ 300", " @ -20", " offset 1m @ 700.5", " offset -2m", " offset 90s"]
    at += [" @ start()", " @ end()"] if borders else []
    parts = (st.sampled_from(NAMES), st.sampled_from(MATCHERS), st.sampled_from(at))
    return st.tuples(*parts)


def scalars(vectors: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Something with one number."""
    numbers = st.sampled_from(NUMBERS)
    return st.one_of(
        numbers,
        vectors.map(lambda it: f"scalar({it})"),
        st.builds(lambda f, a, b: f"{f}({a}, {b})", st.sampled_from(TWO_SCALARS), numbers, numbers),
        st.builds(lambda a, op, b: f"({a} {op} {b})", numbers, st.sampled_from(ARITHMETIC), numbers),
        st.builds(lambda a, op, b: f"({a} {op} bool {b})", numbers, st.sampled_from(COMPARISONS), numbers),
    )


def ranges(vectors: st.SearchStrategy[str], borders: bool) -> st.SearchStrategy[str]:
    """Something with samples of a range."""
    durations = st.sampled_from(DURATIONS)
    return st.one_of(
        st.builds(lambda it, d: f"{it[0]}{it[1]}[{d}]{it[2]}", _selector(borders), durations),
        st.builds(
            lambda v, d, s, o: f"({v})[{d}:{s}]{o}",
            vectors,
            st.sampled_from(("1m", "3m", "7m")),
            st.sampled_from(("", "1m", "40s")),
            st.sampled_from(("", " offset 1m", " @ 600", " @ -5")),
        ),
    )


def _calls(v: st.SearchStrategy[str], borders: bool) -> st.SearchStrategy[str]:
    s, r = scalars(v), ranges(v, borders)
    quoted = st.sampled_from(LABELS).map(lambda it: f'"{it}"')
    whole = st.sampled_from(
        (*_OVER_TIME, "rate", "increase", "delta", "irate", "idelta", "deriv", "mad_over_time", "max_over_time")
    )
    plain = st.sampled_from((*ELEMENTWISE, *CALENDAR, "absent", "timestamp", "round", "histogram_count"))
    return st.one_of(
        st.builds(lambda f, x: f"{f}({x})", whole, r),
        st.builds(lambda f, x: f"{f}({x})", plain, v),
        st.builds(lambda q, x: f"quantile_over_time({q}, {x})", s, r),
        st.builds(lambda x, t: f"predict_linear({x}, {t})", r, s),
        st.builds(lambda x: f"absent_over_time({x})", r),
        st.builds(lambda x: f"holt_winters({x}, 0.3, 0.6)", r),
        st.builds(lambda x, a, b: f"clamp({x}, {a}, {b})", v, s, s),
        st.builds(lambda x, a: f"clamp_min({x}, {a})", v, s),
        st.builds(lambda x: f"vector({x})", s),
        st.builds(lambda q, x: f"histogram_quantile({q}, {x})", s, v),
        st.builds(lambda a, b, x: f"histogram_fraction({a}, {b}, {x})", s, s, v),
        st.builds(lambda x, t, f: f'label_replace({x}, {t}, "$1-y", {f}, "(.)(.*)")', v, quoted, quoted),
        st.builds(lambda x, t, f: f'label_join({x}, {t}, "-", {f}, "a")', v, quoted, quoted),
    )


def _aggregations(v: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    by = st.builds(lambda how, it: f"{how} ({it})" if how else "", st.sampled_from(("", "by", "without")), names())
    few = st.sampled_from(("0", "1", "2", "3", "scalar(one)"))
    special = st.sampled_from(("quantile", "topk", "bottomk", "limitk"))
    return st.one_of(
        st.builds(lambda op, how, x: f"{op} {how} ({x})", st.sampled_from(sorted(_FOLDS)), by, v),
        st.builds(lambda op, how, k, x: f"{op} {how} ({k}, {x})", special, by, few, v),
        st.builds(lambda how, x: f"limit_ratio {how} (0.5, {x})", by, v),
        st.builds(lambda how, x: f'count_values {how} ("v", {x})', by, v),
    )


def _binaries(v: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    s = scalars(v)
    match = st.builds(lambda how, it: f"{how} ({it})" if how else "", st.sampled_from(("", "on", "ignoring")), names())
    group = st.sampled_from(("", "", "group_left", "group_right", "group_left (b)", "group_right (le)"))
    compare = st.sampled_from((*COMPARISONS, *(f"{it} bool" for it in COMPARISONS)))
    operator = st.one_of(st.sampled_from(ARITHMETIC), compare)
    return st.one_of(
        st.builds(lambda a, op, b: f"({a}) {op} ({b})", v, operator, s),
        st.builds(lambda a, op, b: f"({a}) {op} ({b})", s, operator, v),
        st.builds(lambda a, op, m, g, b: f"({a}) {op} {m} {g if m else ''} ({b})", v, operator, match, group, v),
        st.builds(lambda a, op, m, b: f"({a}) {op} {m} ({b})", v, st.sampled_from(("and", "or", "unless")), match, v),
        v.map(lambda it: f"-({it})"),
    )


def vectors(borders: bool = True) -> st.SearchStrategy[str]:
    """Something with a value for each of several series; with `borders` what depends on the whole range too."""
    base = _selector(borders).map("".join)
    return st.recursive(base, lambda v: st.one_of(_calls(v, borders), _aggregations(v), _binaries(v)), max_leaves=6)
