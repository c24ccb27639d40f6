"""Series and samples of the store as the query engine and its API ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from service.flat import NONE
from service.samples import Matcher, Selected
from service.store import Store
from service.store_series import Ids


class StoreSamples:
    """Over the store's index of labels; times are those of a series' first and last sample."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def select(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int, limit: int) -> Selected:
        """The samples in `(since, until]` of all series that match; raises SelectFault, TooManySamples."""
        return self._store.select(matchers, since_ms, until_ms, limit)

    def series_of(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> Sequence[Mapping[str, str]]:
        """The labels of the series that match and may have a sample in `(since, until]`, in order."""
        found = self._store.directory.full_labels(self._ids(matchers, since_ms, until_ms))
        return sorted(found, key=lambda labels: sorted(labels.items()))

    def names_of(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> Sequence[str]:
        """The label names of these series, in order."""
        ids = self._ids(matchers, since_ms, until_ms)
        if len(ids) == len(self._store.directory):
            return self._store.directory.label_names()
        return sorted({name for one in self._store.directory.full_labels(ids) for name in one})

    def values_of(self, name: str, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> Sequence[str]:
        """The values that a label has in these series, in order."""
        return self._store.directory.label_values(name, self._ids(matchers, since_ms, until_ms))

    def _ids(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> Ids:
        state, ids = self._store.state, self._store.directory.match(matchers)
        first = state.columns.first_ms[ids]
        last = np.maximum(state.columns.last_ms[ids], state.odd_ms[ids])
        found: Ids = ids[(last > since_ms) & ((first == NONE) | (first <= until_ms))]
        return found
