"""What a registry that asks for it is shown: a password, or a token that was fetched with one."""

from __future__ import annotations

import base64
import json
import re
import ssl
import urllib.parse

from runtime.credentials import Credentials
from runtime.registry_http import Answer, Line, Refused, Stopwatch, Target, is_loopback

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


def authorization(
    answer: Answer, repository: str, credentials: Credentials | None, target: Target, watch: Stopwatch
) -> str:
    """The header that answers a 401; a token is timed as the phase `token`. Raises Refused where there is none."""
    challenge = answer.headers.get("www-authenticate", "")
    scheme = challenge.partition(" ")[0].lower()
    usable = credentials if target.private else None
    if scheme == "basic":
        if usable is None or not usable.password:
            raise Refused("HTTP 401 Unauthorized: the registry asks for a password; run docker login", answer)
        return _basic(usable)
    if scheme == "bearer":
        with watch.phase("token"):
            return f"Bearer {_token(challenge, repository, credentials, target, watch.quiet())}"
    raise Refused("HTTP 401 Unauthorized", answer)


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.password}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


def _token(challenge: str, repository: str, credentials: Credentials | None, target: Target, watch: Stopwatch) -> str:
    asked = dict(_PARAMETER.findall(challenge))
    realm = urllib.parse.urlsplit(asked.get("realm", ""))
    wanted = {"service": asked.get("service", ""), "scope": asked.get("scope") or f"repository:{repository}:pull"}
    line = Line(_token_server(realm, target), watch)
    try:
        answer = _asked_for_token(line, realm.path or "/", wanted, credentials)
    finally:
        line.close()
    if answer.status != 200:
        raise Refused(f"token: {answer.said}", answer)
    return _token_in(answer.body)


def _asked_for_token(line: Line, path: str, wanted: dict[str, str], credentials: Credentials | None) -> Answer:
    if credentials is not None and credentials.identity_token:
        # https://distribution.github.io/distribution/spec/auth/oauth/
        form = {
            **wanted, "grant_type": "refresh_token", "client_id": "midwatch",
            "refresh_token": credentials.identity_token,
        }  # fmt: skip
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return line.ask("token", "POST", path, headers, urllib.parse.urlencode(form).encode())
    told = {} if credentials is None else {"Authorization": _basic(credentials)}
    return line.ask("token", "GET", f"{path}?{urllib.parse.urlencode(wanted)}", told)


def _token_server(realm: urllib.parse.SplitResult, target: Target) -> Target:
    # The registry names the realm, and the password goes there: never in plain text beyond this machine.
    if not realm.hostname or realm.scheme not in ("https", "http"):
        raise Refused("token: the registry names no realm that can be asked")
    if realm.scheme == "http":
        if not is_loopback(realm.hostname):
            raise Refused(f"token: realm {realm.hostname} is plain HTTP; a token is asked for over TLS alone")
        return Target(realm.hostname, realm.port or 80, None)
    # A registry whose certificate nobody checks names a realm whose certificate is checked.
    checked = target.tls is not None and target.tls.verify_mode == ssl.CERT_REQUIRED
    tls = target.tls if checked else ssl.create_default_context()
    return Target(realm.hostname, realm.port or 443, tls)


def _token_in(body: bytes) -> str:
    try:
        answer = json.loads(body)
        token = answer.get("token") or answer.get("access_token")
    except (ValueError, AttributeError, RecursionError) as error:
        raise Refused("token: the answer is no JSON object") from error
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise Refused("token: the answer holds none")
    return token
