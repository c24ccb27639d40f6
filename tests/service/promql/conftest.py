"""Both forms of the kernels, to be tried one against the other."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from service.promql import jit


@pytest.fixture(scope="session")
def compiled() -> Mapping[str, Any]:
    """All kernels compiled; from numba's cache where it has them."""
    jit.warm(threading.Event())
    return dict(jit._ready)


@pytest.fixture(params=["twins", "compiled"])
def form(request: pytest.FixtureRequest, compiled: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test with each form of the kernels."""
    monkeypatch.setattr(jit, "_ready", dict(compiled) if request.param == "compiled" else {})
    return str(request.param)
