"""Samples read from runs in memory are the same by either way of copying them."""

from __future__ import annotations

from pathlib import Path

import pytest

from service import store_view
from service.samples import NAME, Matcher
from service.store import Store
from tests.service.stores import T0, Clock, Point, batch, series


@pytest.mark.parametrize("long", [0, 10**9])
def test_series_are_copied_at_once_or_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long: int) -> None:
    monkeypatch.setattr(store_view, "_LONG", long)
    store = Store(tmp_path / "x.duckdb", Clock(T0 + 60_000))
    names = [series("heat", node=f"n{at}") for at in range(5)]
    for at in range(7):
        store.append(
            batch(Point(it, T0 + 1000 * at, at + n / 10, None, "gauge") for n, it in enumerate(names[at % 2 :]))
        )
    found = store.select((Matcher(NAME, "=", "heat"), Matcher("node", "!=", "n3")), T0, T0 + 5_000, 99)
    assert [it["node"] for it in found.labels] == ["n0", "n1", "n2", "n4"]
    assert found.offsets.tolist() == [0, 2, 7, 12, 17]
    assert found.values[:7].tolist() == [2.0, 4.0, 1.0, 2.1, 3.0, 4.1, 5.0]
    store.close()
