"""Who may ask: the token, the Host header on loopback, and requests that another site makes a browser send."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.settings import host_and_port, is_loopback

OPEN = ("/healthz", "/readyz")
"""Paths that tell nothing and need no token."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """ASGI middleware: refuses who may not ask, and puts security headers on every answer."""

    def __init__(self, app: ASGIApp, listen: str, token: str | None, public_url: str | None) -> None:
        self._app = app
        self._token = token
        self._hosts = _own_hosts(listen, public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        answer = self._refusal(scope)
        await (answer or self._app)(scope, receive, sent)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if scope["path"] in OPEN:
            return None
        if self._token is None and headers.get("host", "").lower() not in self._hosts:
            return PlainTextResponse("This address is not one of this service's.\n", 421)
        if self._token is not None and not shows(headers, self._token):
            ask = {"WWW-Authenticate": 'Basic realm="Midwatch: any name, the token as password", charset="UTF-8"'}
            return PlainTextResponse("A token is needed: service.token of midwatch.yaml.\n", 401, ask)
        if scope["method"] not in ("GET", "HEAD") and is_foreign(headers):
            return PlainTextResponse("Another site may not do this.\n", 403)
        return None


def _own_hosts(listen: str, public_url: str | None) -> frozenset[str]:
    """Host headers of this service on loopback; what another name resolves to here is not meant for it."""
    host, port = host_and_port(listen)
    names = ("localhost", "127.0.0.1", "[::1]", host) if is_loopback(host) else (host,)
    public = {urlsplit(public_url).netloc.lower()} if public_url else set()
    return frozenset({f"{name}:{port}".lower() for name in names} | public)


def shows(headers: Mapping[str, str], token: str) -> bool:
    """True where a request carries the token, as a bearer or as the password of basic authentication."""
    kind, _, given = headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif kind.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode(), token.encode())


def is_foreign(headers: Mapping[str, str]) -> bool:
    """True where a browser says that the request was begun by a page of another site."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
