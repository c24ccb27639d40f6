"""OpenSLO files as they were good last, in the database: a file that is faulty when the service starts has one too."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final, Protocol

from service.errors import StoreUnavailable
from service.ports import ask
from service.store_db import Cursor, Database

_LOG = logging.getLogger(__name__)
MOST_CHARS: Final = 64 * 1024 * 1024
"""Characters of all files; those of more are kept in memory alone."""


class Good(Protocol):
    """Where the texts of good files outlive the process."""

    def read(self) -> dict[str, str]:
        """Texts by the names of their files."""
        ...

    def write(self, texts: Mapping[str, str]) -> None:
        """Keep these in place of all others."""
        ...


class Nowhere:
    """Nothing is kept."""

    def read(self) -> dict[str, str]:
        """None."""
        return {}

    def write(self, texts: Mapping[str, str]) -> None:
        """Keep nothing."""


class GoodFiles:
    """The texts in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> dict[str, str]:
        """Texts by the names of their files."""
        return ask(self._database, lambda it: dict(it.execute("SELECT file, text FROM good_files").fetchall()))

    def write(self, texts: Mapping[str, str]) -> None:
        """Keep these in place of all others; what can't be written now is said, and judging goes on."""
        if sum(map(len, texts.values())) > MOST_CHARS:
            _LOG.warning("objectives: files of more than %d characters are not kept over a restart", MOST_CHARS)
            texts = {}

        def run(cursor: Cursor) -> None:
            cursor.execute("DELETE FROM good_files")
            rows = [list(texts), list(texts.values())]
            cursor.execute("INSERT INTO good_files SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[])", rows)

        try:
            self._database.write(run)
        except StoreUnavailable as fault:
            _LOG.warning("objectives: good files are not kept over a restart: %s", fault)
