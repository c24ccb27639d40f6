"""The containers' own Prometheus metrics: hostile text to bounded samples, and who is asked when."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from agent.exposition_text import MalformedText, Sample, samples
from agent.model import Labels
from agent.names import RESERVED_NAMES, RESERVED_PREFIXES
from agent.scrape_http import ScrapeFault

IDENTITY_LABELS = frozenset({"node", "node_id", "service", "container", "id", "image", "job", "instance"})
"""Labels that only the agent gives; a container's own of that name becomes `exported_…`, as Prometheus has it."""

_RISING = {
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
    "counter": ("", "_total"),
}
_UNTYPED = ("untyped", "unknown")
_BOUND_LABELS = {"histogram": "le", "summary": "quantile"}


@dataclass(frozen=True)
class ScrapeLimits:
    """Bounds of one scrape; beyond the first four nothing of it is taken, beyond a label's the sample is left out."""

    body_bytes: int = 4 * 1024 * 1024
    samples: int = 2_000
    timeout_seconds: float = 3.0
    lines: int = 20_000
    """Comments cost time too: a body of nothing but `#` is 2 million lines."""
    series: int = 10_000
    """Distinct series of one container in a day; beyond it new ones are left out, those known go on."""
    round_samples: int = 100_000
    """All containers of a node in one round; those beyond it give only that they are down."""
    labels: int = 24
    label_name_chars: int = 128
    label_value_chars: int = 512


DEFAULT = ScrapeLimits()


class ScrapedSample(NamedTuple):
    """One sample that may be shipped, without its time."""

    kind: Literal["counter", "gauge"]
    name: str
    labels: Labels
    value: float


class ScrapeResult(NamedTuple):
    """What one scrape gave, and how many samples were left out, by reason."""

    samples: tuple[ScrapedSample, ...]
    refused: Counter[str]


def parse(text: str, limits: ScrapeLimits = DEFAULT) -> ScrapeResult:
    """Read an exposition; raises ScrapeFault where it is malformed or has more samples than the limit."""
    taken: dict[tuple[str, Labels], ScrapedSample] = {}
    refused = Counter[str]()
    if text.count("\n") >= limits.lines:
        raise ScrapeFault("too_many_lines", f"more than the {limits.lines} lines read of one container")
    try:
        for number, sample in enumerate(samples(text)):
            if number >= limits.samples:
                raise ScrapeFault("too_many_samples", f"more than the {limits.samples} samples taken of one container")
            found = _taken(sample, limits)
            if isinstance(found, str):
                refused[found] += 1
            elif taken.setdefault((found.name, found.labels), found) is not found:
                refused["duplicate"] += 1
    except MalformedText as fault:
        raise ScrapeFault("malformed", str(fault)) from fault
    return ScrapeResult(tuple(taken.values()), refused)


def _taken(sample: Sample, limits: ScrapeLimits) -> ScrapedSample | str:
    """The sample under our rules, or the reason why it is left out."""
    name = sample.name
    if name in RESERVED_NAMES or name.startswith(RESERVED_PREFIXES):
        return "reserved_name"
    if not math.isfinite(sample.value):
        return "not_finite"
    if len(name) > limits.label_value_chars:
        return "name"
    if name.endswith("_created") and sample.family != name:
        return "created"
    kind, labels = _kind(sample), _labels(sample, limits)
    if kind == "counter" and sample.value < 0:
        return "negative"
    return "labels" if labels is None else ScrapedSample(kind, name, labels, sample.value)


def _kind(sample: Sample) -> Literal["counter", "gauge"]:
    """A counter where its family's type says that this sample only rises; untyped by the suffix `_total`."""
    if sample.kind in _UNTYPED:
        return "counter" if sample.name.endswith("_total") else "gauge"
    rising = _RISING.get(sample.kind, ())
    return "counter" if sample.name.removeprefix(sample.family) in rising else "gauge"


def _labels(sample: Sample, limits: ScrapeLimits) -> Labels | None:
    """Sorted labels, empty ones left out, ours renamed, bounds in canonical text; None beyond the limits."""
    if len(sample.labels) > limits.labels:
        return None
    named = dict[str, str]()
    for name, value in sample.labels.items():
        if len(name) > limits.label_name_chars or len(value) > limits.label_value_chars:
            return None
        if value:
            named[name] = value
    for name in sorted(IDENTITY_LABELS & named.keys()):
        named[_free(f"exported_{name}", named)] = named.pop(name)
    bound = _BOUND_LABELS.get(sample.kind)
    if bound in named:
        named[bound] = bound_text(named[bound])
    return tuple(sorted(named.items()))


def _free(name: str, taken: Mapping[str, str]) -> str:
    """The name, with as many more `exported_` as it takes to be none that is there, as Prometheus does it."""
    while name in taken:
        name = f"exported_{name}"
    return name


def bound_text(text: str) -> str:
    """The canonical text of a bucket's bound or a quantile: `0.30` is `0.3`, `1.0` is `1`, infinity is `+Inf`."""
    try:
        bound = float(text)
    except ValueError:
        return text
    return "+Inf" if bound == math.inf else repr(bound).removesuffix(".0")
