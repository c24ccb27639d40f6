"""`/api/backup` and `/api/arrow/…`: a copy of the whole database, and tables of a time range for other tools."""

from __future__ import annotations

import secrets
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse

from service.api import ApiFault
from service.parts import Parts
from service.store_arrow import TABLES, stream

AT_ONCE = 2
"""Tables that are streamed at once."""
ARROW = "application/vnd.apache.arrow.stream"
_PIECE_BYTES = 1 << 20
_PREFIX = "copy-"


def add(app: FastAPI, parts: Parts) -> None:
    """The routes; what a process that ended left behind of copies is removed."""
    folder = parts.store.database.path.parent
    for left in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            left.unlink()
    copying, streaming = threading.Semaphore(1), threading.Semaphore(AT_ONCE)

    @app.post("/api/backup", tags=["data"])
    def backup() -> Response:
        if not copying.acquire(blocking=False):
            raise ApiFault(429, "a backup is being made; try again when it is done")
        path = folder / f"{_PREFIX}{secrets.token_hex(8)}.duckdb"
        try:
            parts.store.database.copy_to(path)
            length = path.stat().st_size
        except BaseException:
            _remove(path)
            copying.release()
            raise

        def ended() -> None:
            _remove(path)
            copying.release()

        pieces, headers = _ending(_sent(path), ended), {"Content-Length": str(length)}
        return StreamingResponse(pieces, headers=headers, media_type="application/octet-stream")

    @app.get("/api/arrow/{table}", tags=["data"])
    def arrow(table: str, since_ms: int, until_ms: int) -> Response:
        if table not in TABLES:
            raise ApiFault(404, f"no table {table[:40]!r}; there are {', '.join(TABLES)}")
        if not 0 <= since_ms < until_ms < 2**52:
            raise ApiFault(400, "since_ms must be before until_ms, both milliseconds since 1970")
        if not streaming.acquire(blocking=False):
            raise ApiFault(429, f"{AT_ONCE} tables are being read already; try again later")
        pieces = _ending(stream(parts.store, table, since_ms, until_ms), streaming.release)
        return StreamingResponse(pieces, media_type=ARROW)


def _sent(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        _remove(path)
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _ending(pieces: Iterator[bytes], then: Callable[[], None]) -> Iterator[bytes]:
    """The pieces, and `then` when they are let go of: read to their end or not, or never begun."""
    ends: list[Callable[[], object]] = []
    found = _through(pieces, ends)
    ends.append(weakref.finalize(found, then))
    return found


def _through(pieces: Iterator[bytes], ends: Sequence[Callable[[], object]]) -> Iterator[bytes]:
    try:
        yield from pieces
    finally:
        for it in ends:
            it()


def _remove(path: Path) -> None:
    for name in (path, path.with_name(f"{path.name}.wal")):
        name.unlink(missing_ok=True)
