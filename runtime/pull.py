"""A pull as the engine tells of it: layer timings out of its lines, and the class of a failure.

The lines carry no time: each is stamped on receipt. Any phase may be missing, and none is required; what was not
seen stays None. Totals are compressed bytes; after a broken transfer `total` shrinks to what remains, so the first
one stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from runtime.identity import Reference
from runtime.model import LayerTiming, PullOutcome

MAX_LAYERS = 512
MAX_MESSAGE_CHARS = 500

_LAYER_ID = re.compile(r"[0-9a-f]{12}")
_RETRY = re.compile(r"Retrying in (\d+) second")
_USERINFO = re.compile(r"://[^/\s@]+@")

# The first row that matches names the outcome; matched on the message without the image's own name.
_FAILURES: tuple[tuple[PullOutcome, str], ...] = (
    ("rate_limited", r"toomanyrequests|too many requests|HTTP 429|status: 429|pull rate limit"),
    ("bad_reference", r"invalid reference format|invalid repository name|repository name must be|invalid tag"),
    ("disk_full", r"no space left on device|disk quota exceeded"),
    ("corrupt", r"verification failed|invalid tar header|unexpected commit digest|invalid checksum|gzip: invalid"),
    ("unauthorized", r"no basic auth credentials|unauthorized|authentication required|access denied|denied:"
                     r"|incorrect username or password|insufficient_scope|40[13] (unauthorized|forbidden)"),
    ("unreachable", r"connection refused|no such host|timeout|timed out|deadline exceeded|network is unreachable"
                    r"|no route to host|connection reset|\bEOF\b|broken pipe|server misbehaving|name resolution"
                    r"|x509|tls: |HTTP response to HTTPS client|proxyconnect|failed after attempts"
                    r"|HTTP status: 5\d\d|HTTP 5\d\d|service unavailable|bad gateway"),
    ("not_found", r"manifest unknown|name unknown|blob unknown|not found|does not exist|no matching manifest"
                  r"|unknown blob"),
    ("cancelled", r"context canceled|operation was canceled"),
)  # fmt: skip

_BY_STATUS: Mapping[int, PullOutcome] = {
    400: "bad_reference", 401: "unauthorized", 403: "unauthorized", 404: "not_found",
}  # fmt: skip


class Layer(NamedTuple):
    """What was seen of one layer; times in milliseconds, None where not seen."""

    listed_ms: int | None = None
    download_ms: int | None = None
    downloaded_ms: int | None = None
    extract_ms: int | None = None
    done_ms: int | None = None
    first_total_bytes: int | None = None
    most_bytes: int = 0
    cached: bool = False
    retry_seconds: int | None = None

    @property
    def fetched_bytes(self) -> int:
        """Compressed bytes that came over the network: the whole once it is down, else what was seen of it."""
        if self.cached:
            return 0
        if self.downloaded_ms is not None or self.done_ms is not None:
            return self.most_bytes if self.first_total_bytes is None else self.first_total_bytes
        return self.most_bytes


@dataclass(frozen=True)
class PullState:
    """A pull under way: its layers in the order they were listed, and how it ended."""

    layers: Mapping[str, Layer] = field(default_factory=dict)
    digest: str | None = None
    ended: PullOutcome | None = None
    error: str | None = None
    retries: int = 0


def step(state: PullState, line: Mapping[str, Any], at_ms: int) -> PullState:
    """The state after one line of the stream; an unknown line changes nothing."""
    if "error" in line or "errorDetail" in line:
        detail = line.get("errorDetail") or {}
        return replace(state, error=str(detail.get("message") or line.get("error") or "no reason given"))
    status, layer_id = str(line.get("status") or ""), str(line.get("id") or "")
    if _LAYER_ID.fullmatch(layer_id):
        return _step_layer(state, layer_id, status, line.get("progressDetail") or {}, at_ms)
    if status.startswith("Digest: "):
        return replace(state, digest=status.removeprefix("Digest: ")[:200])
    if "Downloaded newer image" in status:
        return replace(state, ended="ok")
    if "Image is up to date" in status:
        fetched = any(not layer.cached for layer in state.layers.values())
        return replace(state, ended="ok" if fetched else "cached")
    return state


def _step_layer(state: PullState, layer_id: str, status: str, progress: Mapping[str, Any], at_ms: int) -> PullState:
    known = state.layers.get(layer_id)
    if status.startswith("Pulling from") or (known is None and len(state.layers) >= MAX_LAYERS):
        return state
    layer = _measured(known or Layer(), status, progress)
    retry = _RETRY.match(status)
    if retry is not None:
        seconds = int(retry[1])
        fresh = layer.retry_seconds is None or seconds > layer.retry_seconds
        layer = layer._replace(retry_seconds=seconds)
        state = replace(state, retries=state.retries + fresh)
    else:
        layer = _moved(layer._replace(retry_seconds=None), status, at_ms)
    return replace(state, layers={**state.layers, layer_id: layer})


def _measured(layer: Layer, status: str, progress: Mapping[str, Any]) -> Layer:
    total, current = progress.get("total"), progress.get("current")
    if layer.first_total_bytes is None and isinstance(total, int) and total > 0:
        layer = layer._replace(first_total_bytes=total)
    if status == "Downloading" and isinstance(current, int):
        layer = layer._replace(most_bytes=max(layer.most_bytes, current))
    return layer


def _moved(layer: Layer, status: str, at_ms: int) -> Layer:
    match status:
        case "Pulling fs layer" | "Waiting" if layer.listed_ms is None:
            return layer._replace(listed_ms=at_ms)
        case "Downloading" if layer.download_ms is None:
            return layer._replace(download_ms=at_ms)
        case "Verifying Checksum" if layer.download_ms is None:
            return layer._replace(download_ms=at_ms)
        case "Download complete" if layer.downloaded_ms is None:
            return layer._replace(downloaded_ms=at_ms)
        case "Extracting" if layer.extract_ms is None:
            return layer._replace(extract_ms=at_ms)
        case "Pull complete":
            return layer._replace(done_ms=at_ms)
        case "Already exists":
            return layer._replace(cached=True)
    return layer


def timings(state: PullState) -> tuple[LayerTiming, ...]:
    """The layers' timings, in the order in which the engine listed them."""
    return tuple(_timing(layer_id, layer) for layer_id, layer in state.layers.items())


def _timing(layer_id: str, layer: Layer) -> LayerTiming:
    return LayerTiming(
        id=layer_id,
        wait_seconds=_between(layer.listed_ms, layer.download_ms),
        download_seconds=_between(layer.download_ms, layer.downloaded_ms),
        queue_seconds=_between(layer.downloaded_ms, layer.extract_ms),
        extract_seconds=_between(layer.extract_ms, layer.done_ms),
        bytes=layer.fetched_bytes,
        cached=layer.cached,
    )


def _between(since_ms: int | None, until_ms: int | None) -> float | None:
    if since_ms is None or until_ms is None or until_ms < since_ms:
        return None
    return (until_ms - since_ms) / 1000


def outcome_of(state: PullState, reference: Reference) -> tuple[PullOutcome, str | None]:
    """How the pull ended, and the failure's message; a stream that ends without a result is an error."""
    if state.error is not None:
        return classify(state.error, reference), tidy(state.error)
    if state.ended is None:
        return "error", "the engine's stream ended without a result"
    return state.ended, None


def classify(message: str, reference: Reference, status: int | None = None) -> PullOutcome:
    """The class of a failure's message, read without the image's name: names are the image's to choose."""
    if status == 429:
        return "rate_limited"
    text = _without_names(message, reference)
    found = next((outcome for outcome, pattern in _FAILURES if re.search(pattern, text, re.IGNORECASE)), None)
    return found or _BY_STATUS.get(status or 0, "error")


def _without_names(message: str, reference: Reference) -> str:
    names = (reference.repository, reference.repository.removeprefix("library/"), f"{reference.registry}/")
    return " ".join(word for word in message.split() if not _names_image(word, names, reference.tag))


def _names_image(word: str, names: tuple[str, ...], tag: str) -> bool:
    bare = word.strip("\"',;()").rstrip(":")
    if "/v2/" in bare or names[2] in bare:
        return True
    return any(bare in (name, f"{name}:{tag}", f"{name}@{tag}") for name in names[:2])


def tidy(message: str) -> str:
    """A message fit for a log line: one line, bounded, without a URL's user and password."""
    line = _USERINFO.sub("://", " ".join(message.split()))
    return line if len(line) <= MAX_MESSAGE_CHARS else line[: MAX_MESSAGE_CHARS - 1] + "…"
