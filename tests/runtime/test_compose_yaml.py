"""YAML as a tree with lines, and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.compose_yaml import MAX_BYTES, Mapping, Scalar, YamlFault, parse


def tree(text: str) -> Mapping:
    found = parse(text)
    assert isinstance(found, Mapping)
    return found


def test_scalars_stay_the_text_that_was_written() -> None:
    found = tree("a: 1.10\nb: on\nc: 22:22\nd: 0777\ne: 2026-01-01\nf: 'null'\ng:\nh: ~\n")
    texts = {key: (node.text, node.null) for key, node in found.entries.items() if isinstance(node, Scalar)}
    assert texts == {
        "a": ("1.10", False), "b": ("on", False), "c": ("22:22", False), "d": ("0777", False),
        "e": ("2026-01-01", False), "f": ("null", False), "g": ("", True), "h": ("~", True),
    }  # fmt: skip


def test_every_key_has_its_line() -> None:
    found = tree("a: 1\n\nb:\n  c: 2\n")
    inner = found.entries["b"]
    assert found.lines == {"a": 1, "b": 3} and isinstance(inner, Mapping) and inner.lines == {"c": 4}


def test_merge_keys_fill_in_what_is_not_there_and_the_first_wins() -> None:
    found = tree("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: 3\n").entries["z"]
    assert isinstance(found, Mapping)
    assert {key: node.text for key, node in found.entries.items() if isinstance(node, Scalar)} == {
        "a": "3", "b": "1", "c": "2",
    }  # fmt: skip
    assert found.lines == {"a": 5, "b": 1, "c": 2}


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: [\n", 3, "not YAML"),
        ("a: 1\na: 2\n", 2, "stands twice"),
        ("a: 1\n\tb: 2\n", 2, "not YAML"),
        ("a: !reset 1\n", 1, "tag"),
        ("? [a]\n: 1\n", 1, "plain text"),
        ("a: &a [*a]\n", 1, "an alias holds itself"),
        ("a: *nowhere\n", 1, "undefined alias"),
        ("b:\n  <<: 3\n", 2, "takes a mapping"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
        ("a: \x07", 1, "not YAML"),
        (LAUGHS, 1, "aliases expand"),
        ("[" * 200 + "]" * 200, 1, "deeper"),
        ("[" * 100_000, 1, "deeper"),
        ("a: " + "x" * MAX_BYTES, 1, "larger"),
    ],
)
def test_what_is_refused_names_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(YamlFault, match=said) as caught:
        parse(text)
    assert caught.value.line == line


@given(st.text(max_size=100))
def test_no_text_is_too_strange(text: str) -> None:
    try:
        parse(text)
    except YamlFault as fault:
        assert fault.line >= 1
