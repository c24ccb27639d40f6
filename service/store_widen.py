"""Tables of logs and spans as older versions wrote them, brought to today's shape; doing it again changes nothing."""

from __future__ import annotations

from service.store_db import Cursor
from service.store_layout import ensure, read_layout
from service.store_schema import PERIOD_MS, table

_TRACED = ("trace_id", "span_id")


def widen(cursor: Cursor) -> None:
    """Log lines get their trace and span; spans move from one table to one a day, which retention can drop."""
    known = _columns(cursor)
    for name, columns in known.items():
        if name.startswith("logs_"):
            for column in (it for it in _TRACED if it not in columns):
                cursor.execute(f"ALTER TABLE {name} ADD COLUMN {column} VARCHAR")
    if "spans" in known:
        _by_day(cursor)


def _by_day(cursor: Cursor) -> None:
    size, layout = PERIOD_MS["spans"], read_layout(cursor)
    for (day,) in cursor.execute("SELECT DISTINCT end_ms // ? FROM spans", [size]).fetchall():
        layout = ensure(cursor, layout, "spans", day)
        cursor.execute(f"INSERT INTO {table('spans', day)} SELECT * FROM spans WHERE end_ms // ? = ?", [size, day])  # noqa: S608
    cursor.execute("DROP TABLE spans")


def _columns(cursor: Cursor) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    rows = cursor.execute("SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal").fetchall()
    for name, column in rows:
        found.setdefault(name, set()).add(column)
    return found
