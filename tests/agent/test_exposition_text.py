"""Our reader of the text format, against the client library's and against hostile text."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from agent.exposition_text import MalformedText, Sample, samples

label_values = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r"), max_size=20)
values = st.floats(allow_nan=False)


def one(text: str) -> Sample:
    (found,) = samples(text)
    return found


@pytest.mark.parametrize(
    ("line", "name", "labels", "value"),
    [
        ("a 1", "a", {}, 1.0),
        ("a:b_c 1.5e3", "a:b_c", {}, 1500.0),
        ("a +Inf", "a", {}, math.inf),
        ("a{} -3", "a", {}, -3.0),
        ('a{b="c"} 1', "a", {"b": "c"}, 1.0),
        ('a{b="c",} 1', "a", {"b": "c"}, 1.0),
        ('  a { b = "c" , d="e" }  1  1760000000000', "a", {"b": "c", "d": "e"}, 1.0),
        ('a{b="}"} 1', "a", {"b": "}"}, 1.0),
        ('a{b=","} 1', "a", {"b": ","}, 1.0),
        (r'a{b="\"\\\n"} 1', "a", {"b": '"\\\n'}, 1.0),
        ('a{b="\u2028x\x0by"} 1', "a", {"b": "\u2028x\x0by"}, 1.0),
        ("a\t1\t1760000000000", "a", {}, 1.0),
        ("a 1\r", "a", {}, 1.0),
        ('a_bucket{le="0.5"} 3 # {trace_id="x"} 0.4 1760000000.1', "a_bucket", {"le": "0.5"}, 3.0),
    ],
)
def test_a_line_is_read_as_the_format_says(line: str, name: str, labels: dict[str, str], value: float) -> None:
    found = one(line)
    assert (found.name, found.labels, found.value) == (name, labels, value)


@pytest.mark.parametrize(
    "line",
    [
        "a", "a ", "1a 1", "a one", "a 1_000", "a{ 1", 'a{b="c} 1', 'a{b=c} 1', 'a{b="c" d="e"} 1', 'a{="c"} 1',
        'a{1b="c"} 1', "{} 1", 'a{b="c"}', "a 1 2 3", 'a{b="c",,} 1', "é 1", "<html>", '{"json": 1}', "a 0x10",
    ],
)  # fmt: skip
def test_what_is_no_sample_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(MalformedText, match="line 2"):
        list(samples(f"# a comment\n{line}\n"))


def test_an_empty_exposition_has_no_samples() -> None:
    assert list(samples("\n# HELP a b\n# TYPE a counter\n# EOF\n")) == []


def test_a_counter_keeps_the_name_that_it_was_given() -> None:
    found = one("# TYPE http_requests counter\nhttp_requests 3\n")
    assert (found.name, found.kind) == ("http_requests", "counter")


def test_a_sample_belongs_to_the_family_whose_suffix_it_has() -> None:
    text = '# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_sum 2\nh_count 1\n# TYPE c counter\nc_total 1\nother_total 2\n'
    assert [(found.family, found.kind) for found in samples(text)] == [
        ("h", "histogram"), ("h", "histogram"), ("h", "histogram"), ("c", "counter"), ("other_total", "untyped"),
    ]  # fmt: skip


@settings(deadline=None)
@given(
    st.dictionaries(label_values, st.tuples(values, st.floats(0, 1e9)), max_size=4),
    st.sampled_from([generate_latest, generate_openmetrics]),
)
def test_what_the_client_library_writes_is_read_back(found: dict[str, tuple[float, float]], write: object) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("g", "help \\ with \n escapes", ["x"], registry=registry)
    counter = Counter("c", "", ["x"], registry=registry)
    histogram = Histogram("h_seconds", "", ["x"], registry=registry)
    summary = Summary("s", "", ["x"], registry=registry)
    Info("i", "", registry=registry).info({"version": "1"})
    for text, (value, observed) in found.items():
        gauge.labels(text).set(value)
        counter.labels(text).inc(observed)
        histogram.labels(text).observe(observed)
        summary.labels(text).observe(observed)
    written = write(registry).decode()  # type: ignore[operator]
    expected = [
        (sample.name, sample.labels, float(sample.value)) for family in registry.collect() for sample in family.samples
    ]
    if write is generate_latest:
        expected = [row for row in expected if not row[0].endswith("_created")]
        read = [row for row in samples(written) if not row.name.endswith("_created")]
    else:
        read = list(samples(written))
    assert sorted((row.name, sorted(row.labels.items()), row.value) for row in read) == sorted(
        (name, sorted(labels.items()), value) for name, labels, value in expected
    )


@pytest.mark.parametrize("line", ["a1", ":1", "a_b2 ", ":.1", "a-1", "a+Inf"])
def test_a_name_never_lends_its_end_to_the_value(line: str) -> None:
    with pytest.raises(MalformedText, match="line 1"):
        list(samples(line))


@settings(deadline=None)
@given(st.text(st.sampled_from('a_:{}"=, \\n1.#\n'), max_size=40))
def test_any_text_is_read_or_refused_and_never_read_otherwise_than_by_the_library(text: str) -> None:
    try:
        ours = [(found.name, dict(found.labels), found.value) for found in samples(text)]
    except MalformedText:
        return
    theirs = [
        (sample.name, sample.labels, float(sample.value))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    assert ours == theirs


@pytest.mark.parametrize(
    "line",
    [
        'a{b="' + "\\" * 200_000,
        'a{b="' + '\\"' * 100_000,
        "a{" + 'b="c",' * 50_000,
        "a" + " " * 200_000 + "x y z",
        "a{" + " " * 200_000,
        "x" * 200_000 + "{",
        "# TYPE " + " " * 200_000,
        'a{b="c"' * 30_000,
    ],
)
@pytest.mark.timeout(60)
def test_a_hostile_line_is_done_with_before_a_reader_of_quadratic_time_would_be(line: str) -> None:
    # The bound is the test's own time: a quadratic reader needs many minutes for each of these.
    found: list[Sample] = []
    with suppress(MalformedText):
        found.extend(samples(line))
    assert found == []
