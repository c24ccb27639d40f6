"""The agent whose counts are held against what was caused."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import EngineUnderTest
from tests.support.stack import Stack
from tests.support.waiting import until


@pytest.fixture(scope="package")
def agent(engine: EngineUnderTest) -> Iterator[Stack]:
    """An agent that ships to nobody: all it tells stays in its spool."""
    with tempfile.TemporaryDirectory(prefix="midwatch-") as folder:
        stack = Stack(engine, Path(folder), start_seconds=240.0)
        try:
            stack.start_agent()
            until(lambda: stack.total("midwatch_engine_up") == 1, what="the engine")
            yield stack
        finally:
            stack.stop()
