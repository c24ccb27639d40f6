"""What a container exposes may lie: what is taken of it, under which name and kind."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.names import RESERVED_NAMES, RESERVED_PREFIXES
from agent.scrape import IDENTITY_LABELS, ScrapedSample, ScrapeLimits, parse
from agent.scrape_http import ScrapeFault


def only(text: str) -> ScrapedSample:
    (sample,) = parse(text).samples
    return sample


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("# TYPE a_total counter\na_total 1", "counter"),
        ("# TYPE a counter\na 1", "counter"),
        ("# TYPE a gauge\na 1", "gauge"),
        ("# TYPE a_total gauge\na_total 1", "gauge"),
        ("a_total 1", "counter"),
        ("a 1", "gauge"),
        ("# TYPE a histogram\na_bucket{le=\"1\"} 1", "counter"),
        ("# TYPE a histogram\na_sum 1", "counter"),
        ("# TYPE a histogram\na_count 1", "counter"),
        ("# TYPE a summary\na_sum 1", "counter"),
        ("# TYPE a summary\na{quantile=\"0.5\"} 1", "gauge"),
        ("# TYPE a unknown\na 1", "gauge"),
        ("# TYPE a info\na_info 1", "gauge"),
        ("# TYPE a gaugehistogram\na_bucket{le=\"1\"} 1", "gauge"),
        ("# TYPE a nonsense\na_total 1", "gauge"),
    ],
)  # fmt: skip
def test_the_kind_comes_from_the_type_and_without_one_from_the_suffix(text: str, kind: str) -> None:
    assert only(text).kind == kind


@pytest.mark.parametrize("name", [*RESERVED_NAMES, *(f"{prefix}x" for prefix in RESERVED_PREFIXES)])
def test_a_name_of_ours_is_refused_and_counted_whatever_its_type(name: str) -> None:
    result = parse(f"# TYPE {name} counter\n{name} 1000000\nmine 1\n")
    assert [sample.name for sample in result.samples] == ["mine"]
    assert result.refused == {"reserved_name": 1}


@pytest.mark.parametrize("label", sorted(IDENTITY_LABELS))
def test_a_label_that_claims_an_identity_is_renamed(label: str) -> None:
    assert only(f'a{{{label}="shop/other"}} 1').labels == ((f"exported_{label}", "shop/other"),)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
def test_what_is_not_finite_is_refused_and_counted(value: str) -> None:
    result = parse(f"a {value}\nb 1")
    assert [sample.name for sample in result.samples] == ["b"]
    assert result.refused == {"not_finite": 1}


@pytest.mark.parametrize(
    ("le", "text"),
    [("0.30", "0.3"), ("1.0", "1"), ("5e-3", "0.005"), ("+Inf", "+Inf"), ("inf", "+Inf"), ("300", "300")],
)
def test_a_bucket_bound_has_one_text(le: str, text: str) -> None:
    assert only(f'# TYPE h histogram\nh_bucket{{le="{le}"}} 1').labels == (("le", text),)


def test_a_label_named_le_of_anything_else_stays() -> None:
    assert only('# TYPE g gauge\ng{le="1.0"} 1').labels == (("le", "1.0"),)


def test_two_bounds_that_are_the_same_number_count_once() -> None:
    result = parse('# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="1.0"} 2')
    assert [sample.value for sample in result.samples] == [1.0]
    assert result.refused == {"duplicate": 1}


def test_created_times_are_left_out() -> None:
    result = parse("# TYPE a counter\na_total 1\na_created 1.76e9\n")
    assert [sample.name for sample in result.samples] == ["a_total"]


@pytest.mark.parametrize(
    "labels",
    [
        "{" + ",".join(f'l{number}="x"' for number in range(25)) + "}",
        '{l="' + "x" * 513 + '"}',
        "{" + "l" * 129 + '="x"}',
    ],
)
def test_labels_beyond_a_bound_cost_their_sample_alone(labels: str) -> None:
    result = parse(f"a{labels} 1\nb 1")
    assert [sample.name for sample in result.samples] == ["b"]
    assert result.refused == {"labels": 1}


def test_more_samples_than_the_bound_is_a_fault_and_never_a_part_of_a_histogram() -> None:
    text = "\n".join(f'a{{n="{number}"}} 1' for number in range(11))
    assert len(parse(text, ScrapeLimits(samples=11)).samples) == 11
    with pytest.raises(ScrapeFault, match="more than the 10 samples") as fault:
        parse(text, ScrapeLimits(samples=10))
    assert fault.value.outcome == "too_many_samples"


def test_a_body_of_nothing_but_comments_is_left_at_its_lines() -> None:
    assert parse("#\n" * 9 + "a 1", ScrapeLimits(lines=10)).samples
    with pytest.raises(ScrapeFault) as fault:
        parse("#\n" * 10, ScrapeLimits(lines=10))
    assert fault.value.outcome == "too_many_lines"


def test_renaming_takes_no_label_that_is_there_already() -> None:
    text = 'a{container="liar",exported_container="app",exported_exported_container="odd"} 1'
    assert only(text).labels == (
        ("exported_container", "app"),
        ("exported_exported_container", "odd"),
        ("exported_exported_exported_container", "liar"),
    )


def test_one_malformed_line_refuses_the_whole() -> None:
    with pytest.raises(ScrapeFault, match="line 2") as fault:
        parse("a 1\nnot a sample\n")
    assert fault.value.outcome == "malformed"


@settings(deadline=None)
@given(st.text(st.sampled_from('amidwatch_up{}le="exported_container", \\n01.#NaI+\n'), max_size=120))
def test_no_text_gets_a_reserved_name_an_identity_label_or_an_infinite_value_through(text: str) -> None:
    try:
        result = parse(text)
    except ScrapeFault:
        return
    for sample in result.samples:
        assert not sample.name.startswith(RESERVED_PREFIXES)
        assert sample.name not in RESERVED_NAMES
        assert not IDENTITY_LABELS & {name for name, _ in sample.labels}
        assert math.isfinite(sample.value)
        assert list(sample.labels) == sorted(sample.labels)
    assert len({(sample.name, sample.labels) for sample in result.samples}) == len(result.samples)


def test_a_counter_below_zero_is_refused_and_a_gauge_is_not() -> None:
    result = parse("a_total -5\nb -5\n")
    assert [sample.name for sample in result.samples] == ["b"]
    assert result.refused == {"negative": 1}
