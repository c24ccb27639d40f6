"""A round's samples of one container as columns: what they are called changes seldom, what they say each round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, overload

from agent.model import Labels, Value


class Key(NamedTuple):
    """What one sample is called, and whether it counts."""

    name: str
    labels: Labels
    counter: bool


class Shape:
    """Which samples there are, in their order: one object for all containers that have the same."""

    __slots__ = ("keys",)

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self.keys = keys


@lru_cache(maxsize=4096)
def shape_of(keys: tuple[Key, ...]) -> Shape:
    """The one shape of these keys."""
    return Shape(keys)


Starts = int | tuple[int, ...] | None
"""Since when counters count: one moment for all, or one for each key (of gauges it is not looked at)."""


class Steady:
    """Goes with columns whose numbers but the last are those of the round before: one object while that is so.

    `times` counts how often they were packed; `parts` is what stands between their times then, once it is worth it.
    """

    __slots__ = ("parts", "times")

    def __init__(self) -> None:
        self.times = 0
        self.parts: list[bytes] = []


class Columns(Sequence[Value]):
    """Samples of one moment; a sample is made when it is asked for."""

    __slots__ = ("at_ms", "shape", "start_ms", "steady", "values")

    def __init__(
        self, shape: Shape, values: Sequence[float], at_ms: int, start_ms: Starts, steady: Steady | None = None
    ) -> None:
        """`values` has a number for each of the shape's keys; the last one is a gauge where it is `steady`."""
        self.shape, self.values, self.at_ms, self.start_ms, self.steady = shape, values, at_ms, start_ms, steady

    def __len__(self) -> int:
        """How many samples."""
        return len(self.values)

    def __iter__(self) -> Iterator[Value]:
        """Every sample."""
        return map(self._sample, self.shape.keys, self.values, self._starts())

    @overload
    def __getitem__(self, index: int) -> Value: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Value]: ...
    def __getitem__(self, index: int | slice) -> Value | Sequence[Value]:
        """One sample, or several."""
        if isinstance(index, slice):
            return tuple(self)[index]
        return self._sample(self.shape.keys[index], self.values[index], self._starts()[index])

    def _starts(self) -> Sequence[int | None]:
        start = self.start_ms
        return start if isinstance(start, tuple) else (start,) * len(self.values)

    def _sample(self, key: Key, value: float, start_ms: int | None) -> Value:
        return Value(key.name, key.labels, float(value), self.at_ms, start_ms if key.counter else None)
