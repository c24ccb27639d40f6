"""Errors of the query engine; each says which kind the HTTP API reports it as.

ServiceFault
└── QueryFault            a query that has no answer
    ├── BadQuery          the text or its times make no query (`bad_data`)
    ├── ExecutionFault    evaluation can't go on: duplicates, values no operator takes (`execution`)
    │   └── LimitFault    a bound of the engine was hit; `limit` names it (`execution`)
    ├── QueryTimeout      it took longer than it may (`timeout`)
    └── QueryCanceled     nobody waits for the answer any more (`canceled`)
"""

from __future__ import annotations

from typing import ClassVar

from service.errors import ServiceFault


class QueryFault(ServiceFault):
    """A query that has no answer; `kind` is the error type of Prometheus's API."""

    kind: ClassVar[str] = "execution"


class BadQuery(QueryFault):
    """The text is no PromQL, or the times asked for make no range."""

    kind = "bad_data"


class ExecutionFault(QueryFault):
    """The query is well formed and can't be evaluated on these samples."""


class LimitFault(ExecutionFault):
    """A bound was hit; `limit` is the name of the field of `Limits`."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit


class QueryTimeout(QueryFault):
    """The query ran longer than it may."""

    kind = "timeout"


class QueryCanceled(QueryFault):
    """The query was given up from outside."""

    kind = "canceled"
