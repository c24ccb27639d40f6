"""Who may ask, over the middleware alone."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from service.security import Guard
from service.tokens import TokenBook, create, revoke, token_file
from tests.service.asgi import ADDRESS, ask

TOKEN = "0123456789abcdef"


async def _fine(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"fine {request.scope.get('state', {}).get('sender', '')}")


def _app(
    token: str | None = None,
    listen: str = ADDRESS,
    public: str | None = None,
    tokens: TokenBook | None = None,
    needed: bool = False,
) -> ASGIApp:
    paths = ("/", "/healthz", "/readyz", "/v1/metrics", "/api/v1/write", "/api/silences")
    app = Starlette(routes=[Route(path, _fine, methods=["GET", "POST", "DELETE"]) for path in paths])
    return Guard(app, listen, token, public, tokens, needed)


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


@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_senders_token_opens_the_way_in_and_nothing_else(tmp_path: Path, token: str | None) -> None:
    path = token_file(tmp_path)
    theirs = {"authorization": f"Bearer {create(path, 'node-7', 1)}"}
    app = _app(token, tokens=TokenBook(path))
    for way_in in ("/v1/metrics", "/api/v1/write"):
        assert ask(app, "POST", way_in, headers={**theirs, "host": "elsewhere"}).text == "fine node-7"
    for other in ("/", "/api/silences"):
        assert ask(app, "GET", other, headers=theirs).status_code == 401
    revoke(path, "node-7", 2)
    assert ask(app, "POST", "/v1/metrics", headers=theirs).status_code == 401


def test_where_senders_need_tokens_the_service_token_is_not_enough(tmp_path: Path) -> None:
    path = token_file(tmp_path)
    app = _app(TOKEN, tokens=TokenBook(path), needed=True)
    shared = {"authorization": f"Bearer {TOKEN}"}
    assert ask(app, "POST", "/v1/metrics", headers=shared).status_code == 401
    assert ask(app, "GET", "/", headers=shared).status_code == 200
    theirs = {"authorization": f"Bearer {create(path, 'node-7', 1)}"}
    assert ask(app, "POST", "/v1/metrics", headers=theirs).status_code == 200


def test_who_may_not_send_is_told_so_in_the_protocols_own_form() -> None:
    app = _app(TOKEN, "0.0.0.0:8640")
    protobuf = ask(app, "POST", "/v1/metrics")
    assert (protobuf.status_code, protobuf.headers["content-type"]) == (401, "application/x-protobuf")
    assert protobuf.content[:2] == b"\x08\x10"
    assert protobuf.headers["www-authenticate"].startswith("Bearer ")
    in_json = ask(app, "POST", "/v1/metrics", headers={"content-type": "application/json"})
    assert (in_json.status_code, json.loads(in_json.content)["code"]) == (401, 16)
    plain = ask(app, "POST", "/api/v1/write")
    assert (plain.status_code, plain.headers["content-type"]) == (401, "text/plain; charset=utf-8")


def test_a_damaged_file_of_tokens_is_said_so_and_may_be_tried_again(tmp_path: Path) -> None:
    path = token_file(tmp_path)
    theirs = {"authorization": f"Bearer {create(path, 'node-7', 1)}"}
    path.write_text("{")
    answer = ask(_app(tokens=TokenBook(path)), "POST", "/api/v1/write", headers=theirs)
    assert (answer.status_code, "create the tokens anew" in answer.text) == (503, True)
