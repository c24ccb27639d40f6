"""The OpenAPI document, as the service answers: what FastAPI writes, without answers that are never given."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

NEVER = "422"
"""FastAPI's status for a wrong parameter: this service answers 400, in its own form of faults."""


def described(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, routes=app.routes, tags=app.openapi_tags)
        for path in found["paths"].values():
            for operation in path.values():
                operation["responses"].pop(NEVER, None)
        schemas = found.get("components", {}).get("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        app.openapi_schema = found
    return app.openapi_schema
