"""What the service holds, fetched over its API: into a backup, Parquet files, or a database in memory."""

from __future__ import annotations

import json as json_
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from cli.errors import Refusal
from cli.query import moment
from cli.service_client import stream
from cli.terminal import plain
from service.settings import Settings

TABLES: Final = ("series", "samples", "events", "logs", "spans", "judgements", "incidents")
WAIT_SECONDS: Final = 600.0
MOST_BYTES: Final = 8 << 30
"""Of one table for a query."""
_GRACE_SECONDS: Final = 5.0


class Span(NamedTuple):
    """A time range `(since, until]` in milliseconds UTC."""

    since_ms: int
    until_ms: int

    @classmethod
    def of(cls, since: str, until: str, now: float) -> Span:
        """What the command line says; raises BadParameter."""
        found = cls(*(round(1000 * moment(text, now)) for text in (since, until)))
        if not 0 <= found.since_ms < found.until_ms:
            raise typer.BadParameter("--from must be before --to")
        return found


class Limits(NamedTuple):
    """What a query may take."""

    seconds: float
    memory_mb: int
    rows: int


class Found(NamedTuple):
    """What a query found; `more` where rows were left out."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    more: bool


def copy(settings: Settings, path: Path) -> int:
    """A backup as this file, which is there whole or not at all; its bytes."""
    if path.exists():
        raise Refusal(f"{path} is there already", "name another file")
    part = path.with_name(f"{path.name}.part")
    size = 0
    try:
        with stream(settings, "POST", "/api/backup", WAIT_SECONDS) as pieces, _private(part) as file:
            for piece in pieces:
                size += file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    return size


def _private(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def write_parquet(settings: Settings, folder: Path, span: Span) -> Iterator[tuple[Path, int]]:
    """One file per table, each there whole or not at all; its rows."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in TABLES:
        path, rows = folder / f"{table}.parquet", 0
        part = folder / f"{table}.parquet.part"
        try:
            part.unlink(missing_ok=True)
            with (
                _table(settings, table, span) as reader,
                _private(part) as file,
                pq.ParquetWriter(file, reader.schema) as writer,
            ):
                for batch in reader:
                    writer.write_batch(batch)
                    rows += batch.num_rows
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)
        yield path, rows


class _table:  # noqa: N801 - used as a function
    """A table of the service as a stream of batches."""

    def __init__(self, settings: Settings, table: str, span: Span) -> None:
        path = f"/api/arrow/{table}?since_ms={span.since_ms}&until_ms={span.until_ms}"
        self._context = stream(settings, "GET", path, WAIT_SECONDS)

    def __enter__(self) -> pa.RecordBatchReader:
        """The batches as they come."""
        return pa.ipc.open_stream(pa.PythonFile(cast("IO[bytes]", _Pipe(self._context.__enter__())), "r"))

    def __exit__(self, *fault: Any) -> None:
        """Let go of the answer."""
        self._context.__exit__(*fault)


class _Pipe:
    """A file over pieces that come one after the other."""

    closed = False

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._left = pieces, b""

    def read(self, size: int = -1) -> bytes:
        """That many bytes, fewer only at the end."""
        found = [self._left]
        have = len(self._left)
        while have < size and (piece := next(self._pieces, None)) is not None:
            found.append(piece)
            have += len(piece)
        whole = b"".join(found)
        self._left = whole[size:]
        return whole[:size]

    def close(self) -> None:
        """Nothing is to be closed."""


def mentioned(query: str) -> list[str]:
    """The tables that a query may ask for; `metrics` is samples with the names and labels of their series."""
    words = {word.lower() for word in re.findall(r"\w+", query)}
    if "metrics" in words:
        words |= {"samples", "series"}
    return [table for table in TABLES if table in words]


def ask_sql(settings: Settings, query: str, span: Span, limits: Limits) -> Found:
    """Fetch the tables that the query names and ask it in a child process; refuses with what went wrong."""
    with tempfile.TemporaryDirectory(prefix="midwatch-sql-") as name:
        folder = Path(name)
        for table in mentioned(query):
            size = 0
            path = f"/api/arrow/{table}?since_ms={span.since_ms}&until_ms={span.until_ms}"
            with stream(settings, "GET", path, WAIT_SECONDS) as pieces, _private(folder / f"{table}.arrow") as file:
                for piece in pieces:
                    size += file.write(piece)
                    if size > MOST_BYTES:
                        raise Refusal(f"{table} of this time has more than {MOST_BYTES} bytes", "ask for less time")
        return run_child(query, folder, limits)


def run_child(query: str, folder: Path, limits: Limits) -> Found:
    """Ask a query of the tables in a folder, in a child process that is ended when its time is over."""
    asked = json_.dumps({"query": query, "folder": str(folder), **limits._asdict()})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MIDWATCH_")}
    child = subprocess.Popen(
        [sys.executable, "-m", "cli.sql_child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=environment, text=True,
    )  # fmt: skip
    try:
        text, _ = child.communicate(asked, timeout=limits.seconds + _GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        raise Refusal(f"the query took longer than {limits.seconds:g} s", "ask for less, or set --seconds") from None
    finally:
        child.kill()
        child.wait()
    if child.returncode != 0 or not text:
        raise Refusal("the query took more memory than it may", "ask for less, or set --memory-mb")
    found = json_.loads(text)
    if "fault" in found:
        raise Refusal(plain(found["fault"]), plain(found["remedy"]))
    return Found(found["columns"], found["rows"], found["more"])


def lines(found: Found, json: bool) -> Iterator[str]:
    """The result for people, tab-separated, or as one JSON object per row."""
    names = _apart(found.columns)
    if not json:
        yield "\t".join(map(plain, found.columns))
    for row in found.rows:
        if json:
            yield json_.dumps(dict(zip(names, row, strict=True)), ensure_ascii=True)
        else:
            yield "\t".join("" if cell is None else plain(_text(cell)) for cell in row)


def _apart(columns: Sequence[str]) -> list[str]:
    """The names, those that are there already with a number: `a`, `a_1`."""
    found, told = dict[str, None](), set(columns)
    for name in columns:
        numbered = (f"{name}_{at}" for at in count(1))
        free = name if name not in found else next(it for it in numbered if it not in found and it not in told)
        found[free] = None
    return list(found)


def _text(cell: object) -> str:
    return cell if isinstance(cell, str) else json_.dumps(cell, ensure_ascii=False)
