"""What a sender may bring: by the second and by the day, and that nothing is taken of what is refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from service.model import Series
from service.quota import OverQuota, Quota, QuotaBounds
from service.series_book import DAY_MS, SeriesBook
from tests.service.stores import Clock, series


def some(first: int, count: int) -> list[Series]:
    return [series("m", n=str(n)) for n in range(first, first + count)]


def quota(clock: Clock, bounds: QuotaBounds, room: int = 10**6, known: Sequence[Series] = ()) -> Quota:
    def unknown(asked: Sequence[Series]) -> tuple[int, int]:
        return len([it for it in asked if it not in known]), room

    return Quota(bounds, SeriesBook(), clock, unknown)


def test_a_sender_may_bring_its_rate_and_is_told_when_to_come_again() -> None:
    clock = Clock()
    found = quota(clock, QuotaBounds(agent_samples_per_second=100))
    found.ask("a")
    found.spend("a", 1_500)
    with pytest.raises(OverQuota, match="'a' brings more than 100 samples a second") as over:
        found.ask("a")
    assert (over.value.limit, over.value.retry_seconds) == ("agent_rate", 5)
    found.ask("b")
    clock.now_ms += 5_001
    found.ask("a")
    assert found.counts == {"agent_rate": 1}


def test_all_senders_together_have_a_bound_too() -> None:
    found = quota(Clock(), QuotaBounds(samples_per_second=100))
    found.spend("a", 1_001)
    with pytest.raises(OverQuota, match="all senders") as over:
        found.ask("b")
    assert (over.value.limit, over.value.retry_seconds) == ("rate", 1)


def test_a_pause_gives_no_more_than_the_burst() -> None:
    clock = Clock()
    found = quota(clock, QuotaBounds(agent_samples_per_second=100))
    clock.now_ms += DAY_MS
    found.spend("a", 1_000)
    with pytest.raises(OverQuota):
        found.ask("a")


def test_a_batch_with_too_many_series_is_refused_whole_and_the_known_ones_still_come() -> None:
    found = quota(Clock(), QuotaBounds(agent_series=3))
    found.series("a", some(0, 3))
    with pytest.raises(OverQuota, match="max_agent_series") as over:
        found.series("a", some(2, 2))
    assert (over.value.limit, over.value.retry_seconds) == ("agent_series", 60)
    assert found.series("a", some(0, 3)).tolist() == [0, 1, 2]
    assert found.series("b", some(3, 1)).tolist() == [3]


def test_series_that_did_not_come_for_a_day_make_room() -> None:
    clock = Clock()
    found = quota(clock, QuotaBounds(agent_series=3))
    found.series("a", some(0, 3))
    clock.now_ms += DAY_MS // 2
    found.series("a", some(0, 1))
    clock.now_ms += DAY_MS // 2 + 1
    found.series("a", some(3, 2))
    with pytest.raises(OverQuota):
        found.series("a", some(5, 1))


def test_series_that_the_store_has_no_room_for_are_refused_and_those_it_knows_are_not() -> None:
    found = quota(Clock(), QuotaBounds(), room=1, known=some(0, 5))
    assert len(found.series("a", some(0, 6))) == 6
    with pytest.raises(OverQuota, match="max_series") as over:
        found.series("a", some(6, 2))
    assert over.value.limit == "series"


def test_a_series_of_two_senders_is_the_firsts() -> None:
    book = SeriesBook()
    book.take("a", some(0, 2), 1)
    book.take("b", some(1, 2), 1)
    assert (book.count("a"), book.count("b"), book.count("c")) == (2, 1, 0)


def test_a_full_book_begins_anew() -> None:
    book = SeriesBook(most=3)
    book.take("a", some(0, 3), 1)
    assert book.take("a", some(5, 2), 2).tolist() == [0, 1]
    assert (book.generation, len(book), book.count("a")) == (1, 2, 2)
