"""Samples of a remote store as the query engine asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from service.remote_api import RemoteApi, matchers_text
from service.samples import NAME, Matcher, Selected, TooManySamples


class RemoteSamples:
    """Asks for raw samples, so that a query means here what it means at home."""

    def __init__(self, api: RemoteApi) -> None:
        self._api = api

    def select(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int, limit: int) -> Selected:
        """The samples in `(since, until]` of all series that match; more than `limit` raise TooManySamples."""
        lines = self._api.raw_of(matchers_text(matchers), since_ms, until_ms)
        named = [({NAME: it.series.metric, **dict(it.series.labels)}, it) for it in lines]
        named.sort(key=lambda it: sorted(it[0].items()))
        counts = [len(it.ts_ms) for _, it in named]
        if sum(counts) > limit:
            raise TooManySamples(f"more than {limit} samples match: ask for a shorter range or fewer series")
        return Selected(
            [labels for labels, _ in named],
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.concatenate([np.zeros(0, np.int64), *(it.ts_ms for _, it in named)]),
            np.concatenate([np.zeros(0), *(it.value for _, it in named)]),
        )

    def series_of(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> list[Mapping[str, str]]:
        """The labels of the series that match and may have a sample in `(since, until]`, in order."""
        found = self._api.series(matchers_text(matchers), since_ms, until_ms)
        return sorted(found, key=lambda labels: sorted(labels.items()))

    def names_of(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> Sequence[str]:
        """The label names of these series, in order."""
        return sorted(self._api.labels(matchers_text(matchers), since_ms, until_ms))

    def values_of(self, name: str, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> Sequence[str]:
        """The values that a label has in these series, in order."""
        return sorted(self._api.label_values(name, matchers_text(matchers), since_ms, until_ms))
