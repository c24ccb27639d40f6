"""PromQL: `Engine(samples, limits).instant(text, at_ms)` and `.range(text, from_ms, to_ms, step_ms)`."""

from service.promql.engine import Engine
from service.promql.errors import (
    BadQuery,
    ExecutionFault,
    LimitFault,
    QueryCanceled,
    QueryFault,
    QueryTimeout,
)
from service.promql.model import Answer, Limits, Matrix, Scalar, Text, Vector

__all__ = [
    "Answer",
    "BadQuery",
    "Engine",
    "ExecutionFault",
    "LimitFault",
    "Limits",
    "Matrix",
    "QueryCanceled",
    "QueryFault",
    "QueryTimeout",
    "Scalar",
    "Text",
    "Vector",
]
