"""What a JSON line tells of itself, as logging libraries write it; and lines that only look so."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.log_json import MAX_JSON_CHARS, NOTHING, Lifted, lifted

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
BOTH = (bytes.fromhex(TRACE), bytes.fromhex(SPAN))


@pytest.mark.parametrize(
    ("line", "severity", "written"),
    [
        ({"level": "info", "msg": "zap, logrus, winston"}, 9, "info"),
        ({"level": "WARNING", "message": "Python"}, 13, "WARNING"),
        ({"levelname": "CRITICAL"}, 18, "CRITICAL"),
        ({"level": 30, "msg": "pino, bunyan"}, 9, "30"),
        ({"level": 60}, 21, "60"),
        ({"level": "50"}, 17, "50"),
        ({"lvl": "eror", "msg": "log15"}, 17, "eror"),
        ({"severity": "NOTICE", "message": "Google"}, 10, "NOTICE"),
        ({"severity": "EMERGENCY"}, 24, "EMERGENCY"),
        ({"log.level": "error", "@timestamp": "ECS"}, 17, "error"),
        ({"log": {"level": "debug"}}, 5, "debug"),
        ({"@level": "trace", "@message": "hclog"}, 1, "trace"),
        ({"Level": "Information", "MessageTemplate": "Serilog"}, 9, "Information"),
        ({"level": "dpanic"}, 19, "dpanic"),
        ({"priority": 3, "MESSAGE": "syslog"}, 17, "3"),
        ({"severity_number": 17, "severity_text": "ERR"}, 17, "ERR"),
        ({"level": "E"}, 17, "E"),
        ({"level": "", "severity": "warn"}, 13, "warn"),
    ],
)
def test_the_level_is_found_under_the_names_that_libraries_give_it(
    line: dict[str, object], severity: int, written: str
) -> None:
    assert lifted(json.dumps(line))[:2] == (severity, written)


@pytest.mark.parametrize(
    "line",
    [
        {"level": 3.5},
        {"level": 35},
        {"level": True},
        {"level": None},
        {"level": ["error"]},
        {"level": "loud"},
        {"level": -1},
        {"severity_number": 25},
        {"severity_number": 0},
        {"msg": "error"},
        {"user": {"level": "error"}},
    ],
)
def test_a_level_that_is_none_of_these_is_not_guessed(line: dict[str, object]) -> None:
    assert lifted(json.dumps(line)) == NOTHING


@pytest.mark.parametrize(
    "line",
    [
        {"trace_id": TRACE, "span_id": SPAN},
        {"traceId": TRACE.upper(), "spanId": SPAN.upper()},
        {"trace.id": TRACE, "span.id": SPAN},
        {"trace": {"id": TRACE}, "span": {"id": SPAN}},
        {"context": {"trace_id": TRACE, "span_id": SPAN}},
        {"otelTraceID": TRACE, "otelSpanID": SPAN},
        {"logging.googleapis.com/trace": f"projects/shop/traces/{TRACE}", "logging.googleapis.com/spanId": SPAN},
        {"@tr": TRACE, "@sp": SPAN},
        {"dd.trace_id": TRACE, "dd.span_id": SPAN},
        {"traceparent": f"00-{TRACE}-{SPAN}-01"},
        {"trace_id": "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", "span_id": SPAN},
    ],
)
def test_the_trace_is_found_under_the_names_that_libraries_give_it(line: dict[str, object]) -> None:
    assert lifted(json.dumps(line))[2:] == BOTH


@pytest.mark.parametrize(
    "line",
    [
        {"trace_id": "0" * 32, "span_id": SPAN},
        {"trace_id": TRACE[:31], "span_id": SPAN},
        {"trace_id": TRACE + "a", "span_id": SPAN},
        {"trace_id": 4, "span_id": SPAN},
        {"trace_id": "", "span_id": ""},
        {"trace_id": "<script>"},
        {"span_id": SPAN},
        {"traceparent": f"00-{'0' * 32}-{SPAN}-01"[:40]},
    ],
)
def test_an_id_that_is_none_is_left_out_and_a_span_without_its_trace_too(line: dict[str, object]) -> None:
    assert lifted(json.dumps(line))[2:] == (b"", b"")


def test_a_trace_whose_span_is_malformed_is_still_a_trace() -> None:
    assert lifted(json.dumps({"trace_id": TRACE, "span_id": "12"}))[2:] == (BOTH[0], b"")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "{not json}",
        '["level", "error"]',
        '{"level": "error"',
        '{"level": "error"} trailing',
        "{" * 50_000 + "}" * 50_000,
        '{"a":' * 5_000 + "1" + "}" * 5_000,
        '{"level": ' + "9" * 10_000 + "}",
        '{"level": "error", "pad": "' + "x" * MAX_JSON_CHARS + '"}',
    ],
)
def test_what_is_no_json_line_of_bounded_size_gives_nothing(text: str) -> None:
    assert lifted(text) == NOTHING


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["level", "severity", "trace_id", "span_id", "trace", "span", "log", "id", "severity_number"])


@settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_whatever_stands_under_these_names_is_a_valid_record(line: dict[str, object]) -> None:
    found = lifted(json.dumps(line))
    assert isinstance(found, Lifted)
    assert 0 <= found.severity <= 24 and len(found.severity_text) <= 32
    assert len(found.trace_id) in (0, 16) and len(found.span_id) in (0, 8)
