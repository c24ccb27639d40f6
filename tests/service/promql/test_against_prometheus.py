"""A real Prometheus and our engine on the same samples give the same answers, at moments and over ranges.

Debian's is a Prometheus 2; ours follows 3. So samples and steps of subqueries lie off the borders of windows, which
2 has closed and 3 open on the left; counters are far from 0, to which 2 and 3 extrapolate differently at a gap.
"""

from __future__ import annotations

import math
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from service.promql import Answer, Engine, Matrix, Scalar, Text, Vector
from tests.support.prometheus import Prometheus, needs_prometheus
from tests.support.samples import MemorySamples
from tests.support.waiting import until

BASE_MS = 1_700_000_000_000
MINUTE = 60_000
Points = dict[frozenset[tuple[str, str]], dict[int, float]]

QUERIES = """
up_total
{__name__=~"up_.*", job!="b"}
gauge offset 3m
gauge offset -2m
gauge @ 1700001000
gauge @ end() - gauge @ start()
rate(up_total[5m])
increase(up_total[7m])
irate(up_total[3m])
delta(gauge[5m])
idelta(gauge[5m])
deriv(gauge[6m])
predict_linear(gauge[6m], 600)
holt_winters(gauge[10m], 0.3, 0.6)
changes(gauge[10m])
resets(up_total[30m])
avg_over_time(gauge[5m])
min_over_time(gauge[5m])
max_over_time(gauge[5m])
sum_over_time(gauge[5m])
count_over_time(gauge[5m])
quantile_over_time(0.37, gauge[9m])
quantile_over_time(scalar(gauge{instance="i0", job="a"}) / 100, gauge[9m])
stddev_over_time(gauge[5m])
stdvar_over_time(gauge[5m])
last_over_time(gauge[5m])
present_over_time(gauge[5m])
absent_over_time(gauge[5m])
absent_over_time(gauge{instance="i9"}[5m])
absent(gauge{instance="i9", job=~"b.*"})
sum(rate(up_total[5m]))
sum by (job) (rate(up_total[5m]))
sum without (instance) (rate(up_total[5m]))
avg by (job) (gauge)
min by (job) (gauge)
max without (job) (gauge)
count by (job) (gauge)
group by (instance) (gauge)
stddev by (job) (gauge)
stdvar by (job) (gauge)
quantile by (job) (0.4, gauge)
quantile(1.2, gauge)
topk by (job) (2, gauge)
bottomk(3, gauge)
topk(scalar(count(gauge) or vector(4)) / 4, gauge)
count_values("value", round(gauge / 50))
count_values by (job) ("value", round(gauge / 50))
gauge + 1
1 - gauge
gauge % 7
-gauge
gauge ^ 2
2 ^ (gauge / 100)
gauge / 0
gauge > 50
50 > gauge
gauge > bool 50
1 < bool 2
sum by (job) (gauge) atan2 3
gauge * on (instance, job) up_total
gauge * ignoring (colour) up_total
gauge / on (job) group_left sum by (job) (gauge)
sum by (job) (gauge) / on (job) group_right gauge
gauge * on (job, instance) group_left (colour) info
gauge and on (job) gauge{job="a", instance="i0"} > 50
gauge or on (job) up_total
gauge unless gauge > 50
gauge > 30 or gauge < 10 unless gauge < 5
(gauge > 50) + on (job, instance) (up_total > 0)
abs(gauge - 50)
ceil(gauge)
floor(gauge / 7)
round(gauge, 3)
exp(gauge / 100)
sqrt(gauge)
ln(gauge)
log2(gauge)
log10(gauge)
sgn(gauge - 50)
sin(gauge)
cos(gauge)
tanh(gauge)
acosh(gauge)
deg(gauge)
rad(gauge)
pi() * gauge
clamp(gauge, 20, 60)
clamp(gauge, 60, 20)
clamp_min(gauge, 20)
clamp_max(gauge, 20)
sort(gauge)
sort_desc(gauge)
timestamp(gauge)
timestamp(gauge + 1)
time() - timestamp(up_total)
vector(time())
scalar(gauge)
scalar(gauge{instance="i0", job="a"}) + gauge
hour()
minute(vector(time()))
day_of_week()
day_of_month(vector(time() * 3))
day_of_year()
days_in_month(vector(time() - 86400 * 200))
month()
year(vector(-time()))
label_replace(gauge, "to", "$2-$1", "instance", "(i)(.*)")
label_replace(gauge, "to", "${1}x", "job", "(a)?(b)?")
label_join(gauge, "to", "/", "job", "instance", "none")
histogram_quantile(0.9, rate(latency_bucket[5m]))
histogram_quantile(0.5, sum by (le, job) (rate(latency_bucket[5m])))
histogram_quantile(0.05, sum by (le) (latency_bucket))
histogram_quantile(-1, latency_bucket)
histogram_quantile(2, latency_bucket)
max_over_time(rate(up_total[3m])[10m:1m])
rate(max_over_time(up_total[2m])[10m:30s])
avg_over_time(gauge[10m:45s] offset 2m)
sum_over_time(gauge[5m:30s] @ 1700001007)
min_over_time((gauge + on (job, instance) up_total)[5m:1m])
sum(rate(latency_bucket{le="0.5"}[5m])) / sum(rate(latency_bucket{le="+Inf"}[5m]))
1 - avg by (job) (rate(up_total[5m])) / 100
sum by (job) (increase(up_total[15m])) > bool 100
0x1F + 1e3 + .5
"a text"
NaN
gauge == NaN
gauge != NaN
odd
odd > 0
max(odd)
min(odd)
sum(odd)
avg(odd)
quantile(0.5, odd)
stddev(odd)
max_over_time(odd[10m])
quantile_over_time(0.5, odd[10m])
changes(odd[20m])
""".strip().splitlines()


def written() -> dict[str, list[tuple[dict[str, str], list[tuple[int, float]]]]]:
    """Families of series with their samples: jitter, resets, holes, special values."""
    random = np.random.default_rng(7)
    size = 240
    found: dict[str, list[tuple[dict[str, str], list[tuple[int, float]]]]] = {
        it: [] for it in ("up_total", "gauge", "info", "latency_bucket", "odd")
    }

    def moments() -> Any:
        return BASE_MS + np.arange(size) * 15_000 + random.integers(1, 1000, size) + 3

    def put(name: str, labels: Mapping[str, str], values: Any) -> None:
        holes = random.random() * 0.3
        kept = [(int(t), float(v)) for t, v in zip(moments(), values, strict=True) if random.random() > holes]
        if random.random() < 0.4:
            begin = random.integers(0, size // 2)
            kept = [it for it in kept if not begin * 15_000 <= it[0] - BASE_MS < (begin + 40) * 15_000]
        found[name].append((dict(labels), kept))

    for job in "ab":
        for i in range(4):
            labels = {"job": job, "instance": f"i{i}"}
            counter = 1e6 + random.poisson(9, size).cumsum()
            counter[random.integers(size) :] -= 9e5
            put("up_total", labels, counter)
            put("gauge", labels, np.round(random.random(size) * 100, 3))
            put("info", {**labels, "colour": "red" if i % 2 else "blue"}, np.ones(size))
            put("odd", labels, random.choice([math.nan, math.inf, -math.inf, 0.0, 1.0, -2.0], size))
            buckets = random.poisson(3, (6, size)).cumsum(axis=1).cumsum(axis=0)
            for le, row in zip(("0.1", "0.25", "0.5", "1", "2.5", "+Inf"), buckets, strict=True):
                put("latency_bucket", {**labels, "le": le}, 1e6 + row)
    return found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, MemorySamples]]:
    """One Prometheus and one store in memory that hold the same."""
    folder = tmp_path_factory.mktemp("prometheus")
    samples, lines = MemorySamples(), []
    for name, family in written().items():
        lines.append(f"# TYPE {name} unknown")
        for labels, points in family:
            text = ",".join(f'{key}="{value}"' for key, value in labels.items())
            lines += [f"{name}{{{text}}} {value!r} {at / 1000:.3f}".replace("nan", "NaN") for at, value in points]
            samples.add({"__name__": name, **labels}, [it for it, _ in points], [it for _, it in points])
    (folder / "data.txt").write_text(
        "\n".join([*lines, "# EOF", ""]).replace(" inf ", " +Inf ").replace("-inf", "-Inf")
    )
    binary = shutil.which("promtool")
    assert binary is not None
    command = [binary, "tsdb", "create-blocks-from", "openmetrics", str(folder / "data.txt"), str(folder / "tsdb")]
    subprocess.run(command, check=True, capture_output=True)
    server = Prometheus(folder, {}, flags=("--storage.tsdb.retention.time=100y",))
    try:
        until(lambda: server.get("query", query="1") is not None)
        yield server, samples
    finally:
        server.stop()


def ours(answer: Answer) -> Points | str:
    """Labels to moments to values."""
    result = answer.result
    if isinstance(result, Text):
        return result.value
    if isinstance(result, Scalar):
        return {frozenset(): {result.at_ms: result.value}}
    if isinstance(result, Vector):
        rows = zip(result.labels, result.values.tolist(), strict=True)
        return {frozenset(labels.items()): {result.at_ms: value} for labels, value in rows}
    assert isinstance(result, Matrix)
    parts = [slice(a, b) for a, b in zip(result.offsets[:-1], result.offsets[1:], strict=True)]
    return {
        frozenset(labels.items()): dict(zip(result.ts_ms[part].tolist(), result.values[part].tolist(), strict=True))
        for labels, part in zip(result.labels, parts, strict=True)
    }


def theirs(data: Any) -> Points | str:
    """The same of an API answer."""
    kind, result = data["resultType"], data["result"]
    if kind == "string":
        return str(result[1])
    if kind == "scalar":
        return {frozenset(): {round(result[0] * 1000): float(result[1])}}
    return {
        frozenset(one["metric"].items()): {
            round(at * 1000): float(value) for at, value in ([one["value"]] if kind == "vector" else one["values"])
        }
        for one in result
    }


def same(a: Points | str, b: Points | str) -> str:
    """Where two answers differ; nothing where they don't."""
    if isinstance(a, str) or isinstance(b, str):
        return "" if a == b else f"{a!r} is not {b!r}"
    if set(a) != set(b):
        return f"only ours {[dict(it) for it in set(a) - set(b)]}, only theirs {[dict(it) for it in set(b) - set(a)]}"
    for labels, mine in a.items():
        if set(mine) != set(b[labels]):
            return f"{dict(labels)}: moments {sorted(set(mine) ^ set(b[labels]))[:5]}"
        for at, value in mine.items():
            other = b[labels][at]
            if not (value == other or (math.isnan(value) and math.isnan(other))) and not math.isclose(
                value, other, rel_tol=1e-9, abs_tol=1e-12
            ):
                return f"{dict(labels)} at {at}: {value} is not {other}"
    return ""


@needs_prometheus
@pytest.mark.parametrize("text", QUERIES)
def test_the_same_answers(pair: tuple[Prometheus, MemorySamples], text: str) -> None:
    server, samples = pair
    engine = Engine(samples)
    for at in (BASE_MS + 10 * MINUTE, BASE_MS + 37 * MINUTE, BASE_MS + 90 * MINUTE):
        mine = ours(engine.instant(text, at))
        assert not same(mine, theirs(server.get("query", query=text, time=str(at / 1000))))
    if isinstance(mine, str):
        return
    start, end, step = BASE_MS + 5 * MINUTE, BASE_MS + 80 * MINUTE, 90_000
    mine = ours(engine.range(text, start, end, step))
    query = {"query": text, "start": str(start / 1000), "end": str(end / 1000), "step": "90"}
    assert not same(mine, theirs(server.get("query_range", **query)))
