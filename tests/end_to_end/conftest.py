"""A whole Midwatch of a test's own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="midwatch-") as folder:
        yield Path(folder)
