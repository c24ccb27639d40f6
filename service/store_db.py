"""The database file: opened once, one thread that writes, cursors that read."""

from __future__ import annotations

import logging
import queue
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import duckdb

from service.errors import StoreFault, StoreUnavailable
from service.store_migrate import OLDEST, migrate
from service.store_schema import TABLES, VERSION

T = TypeVar("T")
Cursor = duckdb.DuckDBPyConnection
_LOG = logging.getLogger(__name__)

STORAGE_VERSION = "v1.4.0"
"""Files can be read by DuckDB from this version on."""
_HOLDER = re.compile(r"\(PID (\d+)\)")


@dataclass(frozen=True)
class Resources:
    """What the database may use."""

    memory_mb: int = 1024
    threads: int = 2
    checkpoint_mb: int = 32
    """How much is logged before it is folded into the file."""
    waiting_writes: int = 64
    """Writes that may wait; more are refused for now, and their senders come again."""


DEFAULT = Resources()


class _Work(NamedTuple):
    """One write that waits for its turn."""

    run: Callable[[Cursor], Any]
    after: Callable[[Any], None]
    done: Future[Any]


def _nothing(_: object) -> None:
    return


class Database:
    """One open file. `write` runs one function after another, each in a transaction of its own, durable at its end."""

    def __init__(self, path: Path, resources: Resources = DEFAULT) -> None:
        self.path = path
        self.fault: str | None = None
        """Why the last write failed, in one sentence; None while writing works."""
        self.reopened: Callable[[Cursor], None] = _nothing
        """Told when the file was opened anew: a write that failed may be in it after all."""
        self._resources = resources
        self._lock = threading.Lock()
        self._settling = threading.Lock()
        """Held while a write becomes visible in file and memory, and while a reader takes its moment."""
        self._connection = _connect(path, resources)
        self._work: queue.Queue[_Work | None] = queue.Queue(resources.waiting_writes)
        self._closed = False
        self._lost = False
        """True while the file could not be opened anew after DuckDB gave it up: each write tries."""
        self._failing = False
        """True where the write before the last one failed too: what is in the log stays there once."""
        self._thread = threading.Thread(target=self._serve, name="store-write", daemon=True)
        self._thread.start()

    def write(
        self, run: Callable[[Cursor], T], after: Callable[[T], None] = _nothing, timeout_seconds: float = 30.0
    ) -> T:
        """What `run` returns, once its transaction is on disk and `after` has been told of it, before the next write.

        Raises StoreUnavailable where nothing can be written now, and whatever `run` raised: nothing is stored then.
        """
        done: Future[T] = Future()
        try:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            self._work.put(_Work(run, after, done), timeout=timeout_seconds)
        except queue.Full:
            raise StoreUnavailable("the store has too much to write at once; try again later") from None
        return done.result()

    @contextmanager
    def read(self, look: Callable[[Cursor], T]) -> Iterator[tuple[Cursor, T]]:
        """A cursor in a transaction of its own, and what `look` found: both are of one moment, between two writes.

        `look` must read something of the database, which pins the moment; meanwhile no write becomes visible.
        """
        cursor = self._cursor()
        try:
            with self._settling:
                cursor.execute("BEGIN")
                found = look(cursor)
            yield cursor, found
        except duckdb.Error as fault:
            raise StoreFault(f"{self.path}: can't be read: {_sentence(fault)}") from fault
        finally:
            cursor.close()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Meanwhile no write becomes visible in memory; to be held for a moment."""
        with self._settling:
            yield

    @contextmanager
    def cursor(self) -> Iterator[Cursor]:
        """A cursor of which every query sees what is there when it runs."""
        cursor = self._cursor()
        try:
            yield cursor
        except duckdb.Error as fault:
            raise StoreFault(f"{self.path}: can't be read: {_sentence(fault)}") from fault
        finally:
            cursor.close()

    def copy_to(self, path: Path) -> None:
        """A copy of all, of one moment, as a database file of its own, which must not be there yet."""
        quoted = str(path).replace("'", "''")
        with self.cursor() as cursor:
            name = str(cursor.execute("SELECT current_database()").fetchall()[0][0]).replace('"', '""')
            cursor.execute(f"ATTACH '{quoted}' AS copied (STORAGE_VERSION '{STORAGE_VERSION}')")
            try:
                path.chmod(0o600)
                cursor.execute(f'COPY FROM DATABASE "{name}" TO copied')
            finally:
                cursor.execute("DETACH copied")

    def checkpoint(self) -> None:
        """Fold the log into the file, so that dropped space can be used again; skipped while others are at work."""
        with self._lock:
            try:
                self._connection.cursor().execute("CHECKPOINT")
            except duckdb.Error as fault:
                _LOG.info("%s: not folded now: %s", self.path, _sentence(fault))

    def _cursor(self) -> Cursor:
        with self._lock:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            if self._lost:
                raise StoreUnavailable(f"{self.path}: can't be read now: {self.fault}")
            return self._connection.cursor()

    def waiting(self) -> int:
        """Writes that wait for their turn."""
        return self._work.qsize()

    def close(self) -> None:
        """Finish what waits, fold the log into the file, let go of it."""
        if self._closed:
            return
        self._closed = True
        self._work.put(None)
        self._thread.join()
        with self._lock:
            self._connection.close()

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            if not work.done.set_running_or_notify_cancel():
                continue
            try:
                work.done.set_result(self._transaction(work))
            except BaseException as fault:  # noqa: BLE001 - whoever asked gets it; this thread must not die
                work.done.set_exception(fault)

    def _transaction(self, work: _Work) -> Any:
        if self._lost and not self._reopen():
            raise StoreUnavailable(f"{self.path}: nothing can be stored: {_remedy(str(self.fault))}")
        cursor = self._connection.cursor()
        try:
            cursor.execute("BEGIN")
            result = work.run(cursor)
            with self._settling:
                cursor.execute("COMMIT")
                work.after(result)
        except duckdb.Error as fault:
            self._failing, self.fault = self.fault is not None, _sentence(fault)
            self._recover(cursor, fault)
            raise StoreUnavailable(f"{self.path}: nothing can be stored: {_remedy(self.fault)}") from fault
        except BaseException:
            cursor.execute("ROLLBACK")
            raise
        finally:
            cursor.close()
        self.fault = None
        return result

    def _recover(self, cursor: Cursor, fault: duckdb.Error) -> None:
        """Undo, or open the file anew where DuckDB gave it up: what was acknowledged is in it."""
        try:
            if "invalidated" not in str(fault) and not isinstance(fault, duckdb.FatalException):
                cursor.execute("ROLLBACK")
                return
        except duckdb.Error as second:
            if "no transaction is active" in str(second):
                return  # what failed was the commit, which undid all by itself
            if not self._failing:
                _LOG.warning("%s: could not be rolled back: %s", self.path, _sentence(second))
            if not isinstance(second, duckdb.FatalException) and "invalidated" not in str(second):
                return
        # a cursor keeps the database that was given up alive, and it would be what is opened again
        cursor.close()
        self._reopen()

    def _reopen(self) -> bool:
        """Open the file anew; False where that fails too."""
        with self._lock:
            try:
                self._connection.close()
            except duckdb.Error as fault:
                if not (self._failing or self._lost):
                    _LOG.warning("%s: while letting go of it: %s", self.path, _sentence(fault))
            try:
                self._connection = _connect(self.path, self._resources)
            except StoreFault as fault:
                return self._given_up(str(fault))
        try:
            with self._settling:
                self.reopened(self._connection.cursor())
        except duckdb.Error as fault:
            return self._given_up(f"{self.path}: {_sentence(fault)}")
        if self._lost:
            _LOG.info("%s: open again", self.path)
        self._lost = False
        return True

    def _given_up(self, why: str) -> bool:
        """Each write tries again; the log has it once."""
        if not self._lost:
            _LOG.error("%s", why)
        self._lost, self.fault = True, why
        return False


def _connect(path: Path, resources: Resources) -> Cursor:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(str(path), config=_config(resources))
        path.chmod(0o600)
        # with vacuuming, checkpoints write old rows again and again
        connection.execute("SET max_vacuum_tasks = 0")
        _prepare(connection, path)
    except OSError as fault:
        raise StoreFault(f"{path}: can't be opened: {fault.strerror}; {_what_to_do(str(fault.strerror))}") from fault
    except duckdb.Error as fault:
        raise StoreFault(_unopened(path, fault)) from fault
    return connection


def _config(resources: Resources) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "storage_compatibility_version": STORAGE_VERSION,
        "checkpoint_threshold": f"{resources.checkpoint_mb}MB",
        "memory_limit": f"{resources.memory_mb}MB",
        "threads": str(resources.threads),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "preserve_insertion_order": "false",
    }


def _prepare(connection: Cursor, path: Path) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS meta(version INTEGER NOT NULL)")
    known = connection.execute("SELECT max(version) FROM meta").fetchall()
    version = known[0][0]
    if version is not None and not OLDEST <= version <= VERSION:
        connection.close()
        raise StoreFault(
            f"{path}: its tables are of version {version}, but {VERSION} is known here; use the Midwatch that wrote it"
        )
    if version is not None:
        migrate(connection, version)
    for table in TABLES:  # a table that is new needs no version of its own
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table}")
    if version is None:
        connection.execute("INSERT INTO meta VALUES (?)", [VERSION])


def _unopened(path: Path, fault: duckdb.Error) -> str:
    text = str(fault)
    if "lock" in text:
        holder = _HOLDER.search(text)
        who = f"process {holder[1]}" if holder else "another process"
        return f"{path}: {who} has it open, and only one may; stop that one, or choose another folder with --data"
    if "WAL does not match" in text:
        return (
            f"{path}: the log beside it is of another file: move {path.name}.wal away, and with it goes what it holds "
            "of that file; a backup is better set in place by `midwatch restore FILE`"
        )
    return f"{path}: can't be opened: {_sentence(fault)}; {_what_to_do(text)}"


def _sentence(fault: duckdb.Error) -> str:
    """DuckDB's message in one bounded line."""
    return " ".join(str(fault).split())[:300]


def _remedy(text: str) -> str:
    return f"{text}; {_what_to_do(text)}"


def _what_to_do(text: str) -> str:
    if "No space left" in text or "Out of Range" in text:
        return "free some space or choose another disk with --data"
    if "ermission denied" in text or "Read-only" in text:
        return "run as the user who owns it, or choose a folder of yours with --data"
    if "not a valid DuckDB" in text:
        return "move it away, or choose another folder with --data"
    return "see the log for what happened, and check the disk"
