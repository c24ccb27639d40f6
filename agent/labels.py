"""Container labels as Prometheus labels: those on a list, bounded, and told apart where their names collide."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from agent.model import Labels

PREFIX = "container_label_"
MOST_CHARACTERS = 512
_FOREIGN = re.compile(r"[^a-zA-Z0-9_]")


def info_labels(labels: Mapping[str, str], allowed: Sequence[str]) -> Labels:
    """The allowed labels that a container has, as cAdvisor names them, sorted by name.

    Two names that become one (`a.b` and `a_b`) collide: the one that comes first in `allowed` has it.
    """
    found: dict[str, str] = {}
    for name in allowed:
        value = labels.get(name)
        if value:
            found.setdefault(label_name(name), value[:MOST_CHARACTERS])
    return tuple(sorted(found.items()))


def label_name(name: str) -> str:
    """A container label's name as cAdvisor writes it: what is not allowed in a label's name becomes `_`."""
    return PREFIX + _FOREIGN.sub("_", name)
