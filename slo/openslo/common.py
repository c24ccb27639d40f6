"""What all kinds share: metadata, indicators and metric sources."""

from __future__ import annotations

import re
from typing import Literal

from slo.openslo.fields import Fields
from slo.openslo.model import Meta, MetricSource, Ratio, Sli, SliSpec
from slo.openslo.tree import Items, Mapping, Node, Scalar

LONGEST_NAME, LONGEST_TITLE, LONGEST_DESCRIPTION = 63, 63, 1050
DOCUMENT = ("apiVersion", "kind", "metadata", "spec")
META = ("name", "displayName", "labels", "annotations")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_READABLE = re.compile(r"[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?", re.ASCII)
_OF_A_PROJECT = re.compile(rf"({_READABLE.pattern})/({_READABLE.pattern})", re.ASCII)
_NOTHING = Mapping({}, 1)


def meta(document: Fields, *, service: bool = False) -> Meta:
    """The metadata of a document; a name must stand, which is a service's with `service`."""
    fields = document.child("metadata", META)
    if fields is None:
        if not document.has("metadata"):
            document.missing("metadata", "a mapping with a name")
        return Meta("")
    return Meta(
        (service_name if service else name)(fields, "name"),
        fields.text("displayName", at_most=LONGEST_TITLE),
        _labels(fields),
        _annotations(fields),
    )


def name(fields: Fields, field: str) -> str:
    """A name as RFC 1123 has it; capitals, dots and underscores are only frowned upon, as examples have them."""
    text = fields.needed(field)
    if not text or (_NAME.fullmatch(text) and len(text) <= LONGEST_NAME):
        return text
    what = f"{text[:80]!r} is no name as RFC 1123 has it"
    remedy = f"use at most {LONGEST_NAME} of a-z, 0-9 and -, with a letter or digit at both ends"
    lenient = _READABLE.fullmatch(text) and len(text) <= LONGEST_NAME
    (fields.report.frowned if lenient else fields.report.error)(fields.place(field), what, remedy)
    return text


def service_name(fields: Fields, field: str) -> str:
    """A service's name; `project/service`, as Midwatch calls those of Compose files, is only frowned upon."""
    node = fields.get(field)
    text = node.text if isinstance(node, Scalar) else ""
    if not _OF_A_PROJECT.fullmatch(text) or any(len(part) > LONGEST_NAME for part in text.split("/")):
        return name(fields, field)
    what = f"{text!r} is a Compose service's name here, and no name as RFC 1123 has it"
    fields.report.frowned(fields.place(field), what, "right for Midwatch; other tools of OpenSLO may refuse the slash")
    return text


def description(spec: Fields) -> str | None:
    """The description, bounded as the specification has it."""
    return spec.text("description", at_most=LONGEST_DESCRIPTION)


def body(document: Fields, known: tuple[str, ...]) -> Fields:
    """The document's `spec`; where it is missing, that is told and an empty one read."""
    found = document.child("spec", known)
    if found is not None:
        return found
    if not document.has("spec"):
        document.missing("spec")
    return Fields(_NOTHING, document.place("spec"), document.report, known)


def _labels(fields: Fields) -> tuple[tuple[str, tuple[str, ...]], ...]:
    node = fields.get("labels")
    if not isinstance(node, Mapping):
        fields.child("labels", ())
        return ()
    found = []
    labels = Fields(node, fields.place("labels"), fields.report, tuple(node.entries))
    for key, value in node.entries.items():
        if isinstance(value, Items):
            found.append((key, tuple(_text(item, labels, key) for item in value.items)))
        else:
            found.append((key, (labels.text(key) or "",)))
    return tuple(found)


def _text(node: Node, labels: Fields, key: str) -> str:
    if isinstance(node, Scalar):
        return node.text
    labels.report.error(labels.place(key)._replace(line=node.line), "a value that is no text", "list plain texts")
    return ""


def _annotations(fields: Fields) -> tuple[tuple[str, str], ...]:
    node = fields.get("annotations")
    if not isinstance(node, Mapping):
        fields.child("annotations", ())
        return ()
    notes = Fields(node, fields.place("annotations"), fields.report, tuple(node.entries))
    return tuple((key, notes.text(key) or "") for key in node.entries)


def inline(fields: Fields, field: str) -> Fields | None:
    """A document that stands within another; its `apiVersion` and `kind` may be left out."""
    return fields.child(field, DOCUMENT)


def kind_is(document: Fields, kind: str) -> None:
    """Tell where an inline document claims to be of another kind."""
    found = document.text("kind")
    if found is not None and found != kind:
        document.report.error(document.place("kind"), f"{found[:40]!r} where {kind} is due", f"write {kind}")


def sli(document: Fields) -> Sli:
    """An SLI document, of its own or inline."""
    spec = body(document, ("description", "thresholdMetric", "ratioMetric"))
    threshold = _threshold(spec)
    ratio = _ratio(spec)
    if spec.has("thresholdMetric") == spec.has("ratioMetric"):
        both = spec.has("ratioMetric")
        what = "both thresholdMetric and ratioMetric stand" if both else "there is no metric"
        spec.report.error(spec.at, what, "keep exactly one of thresholdMetric and ratioMetric")
    return Sli(meta(document), SliSpec(description(spec), threshold, ratio), document.at)


def _threshold(spec: Fields) -> MetricSource | None:
    return _source(spec, "thresholdMetric")


def _ratio(spec: Fields) -> Ratio | None:
    fields = spec.child("ratioMetric", ("counter", "good", "bad", "total", "rawType", "raw"))
    if fields is None:
        return None
    kinds: tuple[Literal["success", "failure"], ...] = ("success", "failure")
    good, bad, total, raw = (_source(fields, it) for it in ("good", "bad", "total", "raw"))
    _complete(fields)
    return Ratio(fields.flag("counter"), good, bad, total, raw, fields.choice("rawType", kinds))


def _complete(fields: Fields) -> None:
    """Total with good or bad; or raw with its type."""
    remedy = "write total with one of good and bad, or raw with rawType"
    if fields.has("raw"):
        for field in ("good", "bad", "total"):
            if fields.has(field):
                fields.report.error(fields.place(field), "stands beside raw", remedy)
        if not fields.has("rawType"):
            fields.missing("rawType", "success, or failure where the raw ratio is of bad events")
        return
    if fields.has("rawType"):
        fields.report.error(fields.place("rawType"), "stands without raw", remedy)
    if not fields.has("total"):
        fields.missing("total", remedy)
    if fields.has("good") == fields.has("bad"):
        what = "good and bad both stand" if fields.has("good") else "neither good nor bad stands"
        fields.report.error(fields.at, what, remedy)


def _source(parent: Fields, field: str) -> MetricSource | None:
    metric = parent.child(field, ("metricSource",))
    if metric is None:
        return None
    fields = metric.child("metricSource", ("metricSourceRef", "type", "spec"))
    if fields is None:
        if not metric.has("metricSource"):
            metric.missing("metricSource", "a mapping with type and spec")
        return None
    ref, kind = fields.text("metricSourceRef"), fields.text("type")
    if ref is None and kind is None:
        fields.missing("type", "the kind of source, such as Prometheus; or name a DataSource in metricSourceRef")
    return MetricSource(kind, ref, _query(fields), fields.at)


def _query(fields: Fields) -> Mapping:
    node = fields.any("spec")
    if isinstance(node, Mapping) and node.entries:
        return node
    if node is None or (isinstance(node, Mapping) and not node.entries):
        fields.missing("spec", "what to ask of the source, such as `query: …`")
    else:
        fields.child("spec", ())
    return _NOTHING
