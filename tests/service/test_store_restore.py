"""A backup in the place of a database: beside a log of the old one, while it is open, and where it is none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.errors import StoreFault
from service.store import Store
from service.store_restore import restore
from tests.service.stores import T0, Clock, Point, batch, select, series

ONE = series("requests_total")


def made(path: Path, *values: float) -> None:
    store = Store(path, Clock(T0))
    store.append(batch([Point(ONE, T0 - 60_000 + at, value) for at, value in enumerate(values)]))
    store.close()


def held(path: Path) -> list[float]:
    store = Store(path, Clock(T0))
    found = [it.value for it in store.instant(select("requests_total"), T0)]
    store.close()
    return found


def crashed(path: Path) -> None:
    """A database whose process was killed: its log lies beside it."""
    code = (
        "import os, sys, pathlib\n"
        "from service.store import Store\n"
        "from tests.service.stores import T0, Clock, Point, batch, series\n"
        "store = Store(pathlib.Path(sys.argv[1]), Clock(T0))\n"
        "store.append(batch([Point(series('requests_total'), T0 - 60_000, 7.0)]))\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    assert path.with_name(f"{path.name}.wal").exists()


def test_a_backup_takes_the_place_of_a_file_that_was_left_with_its_log(tmp_path: Path) -> None:
    backup, path = tmp_path / "b.duckdb", tmp_path / "server" / "x.duckdb"
    made(backup, 1.0, 2.0)
    crashed(path)
    aside = restore(backup, path, "now")
    assert aside == path.with_name("x-before-now.duckdb")
    assert held(path) == [2.0]
    assert held(aside) == [7.0], "what was in the old one's log is kept"
    assert backup.exists()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_copy_by_hand_beside_a_log_of_another_file_is_told_with_the_remedy(tmp_path: Path) -> None:
    backup, path = tmp_path / "b.duckdb", tmp_path / "x.duckdb"
    made(backup, 1.0)
    crashed(path)
    shutil.copyfile(backup, path)
    with pytest.raises(StoreFault, match=r"move .*x\.duckdb\.wal away.*midwatch restore"):
        Store(path, Clock(T0))


def test_where_there_was_nothing_the_backup_begins(tmp_path: Path) -> None:
    made(tmp_path / "b.duckdb", 3.0)
    assert restore(tmp_path / "b.duckdb", tmp_path / "new" / "x.duckdb", "now") is None
    assert held(tmp_path / "new" / "x.duckdb") == [3.0]


@pytest.mark.parametrize("text", [None, b"hello " * 4000])
def test_what_is_no_backup_changes_nothing(tmp_path: Path, text: bytes | None) -> None:
    backup, path = tmp_path / "b.duckdb", tmp_path / "x.duckdb"
    made(path, 5.0)
    if text is not None:
        backup.write_bytes(text)
    with pytest.raises(StoreFault, match="midwatch backup"):
        restore(backup, path, "now")
    assert held(path) == [5.0]
    assert {it.name for it in tmp_path.iterdir()} <= {"b.duckdb", "x.duckdb"}


def test_while_the_service_runs_nothing_is_restored(tmp_path: Path) -> None:
    backup, path = tmp_path / "b.duckdb", tmp_path / "x.duckdb"
    made(backup, 1.0)
    made(path, 5.0)
    code = f"import duckdb,sys; c=duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(StoreFault, match="stop it first"):
            restore(backup, path, "now")
        holder.stdin.close()
    assert held(path) == [5.0]
