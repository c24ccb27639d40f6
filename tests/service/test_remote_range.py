"""Increments from samples of a remote store."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pytest

from service.increments import DEFAULT
from service.remote_api import Line
from service.remote_range import RAW_MS, increases
from tests.service.stores import select, series

ODD = [4.0, -3.0, 9.5e18, inf, -1.0, -2.0, 6.0, 6.5]


class Api:
    """Answers with one series, a sample each step."""

    def __init__(self, step_ms: int) -> None:
        self._line = Line(series("x_total"), step_ms * np.arange(len(ODD), dtype=np.int64), np.array(ODD))

    def raw(self, *_: Any) -> list[Line]:
        """What is stored."""
        return [self._line]

    def grid(self, *_: Any) -> list[Line]:
        """The same, at the steps."""
        return [self._line]


@pytest.mark.parametrize("step_ms", [60_000, RAW_MS])
def test_values_that_no_counter_has_count_nothing(step_ms: int) -> None:
    api: Any = Api(step_ms)
    (found,) = increases(api, select("x_total"), 0, step_ms * (len(ODD) - 1), step_ms, DEFAULT)
    added = [it for it in found.values if it]
    assert added == [6.0, 0.5]
