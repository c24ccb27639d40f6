"""A pull as the engine tells of it: where its time went, what it fetched, and how it ended.

The lines carry no time: each is stamped on receipt. Any status may be missing, and none is required; what was not
seen stays absent. Totals are compressed bytes; a transfer that goes on after it broke tells what remains.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from runtime.identity import Reference
from runtime.model import LayerTiming, PullOutcome, PullPhase
from runtime.pull_failures import classify, tidy

MAX_LAYERS = 512

Stage = Literal["listed", "downloading", "verifying", "downloaded", "extracting", "done", "cached", "retrying"]

_LAYER_ID = re.compile(r"[0-9a-f]{12}")
_RETRY = re.compile(r"Retrying in (\d+) second")
_STAGES: Mapping[str, Stage] = {
    "Pulling fs layer": "listed", "Waiting": "listed", "Downloading": "downloading",
    "Verifying Checksum": "verifying", "Download complete": "downloaded", "Extracting": "extracting",
    "Pull complete": "done", "Already exists": "cached",
}  # fmt: skip
_RANKS: Mapping[Stage, PullPhase] = {
    "downloading": "download", "verifying": "verify", "extracting": "extract", "listed": "wait", "retrying": "wait",
    "downloaded": "extract", "done": "extract",
}  # fmt: skip
"""What a pull is busy with while a layer is at a stage, the most telling first."""


class Layer(NamedTuple):
    """What was seen of one layer; times in milliseconds, None where not seen."""

    stage: Stage = "listed"
    listed_ms: int | None = None
    download_ms: int | None = None
    verify_ms: int | None = None
    downloaded_ms: int | None = None
    extract_ms: int | None = None
    done_ms: int | None = None
    first_total_bytes: int | None = None
    total_bytes: int | None = None
    """Of the attempt under way."""
    most_bytes: int = 0
    """Of the attempt under way."""
    past_bytes: int = 0
    """Of attempts that broke."""
    retry_seconds: int | None = None

    @property
    def cached(self) -> bool:
        """True where the engine had it already."""
        return self.stage == "cached"

    @property
    def fetched_bytes(self) -> int:
        """Compressed bytes that came over the network: of an attempt that is over all, else what was seen of it."""
        if self.cached:
            return 0
        complete = self.downloaded_ms is not None or self.done_ms is not None or self.verify_ms is not None
        attempt = self.total_bytes if complete and self.total_bytes is not None else self.most_bytes
        return self.past_bytes + attempt


@dataclass(frozen=True)
class PullState:
    """A pull under way: its layers in the order they were listed, and how it ended."""

    at_ms: int | None = None
    """Up to when `phases_ms` tells; None before the first line of a pull whose begin is unknown."""
    phases_ms: Mapping[PullPhase, int] = field(default_factory=dict)
    layers: Mapping[str, Layer] = field(default_factory=dict)
    digest: str | None = None
    ended: PullOutcome | None = None
    error: str | None = None
    retries: int = 0


def busy_with(layers: Iterable[Layer]) -> PullPhase:
    """What a pull is busy with: each of its moments belongs to one phase, so that phases add up to the whole.

    While any layer is downloaded it downloads, else verifies, else extracts; else it waits for a free transfer, for a
    layer's first byte or for the next try. Before there are layers, and where none is missing, it resolves.
    """
    stages = {layer.stage for layer in layers}
    return next((phase for stage, phase in _RANKS.items() if stage in stages), "resolve")


def passed(state: PullState, at_ms: int) -> PullState:
    """The state with the time up to `at_ms` given to what the pull was busy with; a step back counts nothing."""
    since = at_ms if state.at_ms is None else state.at_ms
    phase = busy_with(state.layers.values())
    spent = {**state.phases_ms, phase: state.phases_ms.get(phase, 0) + max(0, at_ms - since)}
    return replace(state, at_ms=max(at_ms, since), phases_ms=spent)


def step(state: PullState, line: Mapping[str, Any], at_ms: int) -> PullState:
    """The state after one line of the stream; an unknown line changes nothing but the time."""
    state = passed(state, at_ms)
    if "error" in line or "errorDetail" in line:
        detail = line.get("errorDetail")
        message = detail.get("message") if isinstance(detail, Mapping) else None
        return replace(state, error=str(message or line.get("error") or "no reason given"))
    status, layer_id = str(line.get("status") or ""), str(line.get("id") or "")
    if _LAYER_ID.fullmatch(layer_id):
        progress = line.get("progressDetail")
        return _step_layer(state, layer_id, status, progress if isinstance(progress, Mapping) else {}, at_ms)
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
    retry = _RETRY.match(status)
    if retry is None and status not in _STAGES:
        return state
    if known is None and len(state.layers) >= MAX_LAYERS:
        return state
    layer = known or Layer()
    if retry is not None:
        seconds = int(retry[1])
        fresh = layer.retry_seconds is None or seconds > layer.retry_seconds
        layer = _broken(layer) if fresh else layer
        layer = layer._replace(stage="retrying", retry_seconds=seconds)
        state = replace(state, retries=state.retries + fresh)
    else:
        layer = _moved(_measured(layer._replace(retry_seconds=None), status, progress), _STAGES[status], at_ms)
    return replace(state, layers={**state.layers, layer_id: layer})


def _broken(layer: Layer) -> Layer:
    """An attempt is over: what came of it came, and the next one tells a total of its own."""
    past = layer.past_bytes + layer.most_bytes
    return layer._replace(past_bytes=past, most_bytes=0, total_bytes=None)


def _measured(layer: Layer, status: str, progress: Mapping[str, Any]) -> Layer:
    if status != "Downloading":
        return layer
    total, current = progress.get("total"), progress.get("current")
    if layer.total_bytes is None and isinstance(total, int) and total > 0:
        first = layer.first_total_bytes or total
        # The lines lag behind the bytes: where a transfer goes on, what remains tells exactly what had come.
        past = max(layer.past_bytes, first - total)
        layer = layer._replace(total_bytes=total, first_total_bytes=first, past_bytes=past)
    if isinstance(current, int):
        layer = layer._replace(most_bytes=max(layer.most_bytes, current))
    return layer


def _moved(layer: Layer, stage: Stage, at_ms: int) -> Layer:
    layer = layer._replace(stage=stage)
    match stage:
        case "listed" if layer.listed_ms is None:
            return layer._replace(listed_ms=at_ms)
        case "downloading" if layer.download_ms is None:
            return layer._replace(download_ms=at_ms)
        case "verifying" if layer.verify_ms is None:
            began = at_ms if layer.download_ms is None else layer.download_ms
            return layer._replace(download_ms=began, verify_ms=at_ms)
        case "downloaded" if layer.downloaded_ms is None:
            return layer._replace(downloaded_ms=at_ms)
        case "extracting" if layer.extract_ms is None:
            return layer._replace(extract_ms=at_ms)
        case "done":
            return layer._replace(done_ms=at_ms)
    return layer


def timings(state: PullState) -> tuple[LayerTiming, ...]:
    """The layers' timings, in the order in which the engine listed them."""
    return tuple(_timing(layer_id, layer) for layer_id, layer in state.layers.items())


def phases(state: PullState) -> dict[PullPhase, float]:
    """Seconds that the pull spent in each phase that it was in; together they are its whole time."""
    return {phase: spent_ms / 1000 for phase, spent_ms in state.phases_ms.items()}


def _timing(layer_id: str, layer: Layer) -> LayerTiming:
    fetched_ms = layer.downloaded_ms if layer.verify_ms is None else layer.verify_ms
    return LayerTiming(
        id=layer_id,
        wait_seconds=_between(layer.listed_ms, layer.download_ms),
        download_seconds=_between(layer.download_ms, fetched_ms),
        verify_seconds=_between(layer.verify_ms, layer.downloaded_ms),
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
