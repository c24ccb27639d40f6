"""Tokens of agents: one each, kept as hashes in a file of the data folder, and revoked by name.

A token is `mwt_<id>_<secret>`; its secret has 256 random bits, so a plain SHA-256 of it is enough. The service reads
the file anew when it changes; the command line writes it, whether the service runs or not.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

PREFIX: Final = "mwt_"
FILE: Final = "tokens.json"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MOST_TOKENS: Final = 10_000


class TokenFault(Exception):
    """What can't be done with tokens; the message says what and the remedy."""


@dataclass(frozen=True)
class Token:
    """What is kept of a token."""

    name: str
    id: str
    sha256: str
    created_ms: int
    revoked_ms: int | None = None


def token_file(data: Path) -> Path:
    """Where the tokens of a data folder are."""
    return data / "server" / FILE


class TokenBook:
    """The tokens of one file, as of its newest version; safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._version: tuple[int, int] | None = None
        self._known: dict[str, Token] = {}

    def agent(self, token: str) -> str | None:
        """Whose token it is; None where it is nobody's or is revoked. Raises TokenFault where the file is damaged."""
        kind, _, rest = token.partition("_")
        token_id, _, secret = rest.partition("_")
        found = self._current().get(token_id) if f"{kind}_" == PREFIX else None
        given = _hash(secret)
        right = hmac.compare_digest(given, found.sha256 if found else _hash(""))
        return found.name if found and right and found.revoked_ms is None else None

    def any(self) -> bool:
        """Whether there is a token that holds."""
        return any(it.revoked_ms is None for it in self._current().values())

    def _current(self) -> dict[str, Token]:
        try:
            told = self._path.stat()
            version = (told.st_mtime_ns, told.st_ino)
        except FileNotFoundError:
            return {}
        with self._lock:
            if version != self._version:
                self._known = {it.id: it for it in read(self._path)}
                self._version = version
            return self._known


def read(path: Path) -> list[Token]:
    """The tokens of a file, oldest first; none where there is no file."""
    try:
        return [Token(**it) for it in json.loads(path.read_text())]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, OSError) as fault:
        raise TokenFault(f"{path}: can't be read: {fault}; move it away and create the tokens anew") from fault


def create(path: Path, name: str, now_ms: int, rand: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Make a token for an agent and write it down; the token itself is told this once. Raises TokenFault."""
    if not NAME.fullmatch(name):
        raise TokenFault(f"{name!r} is no name for a token: use letters, digits, '.', '_' and '-', at most 64")
    token_id, secret = rand(6).hex(), rand(32).hex()
    with _changing(path) as tokens:
        if any(it.name == name and it.revoked_ms is None for it in tokens):
            raise TokenFault(f"there is a token for {name} already: revoke it first, or use another name")
        if len(tokens) >= MOST_TOKENS:
            raise TokenFault(f"{path} holds {MOST_TOKENS} tokens, and no more are kept")
        tokens.append(Token(name, token_id, _hash(secret), now_ms))
    return f"{PREFIX}{token_id}_{secret}"


def revoke(path: Path, name: str, now_ms: int) -> None:
    """The token of an agent holds no longer. Raises TokenFault where there is none."""
    with _changing(path) as tokens:
        at = next((at for at, it in enumerate(tokens) if it.name == name and it.revoked_ms is None), None)
        if at is None:
            raise TokenFault(f"there is no token for {name} that holds: see `midwatch token list`")
        tokens[at] = replace(tokens[at], revoked_ms=now_ms)


@contextmanager
def _changing(path: Path) -> Iterator[list[Token]]:
    """The tokens of a file, to be changed by one process at a time; written at the end, whole or not at all."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tokens = read(path)
            yield tokens
            new = path.with_suffix(".new")
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump([asdict(it) for it in tokens], file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            _keep_owner(new, path.parent)
            new.replace(path)
    except OSError as fault:
        raise TokenFault(
            f"{path}: can't be written: {fault.strerror}; run as the user who owns it, or name another --data"
        ) from fault


def _keep_owner(new: Path, folder: Path) -> None:
    """Root writes for the user whose folder it is, who must be able to read it."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(new, owner.st_uid, owner.st_gid)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
