"""What the docker library raises, as our errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import requests.exceptions
import urllib3.exceptions
from docker.errors import APIError, DockerException

from runtime.errors import EngineRefused, EngineUnavailable

MAX_MESSAGE_CHARS = 500

T = TypeVar("T")


@contextmanager
def as_ours(url: str, doing: str) -> Iterator[None]:
    """Raises EngineRefused where the engine answered with an error, EngineUnavailable where it did not answer."""
    try:
        yield
    except APIError as error:
        raise EngineRefused(f"{doing}: {said(error)}", _status(error)) from error
    except (DockerException, requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise EngineUnavailable(f"{doing}: the engine at {url} does not answer: {short(str(error))}") from error


def said(error: APIError) -> str:
    """The engine's own words, on one line."""
    explanation = error.explanation
    text = explanation.decode("utf-8", "replace") if isinstance(explanation, bytes) else str(explanation or error)
    return short(text)


def short(text: str) -> str:
    """One line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_MESSAGE_CHARS else line[: MAX_MESSAGE_CHARS - 1] + "…"


def _status(error: APIError) -> int | None:
    return error.response.status_code if error.response is not None else None


@contextmanager
def gone_is_fine(also: tuple[int, ...] = (409,)) -> Iterator[None]:
    """Lets pass that something is gone already, or is being removed by someone else."""
    try:
        yield
    except APIError as error:
        if _status(error) not in (404, *also):
            raise


def none_if_missing(ask: Callable[[], T]) -> T | None:
    """What was asked for; None where the engine answers 404."""
    try:
        return ask()
    except APIError as error:
        if _status(error) == 404:
            return None
        raise
