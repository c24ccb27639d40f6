"""YAML to trees: lines, aliases, and what hostile texts are refused for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.openslo.tree import MAX_BYTES, MAX_DEPTH, MAX_NODES, Items, Mapping, Node, Scalar, parse


def _plain(node: Node) -> object:
    match node:
        case Scalar():
            return node.text
        case Items():
            return [_plain(it) for it in node.items]
        case Mapping():
            return {key: _plain(it) for key, it in node.entries.items()}


def test_scalars_keep_their_text_and_every_key_its_line() -> None:
    (root,), faults = parse("a: 0.9990\nb:\n  - on\n  - '5'\nc:\n")
    assert isinstance(root, Mapping)
    assert (_plain(root), faults) == ({"a": "0.9990", "b": ["on", "5"], "c": ""}, [])
    assert root.lines == {"a": 1, "b": 2, "c": 5}
    values = root.entries["b"]
    assert isinstance(values, Items)
    assert values.items == (Scalar("on", 3), Scalar("5", 4, True))
    assert [it.line for it in values.items] == [3, 4]


def test_several_documents_are_several_trees() -> None:
    roots, faults = parse("a: 1\n---\n- b\n---\n")
    assert ([_plain(it) for it in roots], faults) == ([{"a": "1"}, ["b"], ""], [])


def test_anchors_and_merge_keys_are_resolved_and_own_keys_win() -> None:
    (root,), faults = parse("a: &x {p: 1, q: 2}\nb: *x\nc:\n  <<: *x\n  q: 3\n")
    assert (_plain(root), faults) == (
        {"a": {"p": "1", "q": "2"}, "b": {"p": "1", "q": "2"}, "c": {"q": "3", "p": "1"}},
        [],
    )


def test_every_key_that_stands_twice_is_told_with_its_path() -> None:
    (root,), faults = parse("a:\n  - b: 1\n    b: 2\nc: 3\nc: 4\n")
    assert _plain(root) == {"a": [{"b": "1"}], "c": "3"}
    assert [(it.line, it.path, it.what) for it in faults] == [
        (3, "a[0].b", "the key stands twice, first in line 2"),
        (5, "c", "the key stands twice, first in line 4"),
    ]


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (BOMB, f"more than {MAX_NODES} values, aliases expanded"),
        ("[" * 100_000, f"nested deeper than {MAX_DEPTH} levels"),
        ("- " * 100_000, f"nested deeper than {MAX_DEPTH} levels"),
        ("{a: " * 5_000, f"nested deeper than {MAX_DEPTH} levels"),
        ("a: &a\n  b: *a\n", "alias a has no anchor before it, or holds itself"),
        ("b: *nowhere\n", "alias nowhere has no anchor before it"),
        (
            "a: &a [[[[[[[[[[1]]]]]]]]]]\nb: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
            "by aliases",
        ),
        ("x" * (MAX_BYTES + 1), f"larger than {MAX_BYTES} bytes"),
        ("é" * (MAX_BYTES // 2 + 1), f"larger than {MAX_BYTES} bytes"),
        ("- x\n" * (MAX_NODES + 1), f"more than {MAX_NODES} values"),
        ("a: !!python/object/apply:os.system [ls]\n", "tag tag:yaml.org,2002:python/object/apply:os.system"),
        ("a: !local x\n", "tag !local is not honoured"),
        ("? [a]\n: b\n", "a key must be a plain text"),
        ("a: 1\n<<: 5\n", "<< takes a mapping"),
        ("a: 'open\n", "not YAML"),
        ("a: \x00\n", "not YAML"),
        ("a: \ud800\n", "not YAML"),
        ("a: b: c\n", "not YAML"),
        ("\ta: 1\n", "not YAML"),
    ],
    ids=range(19),
)
def test_hostile_and_broken_texts_are_one_fault(text: str, what: str) -> None:
    _, faults = parse(text)
    assert len(faults) == 1
    assert what in faults[0].what
    assert len(faults[0].what) < 200


@given(st.text(max_size=200))
def test_no_text_makes_it_fall(text: str) -> None:
    roots, faults = parse(text)
    assert isinstance(roots, list)
    assert all(it.remedy for it in faults)
