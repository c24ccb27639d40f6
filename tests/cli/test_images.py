"""Images from what the machine has."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from cli.images import _add, _ldd_paths, interpreter, library_files

LDD = """\
/usr/bin/python3.11:
\tlinux-vdso.so.1 (0x00007ffd2b5f2000)
\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f2f6c6f1000)
\tlibgone.so.1 => not found
\t/lib64/ld-linux-x86-64.so.2 (0x00007f2f6d1b7000)
/usr/bin/busybox:
\tnot a dynamic executable
"""


def test_ldd_names_libraries_and_the_loader_and_leaves_out_what_is_no_file() -> None:
    assert list(_ldd_paths(LDD.splitlines())) == [
        Path("/lib/x86_64-linux-gnu/libm.so.6"),
        Path("/lib64/ld-linux-x86-64.so.2"),
    ]


def test_the_library_holds_what_a_small_server_needs_and_no_test_suite() -> None:
    python = interpreter()
    names = {str(path.relative_to(python.library)) for path in library_files(python)}
    assert {"http/server.py", "json/decoder.py", "threading.py"} <= names
    assert not any(name.split("/")[0] in ("test", "tkinter", "site-packages") for name in names)


def test_equal_files_make_equal_layers(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")

    def packed() -> bytes:
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w") as tar:
            _add(tar, tmp_path / "file", "/app/file")
        return target.getvalue()

    assert packed() == packed()
