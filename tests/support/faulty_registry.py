"""A registry of our own making whose images fail as their names say: `127.0.0.1:PORT/corrupt-layer/3:1`.

Every repository has an image of its own with two layers: `base`, which all share, and one of its own. What fails stands
in the first part of its name, so that many pulls can fail in many ways at once.
"""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import json
import random
import ssl
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

LAYER_BYTES = 400_000
TOO_BIG_BYTES = 96 << 20
"""What a layer of `too-big/…` unpacks to; packed it is small."""
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
RETRY_AFTER_SECONDS = 7

# What a repository's first part asks for: (what is asked of the registry, status, code of the error or None for a page)
REFUSALS: dict[str, tuple[str, int, str | None]] = {
    "unknown-tag": ("manifests", 404, "MANIFEST_UNKNOWN"),
    "unknown-name": ("manifests", 404, "NAME_UNKNOWN"),
    "missing-layer": ("layer", 404, "BLOB_UNKNOWN"),
    "unauthorized": ("manifests", 401, "UNAUTHORIZED"),
    "denied": ("manifests", 403, "DENIED"),
    "limited": ("manifests", 429, "TOOMANYREQUESTS"),
    "limited-page": ("manifests", 429, None),
    "limited-layer": ("layer", 429, "TOOMANYREQUESTS"),
    "broken": ("manifests", 500, None),
    "broken-config": ("config", 503, None),
}


class Image(NamedTuple):
    """Blobs by digest, the digest of each part, and the manifest."""

    blobs: dict[str, bytes]
    parts: dict[str, str]
    manifest: bytes


@dataclass
class FaultyRegistry:
    """Where it listens, what it was asked for, and how many bytes of layers it sent, by repository."""

    address: str
    asked: list[str] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)
    ping: int | None = 200
    """The answer to a client's first word; None: none, ever."""

    def image(self, repository: str) -> str:
        """A reference."""
        return f"{self.address}/{repository}:1"


def digest_of(data: bytes) -> str:
    """The digest by which data is known."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@lru_cache(256)
def layer_of(name: str) -> tuple[bytes, str]:
    """A layer with one file that does not shrink, and the digest of what it unpacks to."""
    content = random.Random(name).randbytes(LAYER_BYTES)  # noqa: S311 - bytes that do not shrink
    if name.startswith("too-big"):
        content = name.encode() + bytes(TOO_BIG_BYTES)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo(name.replace("/", "-"))
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    plain = packed.getvalue()
    return gzip.compress(plain, 1, mtime=0), digest_of(plain)


@lru_cache(256)
def image_of(name: str) -> Image:
    """The image of a repository; the same name gives the same image."""
    (base, base_id), (own, own_id) = layer_of("base"), layer_of(name)
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "config": {"Labels": {"name": name}},
         "rootfs": {"type": "layers", "diff_ids": [base_id, own_id]}}
    ).encode()  # fmt: skip
    parts = {"config": digest_of(config), "base": digest_of(base), "layer": digest_of(own)}
    media = "application/vnd.docker"
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": f"{media}.container.image.v1+json", "size": len(config), "digest": parts["config"]},
        "layers": [
            {"mediaType": f"{media}.image.rootfs.diff.tar.gzip", "size": len(data), "digest": digest_of(data)}
            for data in (base, own)
        ],
    }
    blobs = dict(zip(parts.values(), (config, base, own), strict=True))
    return Image(blobs, parts, json.dumps(manifest).encode())


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    registry: FaultyRegistry

    def log_message(self, *_: Any) -> None:
        """What was asked stands in `asked`."""

    def do_HEAD(self) -> None:
        """As GET, without a body."""
        self.do_GET()

    def do_GET(self) -> None:
        """A ping, a manifest or a blob, or what the repository's name asks for instead."""
        self.registry.asked.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0].removeprefix("/v2/").rstrip("/")
        if not path:
            self._ping()
            return
        repository, _, rest = path.partition("/manifests/")
        if rest:
            self._answer(repository, "manifests", rest)
            return
        repository, _, rest = path.partition("/blobs/")
        image = image_of(repository)
        part = next((part for part, digest in image.parts.items() if digest == rest), "")
        self._answer(repository, part, rest)

    def _ping(self) -> None:
        if self.registry.ping is None:
            self.registry.over.wait(60)
            self.close_connection = True
        elif self.registry.ping == 200:
            self._send(200, b"{}", "application/json")
        else:
            self._refuse(self.registry.ping, "TOOMANYREQUESTS")

    def _answer(self, repository: str, part: str, rest: str) -> None:
        kind = repository.partition("/")[0]
        where, status, code = REFUSALS.get(kind, ("", 0, None))
        if where == part:
            self._refuse(status, code)
            return
        image = image_of(repository)
        if part == "manifests":
            self._manifest(kind, image, rest)
        elif part:
            self._blob(kind, repository, part, image.blobs[rest])
        else:
            self._refuse(404, "BLOB_UNKNOWN")

    def _manifest(self, kind: str, image: Image, reference: str) -> None:
        body, media = image.manifest, MANIFEST
        if kind == "no-platform" and reference != digest_of(body):
            entry = {"mediaType": MANIFEST, "size": len(body), "digest": digest_of(body)}
            alien = {"architecture": "s390x", "os": "linux"}
            listed = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**entry, "platform": alien}]}
            body, media = json.dumps(listed).encode(), INDEX
        limits = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "76;w=21600"} if kind == "rationed" else {}
        sent = body.replace(b"layers", b"slayer") if kind == "corrupt-manifest" else body
        self._send(200, sent, media, {"Docker-Content-Digest": digest_of(body), **limits})

    def _blob(self, kind: str, repository: str, part: str, data: bytes) -> None:
        if kind == f"corrupt-{part}":
            data = data[:200] + bytes([data[200] ^ 1]) + data[201:]
        since = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        headers = {"Content-Range": f"bytes {since}-{len(data) - 1}/{len(data)}"} if since else {}
        first = part == "layer" and not self.registry.broken[repository]
        cut = None
        if part == "layer" and (kind == "stuck" or (kind == "truncated" and first)):
            self.registry.broken[repository] += 1
            cut = len(data) // 2
        count = repository if part in ("base", "layer") and self.command == "GET" else None
        self._send(206 if since else 200, data[since:], "application/octet-stream", headers, cut, count)
        if kind == "stuck" and cut:
            self.registry.over.wait(60)

    def _refuse(self, status: int, code: str | None) -> None:
        body = b"<html>no</html>"
        if code is not None:
            body = json.dumps({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}).encode()
        media = "text/html" if code is None else "application/json"
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 429 else {}
        self._send(status, body, media, headers)

    def _send(
        self, status: int, body: bytes, media: str, headers: dict[str, str] | None = None, cut: int | None = None,
        count: str | None = None,
    ) -> None:  # fmt: skip
        self.send_response(status)
        for name, value in {"Content-Type": media, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[:cut])
        self.wfile.flush()
        if cut is not None:
            self.close_connection = True
        if count is not None:
            self.registry.sent[count] += len(body[:cut])


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Clients that go away, and those that speak TLS to a plain server, are part of the game."""


@contextmanager
def faulty_registry(
    host: str = "127.0.0.1", *, ping: int | None = 200, tls: ssl.SSLContext | None = None
) -> Iterator[FaultyRegistry]:
    """Serves until the context ends; over TLS where a context is given."""
    registry = FaultyRegistry("", ping=ping)
    server = _Server((host, 0), type("Handler", (_Handler,), {"registry": registry}))
    registry.address = f"{host}:{server.server_address[1]}"
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield registry
    registry.over.set()
    server.shutdown()
    thread.join(5)
    server.server_close()
