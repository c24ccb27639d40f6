"""The class of a pull's failure, read from what the engine says of it.

Most failures come with HTTP 500 or, once the stream has begun, with 200: only the message tells them apart. It is read
without the image's own name, which is the image's to choose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from runtime.identity import Reference
from runtime.model import PullOutcome

MAX_MESSAGE_CHARS = 500

_USERINFO = re.compile(r"://[^/\s@]+@")

# The first row that matches names the outcome. What a message quotes from below comes before what wraps it: a lookup
# that timed out is DNS, a handshake that timed out is a timeout, a full disk while a layer is unpacked is the disk.
_FAILURES: tuple[tuple[PullOutcome, str], ...] = (
    ("rate_limited", r"toomanyrequests|too many requests|HTTP 429|status: 429|pull rate limit|rate exceeded"),
    ("bad_reference", r"invalid reference format|invalid repository name|repository name must be|invalid tag"),
    ("disk_full", r"no space left on device|disk quota exceeded|insufficient (disk )?space"),
    ("no_platform", r"no matching manifest|no match for platform|does not match the specified platform"
                    r"|cannot be used on this platform|operating system is not supported"),
    ("corrupt", r"verification failed|invalid tar header|error processing tar file|unexpected commit (digest|size)"
                r"|invalid checksum|gzip: invalid|(flate|zlib|zstd|bzip2)\S* .*(corrupt|invalid)"
                r"|failed size validation|don't match image configuration|unexpected end of JSON input"
                r"|unsupported (manifest )?(schema|media ?type|format)|digest mismatch"
                r"|missing signature key|not a valid manifest|unknown manifest class|unmarshal"),
    ("dns", r"no such host|\blookup \S+( on \S+)?:|server misbehaving|name resolution"),
    ("timeout", r"timeout|timed out|deadline exceeded"),
    ("tls", r"x509|\btls: |certificate|HTTP response to HTTPS client|not look like a TLS handshake"),
    ("unreachable", r"proxyconnect|proxy authentication required"),
    ("unauthorized", r"no basic auth credentials|unauthorized|authentication required|access denied|denied:"
                     r"|incorrect username or password|insufficient_scope|failed to authorize"
                     r"|(HTTP|status:?) 40[13]\b|40[13] (unauthorized|forbidden)"),
    ("unreachable", r"connection refused|network is unreachable|no route to host|connection reset|\bEOF\b|broken pipe"
                    r"|failed after attempts|(HTTP|status:) 5\d\d|service unavailable|bad gateway"),
    ("not_found", r"manifest unknown|name unknown|blob unknown|not found|does not exist|unknown blob"
                  r"|(HTTP|status:?) 404\b"),
    ("cancelled", r"context canceled|operation was canceled"),
)  # fmt: skip
_ROWS = tuple((outcome, re.compile(pattern, re.IGNORECASE)) for outcome, pattern in _FAILURES)

_BY_STATUS: Mapping[int, PullOutcome] = {
    400: "bad_reference", 401: "unauthorized", 403: "unauthorized", 404: "not_found",
}  # fmt: skip


def classify(message: str, reference: Reference, status: int | None = None) -> PullOutcome:
    """The class of a failure's message, else of its HTTP status, else `error`; never raises."""
    if status == 429:
        return "rate_limited"
    text = _without_names(message, reference)
    found = next((outcome for outcome, pattern in _ROWS if pattern.search(text)), None)
    return found or _BY_STATUS.get(status or 0, "error")


def tidy(message: str) -> str:
    """A message fit for a log line: one line, bounded, without a URL's user and password."""
    line = _USERINFO.sub("://", " ".join(message.split()))
    return line if len(line) <= MAX_MESSAGE_CHARS else line[: MAX_MESSAGE_CHARS - 1] + "…"


def _without_names(message: str, reference: Reference) -> str:
    names = (reference.repository, reference.repository.removeprefix("library/"), f"{reference.registry}/")
    return " ".join(word for word in message.split() if not _names_image(word, names, reference.tag))


def _names_image(word: str, names: tuple[str, ...], tag: str) -> bool:
    bare = word.strip("\"',;()").rstrip(":")
    if "/v2/" in bare or names[2] in bare:
        return True
    return any(bare in (name, f"{name}:{tag}", f"{name}@{tag}") for name in names[:2])
