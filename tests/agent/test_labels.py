from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from agent.labels import MOST_CHARACTERS, info_labels


def test_only_what_is_allowed_is_told() -> None:
    labels = {"com.docker.compose.project": "shop", "secret": "x"}
    assert info_labels(labels, ("com.docker.compose.project", "absent")) == (
        ("container_label_com_docker_compose_project", "shop"),
    )


def test_names_that_become_one_are_the_first_allowed_ones_whatever_the_containers_order() -> None:
    for labels in ({"a.b": "1", "a_b": "2"}, {"a_b": "2", "a.b": "1"}):
        assert info_labels(labels, ("a_b", "a.b")) == (("container_label_a_b", "2"),)
        assert info_labels(labels, ("a.b", "a_b")) == (("container_label_a_b", "1"),)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=2000), max_size=8))
def test_whatever_a_container_says_names_are_valid_once_and_values_bounded(labels: dict[str, str]) -> None:
    found = info_labels(labels, tuple(labels))
    names = [name for name, _ in found]
    assert len(set(names)) == len(names)
    assert names == sorted(names)
    assert all(re.fullmatch(r"container_label_[a-zA-Z0-9_]*", name) for name in names)
    assert all(0 < len(value) <= MOST_CHARACTERS for _, value in found)
