"""Kernels are made ready beside the service, which does without where they can't be."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from service.warm import warming


def test_each_is_told_where_compiled_code_is_kept(tmp_path: Path) -> None:
    told = list[tuple[bool, Path | None]]()

    def warm(stop: threading.Event, cache_dir: Path | None) -> int:
        told.append((stop.is_set(), cache_dir))
        return 1

    with warming(tmp_path / "kernels", [warm, warm]) as thread:
        thread.join()
    assert told == [(False, tmp_path / "kernels")] * 2
    assert (tmp_path / "kernels").stat().st_mode & 0o777 == 0o700


def test_the_end_is_told_to_what_is_under_way(tmp_path: Path) -> None:
    ended = threading.Event()

    def warm(stop: threading.Event, _: Path | None) -> int:
        if stop.wait(30):
            ended.set()
        return 0

    with warming(tmp_path, [warm]):
        assert not ended.is_set()
    assert ended.is_set()


def test_a_compiler_that_fails_is_in_the_log_and_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def warm(_: threading.Event, __: Path | None) -> int:
        raise RuntimeError("no compiler")

    with caplog.at_level(logging.ERROR), warming(tmp_path, [warm]) as thread:
        thread.join()
    assert "kernels could not be compiled" in caplog.text


def test_a_full_disk_is_told_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def warm(_: threading.Event, __: Path | None) -> int:
        raise OSError(28, "No space left on device")

    with caplog.at_level(logging.WARNING), warming(tmp_path, [warm]) as thread:
        thread.join()
    assert [(it.levelname, it.exc_info) for it in caplog.records] == [("WARNING", None)]
    assert "No space left on device" in caplog.text
