from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from runtime.regular import mode_of, read_regular


def test_a_file_is_read_whole_up_to_its_bound_and_by_links(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    (tmp_path / "l").symlink_to("f")
    assert read_regular(tmp_path / "l", 5) == b"12345"
    with pytest.raises(OSError, match="it is larger than 4 bytes"):
        read_regular(tmp_path / "f", 4)


def test_what_is_no_regular_file_is_said_to_be_what_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path, what in ((tmp_path / "pipe", "a pipe"), (tmp_path / "folder", "a folder"), (Path("/dev/zero"), "device")):
        with pytest.raises(OSError, match=what):
            read_regular(path, 10)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match="a socket"):
            read_regular(tmp_path / "socket", 10)


def test_what_stands_at_a_path_is_known_and_nothing_is_where_it_cannot_be_told(tmp_path: Path) -> None:
    assert stat.S_ISDIR(mode_of(tmp_path))
    for path in (tmp_path / "none", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        assert mode_of(path) == 0
