"""How much a registry allows, as its answers' headers tell it.

Docker Hub: `RateLimit-Limit: 100;w=21600`, `RateLimit-Remaining: 76;w=21600`
(https://docs.docker.com/docker-hub/usage/pulls/); others write plain numbers, or `X-RateLimit-…`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from runtime.model import RateLimit

MOST = 10**12
LONGEST_PAUSE_SECONDS = 3600.0
PAUSE_SECONDS = 60.0
"""After a 429 that does not say how long."""

_NUMBER = re.compile(r"\s*(\d{1,12})\b", re.ASCII)
_WINDOW = re.compile(r";\s*w=(\d{1,9})\b", re.ASCII)


def rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    """The limit, what remains of it and its window out of headers in lower case; None where they tell of none."""
    for prefix in ("ratelimit-", "x-ratelimit-"):
        limit, remaining = headers.get(f"{prefix}limit", ""), headers.get(f"{prefix}remaining", "")
        window = _first(_WINDOW, limit) or _first(_WINDOW, remaining)
        found = RateLimit(_first(_NUMBER, limit), _first(_NUMBER, remaining), window)
        if found.limit is not None or found.remaining is not None:
            return found
    return None


def pause_seconds(status: int, headers: Mapping[str, str]) -> float | None:
    """How long not to ask again after an answer: `Retry-After` of a 429 or 503, bounded; None where nothing is said."""
    if status not in (429, 503):
        return None
    asked = _first(_NUMBER, headers.get("retry-after", ""))
    if asked is None:
        return PAUSE_SECONDS if status == 429 else None
    return min(float(asked), LONGEST_PAUSE_SECONDS)


def _first(pattern: re.Pattern[str], text: str) -> int | None:
    match = pattern.search(text) if pattern is _WINDOW else pattern.match(text)
    return int(match[1]) if match else None
