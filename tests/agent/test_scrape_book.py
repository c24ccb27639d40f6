"""What is known of scraped runs: what was counted is shipped once, and what no scrape saw is told as time."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import Scraped
from agent.scrape import ScrapedSample
from agent.scrape_book import HELD_MS, MOST_RECALLED, UNPATHED_MS, ScrapeBook
from runtime.model import Container
from service.increments import Sample, steps
from tests.agent.test_scraper import API, STARTED, container

ASKS = {"midwatch.scrape": "8080"}


class Book:
    """A book of one container, and what a store would count of it."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self.stored: dict[tuple[Any, ...], dict[int, Sample]] = {}
        self.book = ScrapeBook(STARTED, self._spend)

    def _spend(self, service: object, seen_ms: int, unseen_ms: int) -> None:
        self.spent.update({name: ms for name, ms in (("seen", seen_ms), ("unseen", unseen_ms)) if ms})

    def look(self, at: int, *found: Container) -> None:
        self.book.look([(it, API) for it in found], STARTED + at)

    def scrape(self, at: int, resource: Any = API, of: Container | None = None, **counters: float) -> int | None:
        """One good scrape; how many samples went on."""
        samples = [ScrapedSample("counter", name, (), value) for name, value in counters.items()]
        found = self.book.points(of or container(ASKS), resource, STARTED + at, samples, 100)
        for it in () if found is None else found.points:
            assert isinstance(it, Scraped) and found is not None
            _, name, labels, value, at_ms, start_ms = it.kind, *it.value
            self.stored.setdefault((found.resource, name, labels), {}).setdefault(at_ms, Sample(at_ms, value, start_ms))
        return None if found is None else len(found.points)

    def counted(self, name: str) -> int:
        """All increments of a name over all labels, as the store takes them."""
        mine = [samples for (_, one, _), samples in self.stored.items() if one == name]
        found = [steps([its[at] for at in sorted(its)], None) for its in mine]
        return sum(step.increment for one in found for step in one) // 10**9

    def again(self) -> None:
        """The agent ends, and another goes on from its checkpoint."""
        kept = json.loads(json.dumps(self.book.to_json()))
        self.book = ScrapeBook(STARTED + 10_000_000, self._spend)
        self.book.restore(kept, STARTED + 10_000_000)


@pytest.fixture
def book() -> Book:
    return Book()


def test_time_is_seen_up_to_the_last_good_scrape_and_unseen_from_there_to_the_end(book: Book) -> None:
    book.look(1_000, container(ASKS))
    book.scrape(2_000, a=1)
    book.scrape(7_000, a=5)
    book.look(9_000, container(ASKS, state="exited", finished_ms=STARTED + 8_500))
    book.look(12_000, container(ASKS, state="exited", finished_ms=STARTED + 8_500))
    book.look(13_000)
    assert book.spent == {"seen": 7_000, "unseen": 1_500}


def test_a_restart_is_an_end_by_the_engines_time_or_at_the_latest_the_next_start(book: Book) -> None:
    book.look(1_000, container(ASKS))
    book.scrape(2_000, a=1)
    book.look(9_000, container(ASKS, started_ms=STARTED + 8_000, finished_ms=STARTED + 6_000))
    assert book.spent["unseen"] == 4_000
    book.look(19_000, container(ASKS, started_ms=STARTED + 18_000))
    assert book.spent["unseen"] == 14_000


def test_a_run_that_no_scrape_saw_is_unseen_as_a_whole_and_once(book: Book) -> None:
    ended = container(ASKS, state="exited", started_ms=STARTED + 2_000, finished_ms=STARTED + 5_000)
    for at in (6_000, 7_000):
        book.look(at, ended)
    book.look(8_000)
    assert book.spent == {"unseen": 3_000}


def test_what_ended_before_anybody_watched_and_what_does_not_ask_is_nobodys_loss(book: Book) -> None:
    book.look(6_000, container(ASKS, state="exited", finished_ms=STARTED - 5_000), container({}, id="b" * 64))
    book.look(7_000)
    assert book.spent == {}


def test_a_paused_container_goes_on_and_loses_nothing(book: Book) -> None:
    book.look(1_000, container(ASKS))
    book.scrape(2_000, a=1)
    book.look(3_000, container(ASKS, state="paused"))
    book.look(9_000, container(ASKS))
    book.scrape(9_000, a=2, b=3)
    assert (book.counted("a"), book.counted("b"), book.spent["unseen"]) == (2, 3, 0)


def test_an_agent_that_comes_back_knows_what_was_there_and_what_was_not(book: Book) -> None:
    """A counter that first appears while nobody looked, long after its container's start, is counted from 0."""
    book.scrape(5_000_000, a=7)
    book.again()
    book.scrape(5_300_000, a=9, b=4)
    assert (book.counted("a"), book.counted("b")) == (9, 4)


def test_an_end_while_the_agent_was_away_is_told_when_it_is_back(book: Book) -> None:
    book.look(1_000, container(ASKS))
    book.scrape(2_000, a=1)
    book.look(2_500, container(ASKS))
    book.again()
    book.look(60_000, container(ASKS, started_ms=STARTED + 30_000))
    book.scrape(60_000, of=container(ASKS, started_ms=STARTED + 30_000), a=3)
    assert book.spent == {"seen": 2_000 + 30_000, "unseen": 28_000}
    assert book.counted("a") == 4


def test_a_run_that_began_and_ended_while_the_agent_was_away_is_unseen(book: Book) -> None:
    book.look(2_000)
    book.again()
    other = container(ASKS, id="c" * 64, state="exited", started_ms=STARTED + 10_000, finished_ms=STARTED + 40_000)
    book.look(60_000, other)
    assert book.spent == {"unseen": 30_000}


def test_a_run_that_began_while_the_agent_was_away_for_long_is_counted_from_its_start(book: Book) -> None:
    book.look(2_000)
    book.again()
    new = container(ASKS, id="c" * 64, started_ms=STARTED + 10_000)
    book.look(3_000_000, new)
    book.scrape(3_000_000, of=new, a=50)
    book.scrape(3_005_000, of=new, a=51)
    assert (book.counted("a"), book.spent) == (51, {"seen": 2_995_000})


def test_a_run_that_answers_late_is_counted_from_its_start_and_one_from_before_us_is_not(book: Book) -> None:
    before = container(ASKS, id="b" * 64, started_ms=STARTED - 4_000_000)
    late = container(ASKS, started_ms=STARTED + 1_000)
    book.look(2_000, before, late)
    book.scrape(900_000, of=before, old=70)
    book.scrape(900_000, of=late, a=50)
    assert (book.counted("old"), book.counted("a")) == (0, 50)


@pytest.mark.parametrize("changed", [API._replace(container="other"), API._replace(id=None), API._replace(image="b:2")])
def test_a_run_whose_labels_change_is_not_counted_twice(book: Book, changed: Any) -> None:
    book.scrape(5_000, changed, a=100)
    book.scrape(10_000, a=130, b=5)
    book.scrape(15_000, a=131, b=6)
    assert (book.counted("a"), book.counted("b")) == (131, 6)


def test_a_name_that_comes_back_is_not_counted_twice(book: Book) -> None:
    for at, name, value in ((5, "a", 10), (10, "b", 20), (15, "a", 40), (20, "a", 45), (25, "b", 50)):
        book.scrape(at * 1_000, API._replace(container=name), requests=value)
    assert book.counted("requests") == 50


def test_a_counter_that_falls_by_itself_after_its_labels_changed_counts_from_0_again(book: Book) -> None:
    for at, name, value in ((5, "a", 10), (10, "b", 20), (15, "b", 15), (20, "b", 16), (25, "b", 3)):
        book.scrape(at * 1_000, API._replace(container=name), requests=value)
    assert book.counted("requests") == 20 + 16 + 3


def test_a_path_that_is_not_known_yet_is_the_one_that_was(book: Book) -> None:
    book.scrape(5_000, a=1)
    book.again()
    book.scrape(10_000, API._replace(id=None), a=2)
    assert {resource for resource, *_ in book.stored} == {API}


def test_a_first_scrape_waits_for_the_path_but_not_for_ever(book: Book) -> None:
    unpathed = API._replace(id=None)
    book.look(1_000, container(ASKS))
    asked = [(unpathed, 2_000), (API, 2_000), (unpathed, 1_000 + UNPATHED_MS)]
    assert [book.book.ready(container(ASKS), it, STARTED + at) for it, at in asked] == [False, True, True]
    book.scrape(3_000, a=1)
    assert book.book.ready(container(ASKS), unpathed, STARTED + 4_000)


def test_labels_that_changed_while_the_agent_was_away_are_known_too(book: Book) -> None:
    book.scrape(5_000, a=100)
    book.again()
    book.scrape(50_000, API._replace(container="renamed"), a=150)
    assert book.counted("a") == 150


def test_a_clock_that_was_set_back_is_waited_for(book: Book) -> None:
    book.scrape(100_000, a=10)
    assert book.scrape(40_000, a=12) is None
    assert book.scrape(100_000, a=13) is None
    book.scrape(101_000, a=14, b=3)
    assert (book.counted("a"), book.counted("b")) == (14, 3)


def test_a_clock_that_was_set_back_by_far_is_not_waited_for(book: Book) -> None:
    book.scrape(HELD_MS + 100_000, a=10)
    assert book.scrape(100_000, a=12) == 1


def test_a_start_that_is_told_earlier_since_the_clock_was_set_back_is_the_same_run(book: Book) -> None:
    book.look(50_000, container(ASKS, started_ms=STARTED + 40_000))
    book.scrape(50_000, of=container(ASKS, started_ms=STARTED + 40_000), a=10)
    earlier = container(ASKS, started_ms=STARTED + 20_000)
    book.look(20_000, earlier)
    book.scrape(55_000, of=earlier, a=12)
    assert (book.counted("a"), book.spent["unseen"]) == (12, 0)


def test_the_checkpoint_holds_so_many_counters_and_the_others_begin_anew(book: Book) -> None:
    many = {f"c{n}": 1.0 for n in range(3)}
    book.book._runs.clear()
    book.scrape(1_000, **many)
    assert len(book.book.to_json()["runs"][0][-1][0]) == 3
    book.book._runs["a" * 64].counters = {(f"c{n}", ()): 1.0 for n in range(MOST_RECALLED + 1)}
    assert book.book.to_json()["runs"][0][-1] is None
    book.again()
    book.look(9_000, container(ASKS))


acts = st.lists(
    st.tuples(
        st.sampled_from(["scrape", "scrape", "scrape", "restart", "again", "rename", "unpathed", "back", "look"]),
        st.integers(1, 15),
        st.integers(0, 9),
    ),
    max_size=30,
)


@given(acts)
def test_whatever_happens_each_run_is_counted_up_to_its_last_scrape(told: list[tuple[str, int, int]]) -> None:
    """The app's own count at each run's last good scrape, summed, is what a store counts."""
    book, clock, started, value, shown, expected = Book(), 0, 0, 0, 0, 0
    name, path, pid = "a", API.id, 1
    for act, seconds, more in told:
        clock += -1_000 * seconds if act == "back" else 1_000 * seconds
        clock = max(clock, started + 1)
        value += more
        now = container(ASKS, started_ms=STARTED + started, pid=pid)
        match act:
            case "restart":
                expected, shown, value, started, pid = expected + shown, 0, 0, max(clock, started + 1), pid + 1
                # the next start is later than every scrape before it, as on one clock
                started = max(started, book.book._runs["a" * 64].at_ms - STARTED + 1 if book.book._runs else 0)
                clock = started + 1
            case "again":
                book.again()
            case "rename":
                name = "ab"[name == "a"]
            case "unpathed":
                path = None if path else API.id
            case "look":
                book.look(clock, now)
            case "scrape":
                went = book.scrape(clock, API._replace(container=name, id=path), of=now, requests=float(value))
                shown = shown if went is None else value
    assert book.counted("requests") == expected + shown
