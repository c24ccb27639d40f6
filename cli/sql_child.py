"""The process that `midwatch sql` asks: a database in memory, fed by Arrow, that can reach nothing else.

What it is asked comes as JSON on its standard input, what it found goes as JSON to its standard output.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import threading
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

_OVERHEAD_BYTES = 3 << 30
"""Address space beside what the database may use: libraries, threads, and the tables, which are mapped."""
_CELL_CHARS = 100_000


def main() -> None:
    """Answer one question."""
    asked = json.load(sys.stdin)
    json.dump(answer(asked), sys.stdout)


def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a query found: columns, rows, and whether there are more; or the fault and its remedy."""
    timer: threading.Timer | None = None
    try:
        connection = _prepared(Path(asked["folder"]), int(asked["memory_mb"]))
        statements = connection.extract_statements(asked["query"])
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            return _fault("one SELECT can be asked, nothing else", "write one SELECT")
        timer = threading.Timer(float(asked["seconds"]), connection.interrupt)
        timer.start()
        found = connection.execute(statements[0])
        columns = [it[0] for it in found.description or ()]
        rows = found.fetchmany(int(asked["rows"]) + 1)
    except duckdb.InterruptException:
        return _fault(f"the query took longer than {asked['seconds']:g} s", "ask for less, or set --seconds")
    except (duckdb.OutOfMemoryException, MemoryError):
        return _fault("the query took more memory than it may", "ask for less, or set --memory-mb")
    except duckdb.Error as fault:
        return _fault(" ".join(str(fault).split())[:1000], "correct the query")
    finally:
        if timer is not None:
            timer.cancel()
    kept = rows[: int(asked["rows"])]
    return {"columns": columns, "rows": [[_cell(it) for it in row] for row in kept], "more": len(rows) > len(kept)}


def _prepared(folder: Path, memory_mb: int) -> duckdb.DuckDBPyConnection:
    """A database in memory with the folder's tables, which reads and writes nothing beside them."""
    connection = duckdb.connect(":memory:", config={
        "memory_limit": f"{memory_mb}MB", "threads": "2",
        "autoinstall_known_extensions": "false", "autoload_known_extensions": "false", "temp_directory": "",
    })  # fmt: skip
    names = []
    size = 0
    for path in sorted(folder.glob("*.arrow")):
        size += path.stat().st_size
        names.append(path.stem)
        connection.register(path.stem, pa.ipc.open_stream(pa.memory_map(str(path))).read_all())
    if {"series", "samples"} <= set(names):
        connection.execute(
            "CREATE VIEW metrics AS SELECT metric, labels, ts, value, start FROM samples JOIN series USING (series_id)"
        )
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    most = _OVERHEAD_BYTES + (memory_mb << 20) + 2 * size
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return connection


def _fault(what: str, remedy: str) -> dict[str, Any]:
    return {"fault": what, "remedy": remedy}


def _cell(value: Any) -> Any:
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return value[:_CELL_CHARS]
        case datetime() | date():
            return value.isoformat()
        case dict():
            return {str(key): _cell(it) for key, it in value.items()}
        case list() | tuple():
            return [_cell(it) for it in value]
        case _:
            return str(value)[:_CELL_CHARS]


if __name__ == "__main__":
    main()
