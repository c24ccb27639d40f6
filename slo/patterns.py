"""Patterns of names: `*` stands for any text."""

from __future__ import annotations


def covers(pattern: str, name: str) -> bool:
    """Whether a name is one that the pattern is for; in time linear in both."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == first
    if not name.startswith(first):
        return False
    at = len(first)
    for part in rest[:-1]:
        found = name.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(name) - at >= len(rest[-1]) and name.endswith(rest[-1])
