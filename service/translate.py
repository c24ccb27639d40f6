"""From OpenTelemetry's names to Prometheus's: metric names, labels, identity and the text of `le`.

Follows OpenTelemetry's "Prometheus and OpenMetrics compatibility"; every suffix is added only where it is missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

Labels = tuple[tuple[str, str], ...]

AGENT_SCOPE = "midwatch.agent"
"""Metrics under this scope have Prometheus names already and keep them."""
UNKNOWN_SERVICE = "unknown_service"
IDENTITY_LABELS = frozenset({"node", "node_id", "service", "container", "id", "image", "instance"})
"""Labels that only resource attributes set: a point's own attribute of that name becomes `exported_…`."""

_UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds",
    "ns": "nanoseconds", "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
    "TiBy": "tibibytes", "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams", "Cel": "celsius",
    "Hz": "hertz", "%": "percent", "$": "dollars",
}  # fmt: skip
_PER = {"s": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_NOT_NAME = re.compile(r"[^a-zA-Z0-9:_]+")
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_ANNOTATION = re.compile(r"\{[^}]*\}")
_JSON_CHARS = 2_048


class Identity(NamedTuple):
    """Whose data a resource holds; None where its attributes do not tell."""

    node: str | None
    node_id: str | None
    service: str
    container: str | None
    id: str | None
    image: str | None
    instance: str | None

    def labels(self) -> Labels:
        """The identity as labels, absent ones left out."""
        return tuple((name, value) for name, value in zip(self._fields, self, strict=True) if value)


IDENTITY_ATTRIBUTES = frozenset({
    "host.name", "host.id", "service.namespace", "service.name", "container.name", "container.id",
    "container.image.name", "service.instance.id",
})  # fmt: skip
"""Resource attributes that become labels of every series; docs/ingest.md lists them."""


class Resource(NamedTuple):
    """Labels of a resource: of every series, `job` for those who join by it, and what `target_info` carries beside."""

    base: Labels
    job: Labels
    rest: Labels


def resource(attributes: Iterable[KeyValue], promoted: Sequence[str] = ()) -> Resource:
    """The labels that a resource's attributes give; `promoted` names further attributes that every series carries."""
    told = {pair.key: attribute_text(pair.value) for pair in attributes}
    whose = _identity(told)
    more = labels((key, told[key]) for key in promoted if key in told and key not in IDENTITY_ATTRIBUTES)
    rest = labels((key, value) for key, value in told.items() if key not in IDENTITY_ATTRIBUTES and key not in promoted)
    job = (("job", whose.service),) if told.get("service.name") else ()
    return Resource(tuple(sorted((*whose.labels(), *more.items()))), job, tuple(rest.items()))


def identity(attributes: Iterable[KeyValue]) -> Identity:
    """Read the resource attributes that make an identity; without `service.name` it is `unknown_service`."""
    return _identity({pair.key: attribute_text(pair.value) for pair in attributes})


def _identity(told: Mapping[str, str]) -> Identity:
    namespace, name = told.get("service.namespace"), told.get("service.name") or UNKNOWN_SERVICE
    return Identity(
        node=told.get("host.name") or None,
        node_id=told.get("host.id") or None,
        service=f"{namespace}/{name}" if namespace else name,
        container=told.get("container.name") or None,
        id=told.get("container.id") or None,
        image=told.get("container.image.name") or None,
        instance=told.get("service.instance.id") or None,
    )


@lru_cache(maxsize=10_000)
def clean_name(name: str) -> str:
    """The name with every run of characters that Prometheus does not take as one `_`; valid names stay."""
    clean = _NOT_NAME.sub("_", name)
    return f"_{clean}" if clean[:1].isdigit() else clean


@lru_cache(maxsize=10_000)
def metric_name(name: str, unit: str, monotonic: bool, gauge: bool) -> str:
    """The Prometheus name: unwanted characters become `_`, then the unit's suffix, then `_total` or `_ratio`."""
    clean = clean_name(name)
    stem = clean.removesuffix("_total") if monotonic else clean
    suffix = _unit_suffix(unit)
    if suffix and not _holds(stem, suffix):
        stem = f"{stem}_{suffix}"
    if gauge and unit == "1" and not stem.endswith("_ratio"):
        stem = f"{stem}_ratio"
    return f"{stem}_total" if monotonic else stem


@lru_cache(maxsize=10_000)
def label_name(key: str) -> str:
    """The Prometheus label of an attribute key; one that would name our identity becomes `exported_…`."""
    name = _NOT_LABEL.sub("_", key)
    if name in IDENTITY_LABELS:
        return f"exported_{name}"
    if not name or name[0].isdigit() or name.startswith("__"):
        return f"key_{name.lstrip('_')}"
    return name


def labels(attributes: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Labels of attributes, empty values left out; keys that fall together have their values joined by `;`."""
    merged: dict[str, str] = {}
    for key, value in sorted(attributes):
        if value:
            name = label_name(key)
            merged[name] = f"{merged[name]};{value}" if name in merged else value
    return merged


@lru_cache(maxsize=10_000)
def bound_text(bound: float) -> str:
    """The canonical text of a bucket's upper bound: `0.3`, `300`, `+Inf`."""
    if bound == float("inf"):
        return "+Inf"
    text = repr(float(bound))
    return text.removesuffix(".0")


def attribute_text(value: AnyValue) -> str:
    """The label text of an attribute's value: booleans in lower case, lists and maps as JSON."""
    match plain(value):
        case str(text):
            return text
        case bool(flag):
            return "true" if flag else "false"
        case int(number):
            return str(number)
        case float(number):
            return bound_text(number)


def plain(value: AnyValue) -> str | int | float | bool:
    """The attribute's value as a Python scalar; lists, maps and bytes as bounded text."""
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
        case None:
            return ""
        case _:
            return json.dumps(_tree(value), ensure_ascii=False)[:_JSON_CHARS]


def _tree(value: AnyValue) -> object:
    match value.WhichOneof("value"):
        case "array_value":
            return [_tree(item) for item in value.array_value.values]
        case "kvlist_value":
            return {pair.key: _tree(pair.value) for pair in value.kvlist_value.values}
        case "bytes_value":
            return value.bytes_value.hex()
        case _:
            return plain(value)


def _unit_suffix(unit: str) -> str:
    """`By` gives `bytes`, `m/s` gives `meters_per_second`, `{request}` and `1` nothing."""
    main, _, per = _ANNOTATION.sub("", unit).strip().partition("/")
    main, per = main.strip(), per.strip()
    parts = [] if main in ("", "1") else [_UNITS.get(main, main)]
    if per:
        parts.append(f"per_{_PER.get(per, per)}")
    return _NOT_NAME.sub("_", "_".join(parts)).strip("_")


def _holds(stem: str, suffix: str) -> bool:
    return f"_{suffix}_" in f"_{stem}_"
