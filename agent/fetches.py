"""Pulls and builds that we ran, as events."""

from __future__ import annotations

from agent.model import Event, Resource
from runtime.identity import bounded
from runtime.model import Build, Pull, ServiceName

MAX_MESSAGE_CHARS = 500


def pull_event(service: ServiceName, pull: Pull) -> Event:
    """The event `image.pull` of a pull that we issued."""
    reference = bounded(pull.reference)
    facts: dict[str, str | int | float | bool] = {
        "registry": pull.registry,
        "repository": pull.repository,
        "reference": reference,
        "outcome": pull.outcome,
        "seconds": pull.seconds,
        "bytes": pull.bytes,
        "message": (pull.message or "")[:MAX_MESSAGE_CHARS],
        "retries": pull.retries,
        "layers": len(pull.layers),
        "layers_cached": pull.layers_cached,
        **{f"{phase}_seconds": seconds for phase, seconds in pull.phases.items()},
        "quality": "exact",
    }
    if pull.bytes_per_second is not None:
        facts["bytes_per_second"] = round(pull.bytes_per_second)
    at_ms = pull.at_ms + round(pull.seconds * 1000)
    said = f": {pull.message[:MAX_MESSAGE_CHARS]}" if pull.message else ""
    return Event("image.pull", at_ms, Resource(service), f"pull of {reference} ended: {pull.outcome}{said}", facts)


def build_event(service: ServiceName, build: Build) -> Event:
    """The event `image.build`."""
    facts: dict[str, str | int | float | bool] = {
        "reference": bounded(build.reference),
        "seconds": build.seconds,
        "ok": build.ok,
        "message": (build.message or "")[:MAX_MESSAGE_CHARS],
    }
    at_ms = build.at_ms + round(build.seconds * 1000)
    result = "worked" if build.ok else f"failed: {(build.message or '')[:MAX_MESSAGE_CHARS]}"
    return Event("image.build", at_ms, Resource(service), f"build of {bounded(build.reference)} {result}", facts)
