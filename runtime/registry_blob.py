"""A small blob of an image at its registry: which one, and how long it takes to fetch.

The image's configuration is the blob: a few KB that every image has. Its digest stands in the manifest, and fetching a
manifest counts as a pull at registries that ration them, so it is fetched only where a tag has come to mean another.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import ssl
import urllib.parse
from collections.abc import Mapping
from typing import Any

from runtime.model import KnownBlob
from runtime.registry_http import Answer, Line, Refused, Target

MAX_BLOB_BYTES = 256 * 1024

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def learn(line: Line, repository: str, tag: str, digest: str, headers: Mapping[str, str]) -> KnownBlob:
    """Which blob an image has at its registry: none where its manifest names none that is small."""
    manifest = _manifest(line, repository, digest or tag, headers)
    chosen = _chosen(manifest.get("manifests"))
    if chosen is not None:
        manifest = _manifest(line, repository, chosen, headers)
    config = manifest.get("config")
    found, size = (config.get("digest"), config.get("size")) if isinstance(config, dict) else (None, None)
    small = isinstance(size, int) and 0 < size <= MAX_BLOB_BYTES
    return KnownBlob(digest, found if small and _is_digest(found) else None)


def fetch(line: Line, repository: str, blob: str, headers: Mapping[str, str]) -> None:
    """Fetches a blob, through one redirect where the registry keeps it elsewhere.

    Raises Refused where what came is not the blob.
    """
    path = f"/v2/{repository}/blobs/{blob}"
    answer = line.ask("blob", "GET", path, headers)
    if answer.status in (301, 302, 303, 307, 308):
        answer = _elsewhere(answer, path, line)
    if answer.status != 200:
        raise Refused(f"blob: {answer.said}", answer)
    if hashlib.sha256(answer.body).hexdigest() != blob.partition(":")[2]:
        raise Refused("blob: what came has another digest")


def _elsewhere(answer: Answer, path: str, line: Line) -> Answer:
    """What is at a redirect's end. The registry's own password or token is not shown there."""
    origin = line.target
    base = f"{'http' if origin.tls is None else 'https'}://{origin.host}:{origin.port}{path}"
    place = urllib.parse.urlsplit(urllib.parse.urljoin(base, answer.headers.get("location", "")))
    if not place.hostname or place.scheme not in ("https", "http") or (place.scheme == "http" and origin.tls):
        raise Refused("blob: the registry redirects to where nothing is fetched from")
    tls = (origin.tls or ssl.create_default_context()) if place.scheme == "https" else None
    target = Target(place.hostname, place.port or (443 if tls else 80), tls)
    other = Line(target, line.watch)
    try:
        return other.ask("blob", "GET", f"{place.path or '/'}?{place.query}", {})
    finally:
        other.close()


def _manifest(line: Line, repository: str, reference: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
    answer = line.ask("blob", "GET", f"/v2/{repository}/manifests/{reference}", headers)
    if answer.status != 200:
        raise Refused(f"blob: manifest: {answer.said}", answer)
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise Refused("blob: the manifest is no JSON") from error
    if not isinstance(found, dict):
        raise Refused("blob: the manifest is no JSON object")
    return found


def _chosen(manifests: Any) -> str | None:
    """The digest of this machine's manifest in an index, else of its first; None where it is no index."""
    entries = [it for it in manifests if isinstance(it, dict)] if isinstance(manifests, list) else []
    own = _MACHINES.get(platform.machine(), platform.machine())
    entries.sort(
        key=lambda it: not (isinstance(it.get("platform"), dict) and it["platform"].get("architecture") == own)
    )
    digests = [it.get("digest") for it in entries]
    return next((digest for digest in digests if _is_digest(digest)), None)


def _is_digest(text: Any) -> bool:
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None
