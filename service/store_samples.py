"""Samples of the store as the query engine asks for them: `service.samples.Samples` over the tables of days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from service.matching import test_of
from service.samples import NAME, Matcher, Selected, TooManySamples
from service.store import Store
from service.store_db import Cursor
from service.store_layout import read_layout
from service.store_state import NONE


class StoreSamples:
    """Reads the tables; correct, not fast."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def select(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int, limit: int) -> Selected:
        """The samples in `(since, until]` of all series that match; more than `limit` raise TooManySamples."""
        named = self._named(matchers, since_ms, until_ms)
        order = sorted(named, key=lambda number: sorted(named[number].items()))

        def look(cursor: Cursor) -> pa.Table:
            rows = read_layout(cursor).source("samples", since_ms, until_ms)
            asked = pa.table({"series_id": np.array(order, np.uint32), "place": np.arange(len(order))})
            cursor.register("asked_samples", asked)
            return cursor.execute(
                f"SELECT place, ts_ms, value FROM ({rows}) JOIN asked_samples USING (series_id) "  # noqa: S608
                f"ORDER BY place, ts_ms LIMIT {int(limit) + 1}"
            ).fetchnumpy()

        with self._store.database.read(look) as (_, found):
            place, ts = np.asarray(found["place"], np.int64), np.asarray(found["ts_ms"], np.int64)
            values = np.asarray(found["value"], np.float64)
        if len(ts) > limit:
            raise TooManySamples(f"more than {limit} samples match: ask for a shorter range or fewer series")
        there, counts = np.unique(place, return_counts=True)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Selected([named[order[at]] for at in there.tolist()], offsets, ts, values)

    def series_of(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> list[Mapping[str, str]]:
        """The labels of the series that match and may have a sample in `(since, until]`, in order."""
        found = self._named(matchers, since_ms, until_ms).values()
        return sorted(found, key=lambda labels: sorted(labels.items()))

    def _named(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> dict[int, Mapping[str, str]]:
        columns, holds = self._store.state.columns, test_of(matchers)
        found: dict[int, Mapping[str, str]] = {}
        exact = next((it.value for it in matchers if it.name == NAME and it.op == "="), None)
        for metric in [exact] if exact is not None else self._store.directory.metrics():
            for number, labels in self._store.directory.labels_of(metric).items():
                first, last = int(columns.first_ms[number]), int(columns.last_ms[number])
                whole = {NAME: metric, **labels}
                if first != NONE and first <= until_ms and last > since_ms and holds(whole):
                    found[number] = whole
        return found
