"""One request to an ASGI application, without a socket."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import httpx
from starlette.types import ASGIApp

ADDRESS = "127.0.0.1:8640"


def ask(
    app: ASGIApp,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    content: bytes = b"",
    address: str = ADDRESS,
) -> httpx.Response:
    """The application's answer; redirects are not followed."""

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{address}") as client:
            return await client.request(method, path, headers=dict(headers or {}), content=content)

    return anyio.run(run)
