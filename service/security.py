"""Who may ask: the tokens, the Host header on loopback, and requests that another site makes a browser send."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.otlp_status import error_form, status_body
from service.settings import host_and_port, is_loopback
from service.tokens import PREFIX, TokenBook, TokenFault

OPEN = ("/healthz", "/readyz")
"""Paths that tell nothing and need no token."""
OTLP = "/v1/"
WRITE = "/api/v1/write"
"""Where senders bring data: a token of theirs opens these and nothing else."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """ASGI middleware: refuses who may not ask, and puts security headers on every answer."""

    def __init__(
        self,
        app: ASGIApp,
        listen: str,
        token: str | None,
        public_url: str | None,
        tokens: TokenBook | None = None,
        senders_need_tokens: bool = False,
    ) -> None:
        self._app = app
        self._token = token
        self._tokens = tokens
        self._senders_need_tokens = senders_need_tokens
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

    def _refusal(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), str(scope["path"])
        if path in OPEN:
            return None
        sending = path.startswith(OTLP) or path == WRITE
        given = credential(headers)
        if given is not None and given.startswith(PREFIX):
            return self._of_sender(scope, given) if sending else _unauthorized(scope)
        if sending and self._senders_need_tokens:
            return _unauthorized(scope)
        if self._token is None and headers.get("host", "").lower() not in self._hosts:
            return _said(scope, 421, "This address is not one of this service's.")
        if self._token is not None and not shows(headers, self._token):
            return _unauthorized(scope)
        if scope["method"] not in ("GET", "HEAD") and is_foreign(headers):
            return _said(scope, 403, "Another site may not do this.")
        return None

    def _of_sender(self, scope: Scope, given: str) -> Response | None:
        """A token of a sender's own: its name goes with the request."""
        try:
            name = self._tokens.agent(given) if self._tokens else None
        except TokenFault as fault:
            return _said(scope, 503, str(fault))
        if name is None:
            return _unauthorized(scope)
        scope.setdefault("state", {})["sender"] = name
        return None


def _unauthorized(scope: Scope) -> Response:
    if str(scope["path"]).startswith((OTLP, WRITE)):
        text = "A token that holds is needed: one of `midwatch token create`, or service.token of midwatch.yaml."
        return _said(scope, 401, text, {"WWW-Authenticate": 'Bearer realm="Midwatch"'})
    ask = {"WWW-Authenticate": 'Basic realm="Midwatch: any name, the token as password", charset="UTF-8"'}
    return _said(scope, 401, "A token is needed: service.token of midwatch.yaml.", ask)


def _said(scope: Scope, status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal in the form that the path's protocol has for errors."""
    if str(scope["path"]).startswith(OTLP):
        body, media_type = status_body(status, text, error_form(Headers(scope=scope).get("content-type")))
        return Response(body, status, headers, media_type)
    return PlainTextResponse(f"{text}\n", status, headers)


def _own_hosts(listen: str, public_url: str | None) -> frozenset[str]:
    """Host headers of this service on loopback; what another name resolves to here is not meant for it."""
    host, port = host_and_port(listen)
    names = ("localhost", "127.0.0.1", "[::1]", host) if is_loopback(host) else (host,)
    public = {urlsplit(public_url).netloc.lower()} if public_url else set()
    return frozenset({f"{name}:{port}".lower() for name in names} | public)


def shows(headers: Mapping[str, str], token: str) -> bool:
    """True where a request carries the token, as a bearer or as the password of basic authentication."""
    given = credential(headers)
    return given is not None and hmac.compare_digest(given.encode(), token.encode())


def credential(headers: Mapping[str, str]) -> str | None:
    """What a request shows, as a bearer or as the password of basic authentication; None where it shows nothing."""
    kind, _, given = headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    elif kind.lower() != "bearer":
        return None
    return given.strip()


def is_foreign(headers: Mapping[str, str]) -> bool:
    """True where a browser says that the request was begun by a page of another site."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
