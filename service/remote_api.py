"""A Prometheus-compatible HTTP API, asked: raw samples, values on a grid, label sets; bounded in time and bytes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import httpx
import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from service.errors import StoreUnavailable
from service.model import Series
from slo.model import Selector

LATEST_MS: Final = 4_102_444_800_000
"""An end from here on (the year 2100) is none."""
_ESCAPED: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)


class Condition(Protocol):
    """A matcher, of a selector of ours or of a query."""

    @property
    def name(self) -> str:
        """The label's name."""
        ...

    @property
    def op(self) -> str:
        """`=`, `!=`, `=~` or `!~`."""
        ...

    @property
    def value(self) -> str:
        """What it is held against."""
        ...


class RemoteUnavailable(StoreUnavailable):
    """The remote store does not answer, or not as one; try again later."""


class Line(NamedTuple):
    """The samples of one series, ascending in time."""

    series: Series
    ts_ms: NDArray[np.int64]
    value: NDArray[np.float64]


class RemoteApi:
    """One API under a base address; the client has the credentials and the times. Safe to use from any thread."""

    def __init__(self, client: httpx.Client, base_url: str, most_bytes: int = 256 << 20) -> None:
        self._client, self._base, self._most = client, base_url.rstrip("/"), most_bytes

    def raw(self, selector: Selector, since_ms: int, until_ms: int) -> list[Line]:
        """The stored samples in `(since, until]` of each series that matches; none without samples.

        A selector of a range asked for at an instant gives samples as they are stored. Engines differ in whether its
        begin is part of it, so that what lies without is left out here.
        """
        return self.raw_of(text(selector), since_ms, until_ms)

    def raw_of(self, selector: str, since_ms: int, until_ms: int) -> list[Line]:
        """The same of a selector in PromQL."""
        query = f"{selector}[{max(until_ms - since_ms, 1)}ms]"
        found = self._query("query", {"query": query, "time": _seconds(until_ms)}, "matrix")
        return [line for it in found if len((line := _line(it, since_ms, until_ms)).ts_ms)]

    def instant(self, query: str, at_ms: int) -> list[Line]:
        """The value of each series of an expression."""
        found = self._query("query", {"query": query, "time": _seconds(at_ms)}, "vector")
        return [_line({"metric": it["metric"], "values": [it["value"]]}, -1, at_ms) for it in found]

    def grid(self, query: str, first_ms: int, last_ms: int, step_ms: int) -> list[Line]:
        """The values of an expression at `first`, `first + step` … `last`."""
        asked = {"query": query, "start": _seconds(first_ms), "end": _seconds(last_ms), "step": _seconds(step_ms)}
        return [_line(it, first_ms - 1, last_ms) for it in self._query("query_range", asked, "matrix")]

    def series(self, selector: str, since_ms: int, until_ms: int) -> list[dict[str, str]]:
        """The label sets, with names, of series that match and may have a sample in the range."""
        found = self._listed("series", selector, since_ms, until_ms)
        if not all(isinstance(it, dict) for it in found):
            raise RemoteUnavailable(f"{self._base}: answered /series with no label sets")
        return [{str(name): str(value) for name, value in it.items()} for it in found]

    def labels(self, selector: str, since_ms: int, until_ms: int) -> list[str]:
        """The label names of these series."""
        return [str(it) for it in self._listed("labels", selector, since_ms, until_ms)]

    def label_values(self, name: str, selector: str, since_ms: int, until_ms: int) -> list[str]:
        """The values that a label has in these series; none where a label can't have that name."""
        if not _NAME.fullmatch(name):
            return []
        return [str(it) for it in self._listed(f"label/{name}/values", selector, since_ms, until_ms)]

    def _listed(self, path: str, selector: str, since_ms: int, until_ms: int) -> list[Any]:
        # VictoriaMetrics finds nothing where the end is far off, so that an open end is not said
        end = {"end": _seconds(until_ms)} if until_ms < LATEST_MS else {}
        found = self._ask(path, {"match[]": selector, "start": _seconds(max(since_ms, 0)), **end}, "GET").get("data")
        if not isinstance(found, list):
            raise RemoteUnavailable(f"{self._base}: answered /{path} with no list")
        return found

    def _query(self, path: str, asked: Mapping[str, str], kind: str) -> list[Any]:
        # VictoriaMetrics else hides the last 30 s, and answers from a cache of rounded times; others ignore it
        body = self._ask(path, {**asked, "nocache": "1"})
        data = body.get("data")
        if not isinstance(data, dict) or data.get("resultType") != kind or not isinstance(data.get("result"), list):
            raise RemoteUnavailable(f"{self._base}: answered /{path} with something else than a {kind}")
        return list(data["result"])

    def _ask(self, path: str, asked: Mapping[str, str], method: str = "POST") -> dict[str, Any]:
        url = f"{self._base}/api/v1/{path}"
        carried: dict[str, Any] = {"data": dict(asked)} if method == "POST" else {"params": dict(asked)}
        try:
            with self._client.stream(method, url, **carried) as response:
                content = self._content(response)
            body = from_json(content)
        except httpx.HTTPError as fault:
            raise RemoteUnavailable(f"{self._base}: can't be reached: {fault or type(fault).__name__}") from fault
        except ValueError as fault:
            raise RemoteUnavailable(
                f"{self._base}: {response.status_code} and no JSON: is it the address of a Prometheus API?"
            ) from fault
        if not isinstance(body, dict) or body.get("status") != "success":
            said = str(body.get("error", "") if isinstance(body, dict) else body)[:300]
            raise RemoteUnavailable(f"{self._base}: refused /{path} ({response.status_code}): {said}")
        return body

    def _content(self, response: httpx.Response) -> bytes:
        found = bytearray()
        for chunk in response.iter_bytes():
            found += chunk
            if len(found) > self._most:
                raise RemoteUnavailable(
                    f"{self._base}: an answer is longer than {self._most} bytes (service.remote.max_answer_bytes)"
                )
        return bytes(found)


def text(selector: Selector) -> str:
    """A selector in PromQL; a label that PromQL can't name is an error."""
    if not _METRIC.fullmatch(selector.metric):
        raise ValueError(f"{selector.metric[:80]!r} is no name of a metric")
    return selector.metric + (_braces(selector.matchers) if selector.matchers else "")


def matchers_text(matchers: Sequence[Condition]) -> str:
    """Matchers, that of the name among them, as a selector in PromQL; without any all series match."""
    return _braces(matchers) if matchers else '{__name__=~".+"}'


def _braces(matchers: Sequence[Condition]) -> str:
    parts = []
    for it in matchers:
        if not _NAME.fullmatch(it.name):
            raise ValueError(f"{it.name[:80]!r} is no name of a label")
        parts.append(f'{it.name}{it.op}"{it.value.translate(_ESCAPED)}"')
    return f"{{{','.join(parts)}}}"


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}"


def _line(found: Any, since_ms: int, until_ms: int) -> Line:
    """A series of an answer, its samples in `(since, until]`; staleness markers and the like are no samples."""
    try:
        labels = {str(name): str(value) for name, value in found["metric"].items()}
        pairs = found.get("values") or []
        ts = np.array([math.floor(at * 1000 + 0.5) for at, _ in pairs], np.int64)
        value = np.array([float(it) for _, it in pairs], np.float64)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as fault:
        raise RemoteUnavailable(f"the remote store answered with a series that is none: {fault}") from fault
    kept = (ts > since_ms) & (ts <= until_ms) & ~np.isnan(value)
    series = Series(labels.pop("__name__", ""), tuple(sorted(labels.items())))
    return Line(series, ts[kept], value[kept])
