from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from runtime.kept import Allowance, KeptFile
from runtime.mounts import MountTable

OWN = Path("/proc/self/mountinfo")


def test_while_nothing_is_mounted_the_text_is_the_very_object_of_before() -> None:
    table = MountTable(KeptFile(OWN, Allowance(1)))
    first = table.read()
    again = table.read()
    table.close()
    assert first
    assert again is first


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_what_is_mounted_and_unmounted_shows_at_the_next_look(tmp_path: Path) -> None:
    name = str(tmp_path).encode()
    table = MountTable(KeptFile(OWN, Allowance(1)))
    before = table.read() or b""
    subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path], check=True)
    mounted = table.read() or b""
    subprocess.run(["umount", tmp_path], check=True)
    after = table.read() or b""
    table.close()
    assert [name in text for text in (before, mounted, after)] == [False, True, False]


@pytest.mark.parametrize("files", [0, 1])
def test_a_copy_and_a_file_that_may_not_stay_open_are_read_each_time(tmp_path: Path, files: int) -> None:
    copy = tmp_path / "mountinfo"
    copy.write_text("1\n")
    table = MountTable(KeptFile(copy, Allowance(files)))
    assert table.read() == b"1\n"
    copy.write_text("2\n")
    assert table.read() == b"2\n"
    table.close()
