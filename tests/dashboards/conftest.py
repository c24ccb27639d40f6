"""One busy fleet for all tests of the dashboards; it is never changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.dashboards.fake import FakeSource
from tests.dashboards.rich import NOW, rich


@pytest.fixture(scope="session")
def fleet() -> FakeSource:
    """The busy fleet as it was made."""
    return rich()


@pytest.fixture
def source(fleet: FakeSource) -> FakeSource:
    """A copy whose fields a test may put in place."""
    return replace(fleet, asked=[])


@pytest.fixture
def empty() -> FakeSource:
    """A service to which nothing was ever sent."""
    return FakeSource(now_ms=NOW)
