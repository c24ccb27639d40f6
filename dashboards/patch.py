"""Text as a change of an earlier text, line by line: what keeps a live page's traffic small."""

from __future__ import annotations

from collections.abc import Sequence

Patch = list[str | list[int]]
"""A new text's lines in order: a string is a new line, [start, count] are lines of the earlier text."""


def patch(old: Sequence[str], new: Sequence[str]) -> Patch:
    """The lines of `new`, those that `old` has given by where they stand in it."""
    first = {line: index for index, line in reversed(list(enumerate(old)))}
    found: Patch = []
    for line in new:
        last = found[-1] if found else ""
        if not isinstance(last, str) and sum(last) < len(old) and old[sum(last)] == line:
            last[1] += 1
        elif line in first:
            found.append([first[line], 1])
        else:
            found.append(line)
    return found


def apply(old: Sequence[str], change: Patch) -> list[str]:
    """The lines that `change` makes of `old`."""
    found: list[str] = []
    for it in change:
        found += [it] if isinstance(it, str) else old[it[0] : sum(it)]
    return found
