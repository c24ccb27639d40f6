from __future__ import annotations

import logging
from pathlib import Path

import pytest

from service import querying
from service.promql import jit
from service.querying import warming
from tests.support.waiting import until


def test_kernels_that_cannot_be_compiled_are_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.ERROR, querying.__name__), warming(tmp_path / "file" / "kernels"):
        until(lambda: "queries are slower without" in caplog.text)
    assert callable(jit.kernel("latest"))
