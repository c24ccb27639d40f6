from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rules_files import load, load_file, parse_text
from service.rules_model import AlertingRule, RecordingRule
from tests.support.prometheus import peer_file

GOOD = """
groups:
  - name: g
    interval: 30s
    limit: 7
    query_offset: 1m
    labels: {team: a}
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
        labels: {job: ""}
      - alert: Down
        expr: up == 0
        for: 5m
        keep_firing_for: 1h
        labels: {severity: page, team: b}
        annotations:
          summary: "{{ $labels.instance }}"
  - name: other
    rules: []
"""


def test_a_file_is_read_whole() -> None:
    found = parse_text(GOOD, "r.yml", 60_000)
    assert found.faults == ()
    group, other = found.groups
    assert (group.interval_ms, group.limit, group.offset_ms, other.interval_ms) == (30_000, 7, 60_000, 60_000)
    assert group.rules == (
        RecordingRule("job:up:sum", "sum by (job) (up)", (("team", "a"),), 9),
        AlertingRule(
            "Down", "up == 0", (("severity", "page"), ("team", "b")), (("summary", "{{ $labels.instance }}"),),
            300_000, 3_600_000, 12,
        ),
    )  # fmt: skip


RULE = "groups:\n- name: g\n  rules:\n  - "


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("groups: [", 1, "no YAML"),
        ("- a", 1, "a mapping is needed"),
        ("groups: {}", 1, "a list is needed"),
        ("group: []", 1, "did you mean groups?"),
        ("groups:\n- rules: []", 2, "without a name"),
        ("groups:\n- name: g\n- name: g", 3, "rename one"),
        ("groups:\n- name: g\n  intervall: 1m", 3, "did you mean interval?"),
        ("groups:\n- name: g\n  interval: soon", 3, "no duration"),
        ("groups:\n- name: g\n  limit: many", 3, "no whole number"),
        (RULE + "expr: up", 4, "either `record` or `alert`"),
        (RULE + "record: a\n    alert: b\n    expr: up", 4, "either `record` or `alert`"),
        (RULE + "record: a", 4, "without an expression"),
        (RULE + "record: a\n    expr: sum(", 5, "correct the expression"),
        (RULE + "record: a b\n    expr: up", 4, "no name of a metric"),
        (RULE + "record: a\n    expr: up\n    for: 5m", 6, "no meaning for a recording rule"),
        (RULE + "alert: a\n    expr: up\n    labels: {a-b: c}", 6, "no name of a label"),
        (RULE + "alert: a\n    expr: up\n    labels: {__name__: c}", 6, "no name of a label"),
        (RULE + "alert: a\n    expr: up\n    labels: {a: [1]}", 6, "must be a text"),
        (RULE + 'alert: a\n    expr: up\n    annotations: {a: "{{ $value"}', 6, "close it"),
        (RULE + "alert: a\n    expr: up\n    expr: up", 6, "twice"),
        ("[" * 5000, 1, "no YAML"),
    ],
)
def test_each_fault_is_told_with_its_line_and_what_to_do(text: str, line: int, words: str) -> None:
    faults = parse_text(text, "r.yml", 60_000).faults
    assert [it.line for it in faults] == [line], faults
    assert words in faults[0].message
    assert str(faults[0]).startswith(f"r.yml:{line}: ")


def test_all_faults_are_told_at_once() -> None:
    text = RULE + "record: a b\n    expr: sum(\n  - alert: x\n    for: soon"
    assert [it.line for it in parse_text(text, "r.yml", 60_000).faults] == [5, 4, 6, 7]


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_bytes(b"\xff\xfe\xfa")
    assert "not UTF-8" in load_file(bad, 60_000).faults[0].message
    assert "no such file" in load([str(tmp_path / "none.yml")], 60_000).faults[0].message
    assert load([str(tmp_path / "none-*.yml")], 60_000).faults == ()


@pytest.mark.parametrize("name", ["rules", "rules/sloth"])
def test_rule_files_of_others_load_unmodified(name: str) -> None:
    found = load([f"{peer_file(name)}/*.yml"], 60_000)
    assert found.faults == ()
    assert sum(len(it.rules) for it in found.groups) >= 40


scraps = st.sampled_from(
    ["groups:", "- name: g", "rules:", "- record: a", "- alert: b", "expr: up", "for: 5m", "labels:", "a: b", "[", "{",
     "'",
     "&a", "*a", "? ", "---", "!!python/object:os.system x", "interval: 1", "limit: -1", ": :", "|", "\t", "null", "~"]
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 6), scraps), max_size=20) | st.text(max_size=60))
def test_whatever_a_file_says_it_is_groups_or_faults(told: list[tuple[int, str]] | str) -> None:
    text = told if isinstance(told, str) else "\n".join(" " * indent + scrap for indent, scrap in told)
    found = parse_text(text, "r.yml", 60_000)
    assert all(fault.line >= 1 and fault.message for fault in found.faults)
