"""What an expression is worth at all steps at once: rows of series, a bit beside each value that says it is there."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.promql.errors import ExecutionFault
from service.promql.model import Labels, Matrix
from service.samples import NAME

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]
Row: TypeAlias = Floats
"""A scalar: one value for each step."""


class Frame(NamedTuple):
    """An instant vector at T steps: `values` and `present` are (n, T).

    `drop` says of each row that its name goes at the end, as Prometheus does with delayed name removal; until then
    names tell rows apart, and `label_replace` can read them.
    """

    labels: Sequence[Labels]
    drop: Flags
    values: Floats
    present: Flags


class Grid(NamedTuple):
    """The steps of an evaluation: `steps` of them from `start_ms` on."""

    start_ms: int
    step_ms: int
    steps: int

    @property
    def times(self) -> Ints:
        """The moment of each step, milliseconds."""
        return self.start_ms + self.step_ms * np.arange(self.steps, dtype=np.int64)


def empty(steps: int) -> Frame:
    """No series at all."""
    return Frame([], np.zeros(0, np.bool_), np.zeros((0, steps)), np.zeros((0, steps), np.bool_))


def lone(labels: Labels, values: Floats, present: Flags | None = None) -> Frame:
    """One row, everywhere there unless said otherwise."""
    there = np.ones(len(values), np.bool_) if present is None else present
    return Frame([labels], np.zeros(1, np.bool_), values[None, :], there[None, :])


def take(frame: Frame, rows: Ints) -> Frame:
    """Some rows, in the order given."""
    return Frame([frame.labels[i] for i in rows], frame.drop[rows], frame.values[rows], frame.present[rows])


def compact(frame: Frame) -> Frame:
    """The frame without rows that are nowhere present."""
    some = frame.present.any(axis=1)
    return frame if some.all() else take(frame, np.flatnonzero(some))


def stacked(frames: Sequence[Frame]) -> Frame:
    """The rows of several frames, one after the other."""
    return Frame(
        [labels for it in frames for labels in it.labels],
        np.concatenate([it.drop for it in frames]),
        np.concatenate([it.values for it in frames]),
        np.concatenate([it.present for it in frames]),
    )


def nameless(frame: Frame, values: Floats, present: Flags | None = None) -> Frame:
    """The frame with other values, whose names go at the end."""
    kept = frame.present if present is None else present
    return Frame(frame.labels, np.ones(len(frame.labels), np.bool_), values, kept)


def key(labels: Labels) -> Hashable:
    """What two equal sets of labels share."""
    return frozenset(labels.items())


def without(labels: Labels, names: Iterable[str]) -> dict[str, str]:
    """The labels but for some."""
    found = dict(labels)
    for it in names:
        found.pop(it, None)
    return found


def show(labels: Labels) -> str:
    """Labels as text, sorted by name."""
    return "{" + ", ".join(f'{name}="{_escaped(labels[name])}"' for name in sorted(labels)) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def numbered(keys: Iterable[Hashable]) -> tuple[Ints, int]:
    """For each key its number in order of first sight, and how many there are."""
    seen: dict[Hashable, int] = {}
    found = [seen.setdefault(it, len(seen)) for it in keys]
    return np.array(found, np.int64), len(seen)


def merged(frame: Frame, fault: str) -> Frame:
    """Rows of equal labels as one; two values at one step are an error with the text `fault`."""
    ids, count = numbered([key(it) for it in frame.labels])
    if count == len(ids):
        return frame
    values, present = np.zeros((count, frame.values.shape[1])), np.zeros((count, frame.values.shape[1]), np.bool_)
    labels: list[Labels] = [{}] * count
    drop = np.zeros(count, np.bool_)
    for i, into in enumerate(ids):
        now = frame.present[i]
        if (present[into] & now).any():
            raise ExecutionFault(f"{fault}: {show(frame.labels[i])}")
        values[into, now] = frame.values[i, now]
        present[into] |= now
        labels[into] = frame.labels[i]
        drop[into] |= frame.drop[i]
    return Frame(labels, drop, values, present)


def settled(frame: Frame) -> Frame:
    """The frame as it leaves the engine: names that were to go are gone, rows that became equal are one."""
    frame = compact(frame)
    if not frame.drop.any():
        return frame
    labels = [without(it, (NAME,)) if gone else it for it, gone in zip(frame.labels, frame.drop, strict=True)]
    bare = Frame(labels, np.zeros(len(labels), np.bool_), frame.values, frame.present)
    return merged(bare, "vector cannot contain metrics with the same labelset")


def columns(frame: Frame, times: Ints) -> Matrix:
    """The samples of a frame as columns, series by series."""
    offsets = np.zeros(len(frame.labels) + 1, np.int64)
    np.cumsum(frame.present.sum(axis=1), out=offsets[1:])
    if frame.present.all():
        return Matrix(frame.labels, offsets, np.tile(times, len(frame.labels)), np.ravel(frame.values))
    moments = np.broadcast_to(times, frame.present.shape)[frame.present]
    return Matrix(frame.labels, offsets, moments, frame.values[frame.present])


def by_labels(frame: Frame) -> Frame:
    """The rows by their labels, name by name."""
    order = sorted(range(len(frame.labels)), key=lambda i: sorted(frame.labels[i].items()))
    return frame if order == list(range(len(order))) else take(frame, np.array(order, np.int64))
