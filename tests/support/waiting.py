"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = float(os.environ.get("MIDWATCH_TEST_PATIENCE", "1"))
"""How many times longer than usual to wait: a guest without KVM is some ten times slower."""


def until(condition: Callable[[], T], seconds: float = 30.0, every: float = 0.05, what: str = "") -> T:
    """The first true value of the condition; fails with its last value after `seconds`, times the patience."""
    seconds *= PATIENCE
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what or condition}; last: {value!r}")
        time.sleep(every)
    return value
