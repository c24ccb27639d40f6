"""Who may ask, over the middleware alone."""

from __future__ import annotations

import base64

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from service.security import Guard
from tests.service.asgi import ADDRESS, ask

TOKEN = "0123456789abcdef"


async def _fine(_: Request) -> PlainTextResponse:
    return PlainTextResponse("fine")


def _app(token: str | None = None, listen: str = ADDRESS, public: str | None = None) -> ASGIApp:
    paths = ("/", "/healthz", "/readyz")
    app = Starlette(routes=[Route(path, _fine, methods=["GET", "POST", "DELETE"]) for path in paths])
    return Guard(app, listen, token, public)


@pytest.mark.parametrize("host", ["127.0.0.1:8640", "localhost:8640", "LOCALHOST:8640", "[::1]:8640"])
def test_on_loopback_its_own_names_are_answered(host: str) -> None:
    assert ask(_app(), "GET", "/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8640", "127.0.0.1", "127.0.0.1:80", ""])
def test_a_name_that_another_site_made_resolve_here_is_not(host: str) -> None:
    assert ask(_app(), "GET", "/", headers={"host": host}).status_code == 421


def test_the_public_address_is_one_of_its_own() -> None:
    app = _app(public="https://watch.example")
    assert ask(app, "GET", "/", headers={"host": "watch.example"}).status_code == 200


def test_a_token_is_taken_as_bearer_and_as_password() -> None:
    app = _app(TOKEN, "0.0.0.0:8640")
    basic = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()
    assert ask(app, "GET", "/", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert ask(app, "GET", "/", headers={"authorization": f"Basic {basic}"}).status_code == 200


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer wrong", f"Token {TOKEN}", "Basic ???", "Basic " + base64.b64encode(b"\xff:").decode()],
)
def test_without_it_nothing_is_told(given: str) -> None:
    answer = ask(_app(TOKEN, "0.0.0.0:8640"), "GET", "/", headers={"authorization": given})
    assert (answer.status_code, "fine" in answer.text) == (401, False)
    assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_liveness_needs_neither_token_nor_name(path: str) -> None:
    assert ask(_app(TOKEN, "0.0.0.0:8640"), "GET", path, headers={"host": "10.0.0.9"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_change_that_another_site_began_is_refused(method: str, headers: dict[str, str]) -> None:
    assert ask(_app(), method, "/", headers=headers).status_code == 403


def test_a_change_of_its_own_page_or_of_a_script_is_not() -> None:
    own = {"origin": "http://127.0.0.1:8640", "sec-fetch-site": "same-origin"}
    assert ask(_app(), "POST", "/", headers=own).status_code == 200
    assert ask(_app(), "POST", "/").status_code == 200


def test_every_answer_carries_the_security_headers() -> None:
    for answer in (ask(_app(), "GET", "/"), ask(_app(), "GET", "/", headers={"host": "evil.example"})):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
