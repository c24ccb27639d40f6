"""Pulls and builds on an engine: the lines of a stream, stamped on receipt, until it ends."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import requests.exceptions
import urllib3.exceptions
from docker.errors import APIError, DockerException

from runtime.credentials import Credentials
from runtime.engine_errors import said
from runtime.identity import Reference, registry_of
from runtime.model import Build, BuildSpec, Pull, PullOutcome
from runtime.pull import PullState, outcome_of, passed, phases, step, timings
from runtime.pull_failures import classify, tidy

Clock = Callable[[], int]
"""The time now in milliseconds UTC."""
Monotonic = Callable[[], float]
"""Seconds of a clock that never goes back."""

_SILENT = (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError)


def pull_image(
    client: docker.APIClient,
    reference: str,
    auth: Credentials | None,
    clock: Clock,
    monotonic: Monotonic,
    stop: Callable[[], bool],
) -> Pull:
    """One pull to its end; `seconds` runs on the monotonic clock from the request on."""
    named, at_ms, began = registry_of(reference), clock(), monotonic()
    state, message = PullState(at_ms), None
    outcome: PullOutcome | None = None
    try:
        # Leaving the stream early closes the connection, and that is how the engine is told to cancel.
        with closing(_pulling(client, reference, auth)) as stream:
            for line in stream:
                state = step(state, line, at_ms + round((monotonic() - began) * 1000))
                if stop():
                    outcome = "cancelled"
                    break
    except APIError as error:
        outcome, message = _refused(error, named)
    except _SILENT:
        outcome, message = "timeout", "the engine told of no progress for too long"
    except DockerException as error:
        outcome, message = "bad_reference", tidy(str(error))
    if outcome is None:
        outcome, message = outcome_of(state, named)
    seconds = monotonic() - began
    state = passed(state, at_ms + round(seconds * 1000))
    return _finished(reference, named, outcome, message, state, at_ms, seconds)


def _pulling(
    client: docker.APIClient, reference: str, auth: Credentials | None
) -> Generator[Mapping[str, Any], None, None]:
    config = {} if auth is None else _auth_config(auth)
    stream = client.pull(reference, stream=True, decode=True, auth_config=config)
    yield from (line for line in stream if isinstance(line, Mapping))


def _auth_config(auth: Credentials) -> dict[str, str]:
    if auth.identity_token:
        return {"identitytoken": auth.identity_token}
    return {"username": auth.username, "password": auth.password}


def _refused(error: APIError, named: Reference) -> tuple[PullOutcome, str]:
    message = said(error)
    status = error.response.status_code if error.response is not None else None
    return classify(message, named, status), tidy(message)


def _finished(
    reference: str,
    named: Reference,
    outcome: PullOutcome,
    message: str | None,
    state: PullState,
    at_ms: int,
    seconds: float,
) -> Pull:
    layers = timings(state)
    fetched = sum(layer.bytes for layer in layers)
    return Pull(
        reference, named.registry, named.repository, outcome, at_ms, seconds, fetched, layers, state.digest,
        message, state.retries, phases(state),
    )  # fmt: skip


def build_image(client: docker.APIClient, spec: BuildSpec, tag: str, clock: Clock, monotonic: Monotonic) -> Build:
    """One build to its end; the failure's message is the engine's last word, after the step that failed."""
    at_ms, began = clock(), monotonic()
    try:
        message = _build_error(client, spec, tag)
    except APIError as error:
        message = said(error)
    except _SILENT:
        message = "the engine told of no progress for too long"
    except (DockerException, TypeError, OSError) as error:
        message = f"context {spec.context}: {error}"
    return Build(tag, at_ms, monotonic() - began, message is None, None if message is None else tidy(message))


def _build_error(client: docker.APIClient, spec: BuildSpec, tag: str) -> str | None:
    if not Path(spec.context).is_dir():
        return f"context {spec.context} is no folder"
    stream = client.build(
        path=spec.context, tag=tag, dockerfile=spec.dockerfile, buildargs=dict(spec.args), target=spec.target,
        rm=True, forcerm=True, decode=True,
    )  # fmt: skip
    at_step = ""
    for line in stream:
        if "error" in line or "errorDetail" in line:
            return f"{at_step}{(line.get('errorDetail') or {}).get('message') or line.get('error')}"
        text = str(line.get("stream") or "")
        if text.startswith("Step "):
            at_step = f"{text.strip()}: "
    return None
