"""The alert book between evaluations: what is stored at once, what within a minute, and what another one wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from alerts.model import EVERYBODY, AlertBook, AlertState, Change, Incident, Subject
from service import desk
from service.desk import MOST_FRESH, REFRESH_MS, KeptBook
from service.ports import ask
from service.store import Store
from tests.service.stores import T0, Clock

MANY = MOST_FRESH + 10


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path / "x.duckdb", Clock(T0))
    yield found
    found.close()


def book(size: int, summary: str, acknowledged: int = -1) -> AlertBook:
    def incident(at: int) -> Incident:
        subject = Subject(f"s{at}")
        alert = AlertState("k", "slo-burn", subject, (), "page", "firing", T0, T0, None, summary, ())
        by = "me" if at == acknowledged else None
        return Incident(f"i{at}", subject, "page", "open", T0, None, True, (alert,), None, by)

    return AlertBook(tuple(incident(at) for at in range(size)))


def put(store: Store, kept: KeptBook, after: AlertBook, now_ms: int) -> None:
    kept.keep(store.database.write(lambda cursor: kept.write(cursor, kept.read(cursor), after, now_ms)))


def stored(store: Store) -> dict[str, tuple[str, str | None]]:
    found = ask(store.database, lambda cursor: desk.read_incidents(cursor, 0))
    return {it.id: (it.alerts[0].summary, it.acknowledged_by) for it in found}


def test_few_incidents_are_stored_as_they_are_told(store: Store) -> None:
    kept = KeptBook()
    for seconds, summary in ((0, "a"), (15, "b")):
        put(store, kept, book(3, summary), T0 + seconds * 1000)
        assert set(stored(store).values()) == {(summary, None)}
    assert ask(store.database, KeptBook().read) == book(3, "b")


def test_of_many_that_only_go_on_the_newest_evidence_is_stored_within_a_minute(store: Store) -> None:
    kept = KeptBook()
    put(store, kept, book(MANY, "a"), T0)
    put(store, kept, book(MANY, "b", acknowledged=7), T0 + 15_000)
    found = stored(store)
    assert found.pop("i7") == ("b", "me")
    assert set(found.values()) == {("a", None)}
    assert ask(store.database, kept.read) == book(MANY, "b", acknowledged=7)
    put(store, kept, book(MANY, "c", acknowledged=7), T0 + REFRESH_MS)
    assert {summary for summary, _ in stored(store).values()} == {"c"}


def test_what_was_left_out_is_stored_once_little_changes(store: Store) -> None:
    kept = KeptBook()
    put(store, kept, book(MANY, "a"), T0)
    put(store, kept, book(MANY, "b"), T0 + 15_000)
    put(store, kept, book(MANY, "b", acknowledged=1), T0 + 20_000)
    assert {summary for summary, _ in stored(store).values()} == {"b"}


def test_what_is_undone_and_what_another_one_stored_is_read_anew(store: Store) -> None:
    kept = KeptBook()
    put(store, kept, book(2, "a"), T0)
    with pytest.raises(ZeroDivisionError):
        store.database.write(lambda cursor: (kept.write(cursor, book(2, "a"), book(2, "b"), T0 + 1), 1 // 0))
    assert ask(store.database, kept.read) == book(2, "a")
    other = book(1, "other")
    store.database.write(lambda cursor: desk.write_book(cursor, other, T0 + 5))
    assert ask(store.database, kept.read) == other
    gone = replace(other, incidents=())
    put(store, kept, gone, T0 + 6)
    assert ask(store.database, KeptBook().read) == gone


def test_a_message_goes_to_those_it_names_and_to_none_twice() -> None:
    receivers = [desk.Receiver(name, "http://x", roads) for name, roads in
                 (("pager", ("page",)), ("team", ("ticket",)), ("log", ("page", "ticket")))]  # fmt: skip
    (incident,) = book(1, "a").incidents

    def told(to: tuple[str, ...], but: tuple[str, ...] = ()) -> list[str]:
        change = Change("joined", incident, "new alerts added", True, to, but)
        return [it.name for it in desk.recipients(change, receivers)]

    assert told((EVERYBODY,)) == ["pager", "log"]
    assert told(("team",)) == ["team"]
    assert told(("team", "log"), (EVERYBODY,)) == ["team"]
    assert told((EVERYBODY,), ("log",)) == ["pager"]
    assert told(("nobody-any-more",)) == ["pager", "log"]
