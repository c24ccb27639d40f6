from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runtime.oom_book import (
    DETAIL_HOLD_MS,
    FLOOR_HOLD_MS,
    KEEP_CLOSED_MS,
    UNATTRIBUTED_HOLD_MS,
    Detail,
    OomBook,
    OomKill,
)

DD = Detail("container", "main", "dd")


def untold(container: str, at_ms: int, count: int = 1) -> OomKill:
    return OomKill(container, at_ms, count, "container", "unknown", None)


def test_a_kill_that_counter_and_log_both_saw_counts_once() -> None:
    book = OomBook()
    book.open("a", 0)
    book.counter("a", 1)
    assert book.due(10, 1) == []
    book.detail("a", DD, 20)
    assert book.due(20, 1) == [OomKill("a", 20, 1, "container", "main", "dd")]
    assert book.due(9_000, 1) == []
    assert book.totals.attributed == 1


def test_a_kill_that_the_log_saw_first_is_not_counted_again_by_the_counter() -> None:
    book = OomBook()
    book.open("a", 0)
    book.detail("a", DD, 5)
    assert len(book.due(5, 1)) == 1
    book.counter("a", 1)
    assert book.due(1000, 1) == []


def test_a_kill_without_a_word_in_the_log_is_told_after_a_hold() -> None:
    book = OomBook()
    book.open("a", 0)
    book.counter("a", 2)
    assert book.due(100, 2) == []
    assert book.due(100 + DETAIL_HOLD_MS, 2) == [untold("a", 100 + DETAIL_HOLD_MS, 2)]
    book.detail("a", DD, 300)
    assert book.due(300, 2) == []


def test_without_a_log_nothing_is_held() -> None:
    book = OomBook(has_log=False)
    book.open("a", 0)
    book.counter("a", 1)
    assert book.due(1, 1) == [untold("a", 1)]


def test_a_kill_whose_cgroup_vanished_counts_by_the_log() -> None:
    book = OomBook()
    book.open("a", 0)
    book.close("a", 30)
    book.detail("a", DD, 31)
    assert [kill.process for kill in book.due(31, 1)] == ["dd"]


def test_a_container_that_the_log_alone_knows_counts() -> None:
    book = OomBook()
    book.detail("ghost", DD, 5)
    assert [kill.container_id for kill in book.due(5, 1)] == ["ghost"]


def test_kills_from_before_the_watch_are_not_counted() -> None:
    book = OomBook(has_log=False)
    book.open("a", 0, counter=5, baseline=5)
    assert book.due(1, 0) == []
    book.counter("a", 6)
    assert book.due(2, 1) == [untold("a", 2)]


def test_a_checkpoint_tells_which_kills_were_counted_already() -> None:
    book = OomBook(has_log=False)
    book.open("a", 0, counter=5, baseline=5)
    book.rebase("a", 3)
    assert book.due(1, 0) == [untold("a", 1, 2)]
    assert book.counted("a") == 5


def test_each_run_counts_anew() -> None:
    book = OomBook(has_log=False)
    for start in (0, 1000, 2000):
        book.open("a", start)
        book.counter("a", 1)
        book.close("a", start + 50)
        assert book.due(start + 60, None) == [untold("a", start + 60)]
    assert book.totals.attributed == 3


def test_the_engines_word_counts_one_where_no_source_has_any() -> None:
    book = OomBook(has_log=False)
    book.open("a", 0)
    book.floor("a", 20, 50)
    assert book.due(60, 1) == []
    assert book.due(50 + FLOOR_HOLD_MS, 1) == [untold("a", 50 + FLOOR_HOLD_MS)]
    assert book.due(9000, 1) == []


def test_the_engines_word_adds_nothing_to_what_was_counted() -> None:
    book = OomBook(has_log=False)
    book.open("a", 0)
    book.counter("a", 2)
    book.floor("a", 20, 50)
    assert sum(kill.count for kill in book.due(5000, 3)) == 2


def test_the_engines_word_counts_nothing_where_the_host_killed_nobody_else() -> None:
    book = OomBook(has_log=False)
    book.open("a", 0)
    book.open("b", 0)
    book.counter("b", 1)
    book.floor("a", 20, 50)
    assert [kill.container_id for kill in book.due(5000, 1)] == ["b"]


def test_the_engines_word_goes_to_the_run_it_speaks_of() -> None:
    book = OomBook(has_log=False)
    book.open("a", 0)
    book.close("a", 100)
    book.open("a", 200)
    book.counter("a", 1)
    book.floor("a", 50, 300)
    assert sum(kill.count for kill in book.due(300 + FLOOR_HOLD_MS, 2)) == 2


def test_the_engines_word_on_a_container_nobody_saw_counts_one() -> None:
    book = OomBook(has_log=False)
    book.floor("ghost", 50, 300)
    assert book.due(300 + FLOOR_HOLD_MS, 1) == [untold("ghost", 300 + FLOOR_HOLD_MS)]


def test_what_nobody_could_be_named_for_is_published_after_a_hold() -> None:
    book = OomBook()
    book.due(0, 2)
    book.due(UNATTRIBUTED_HOLD_MS - 1, 2)
    assert book.totals.unattributed == 0
    book.due(UNATTRIBUTED_HOLD_MS, 2)
    assert book.totals.unattributed == 2


def test_what_is_named_within_the_hold_is_never_unattributed() -> None:
    book = OomBook()
    book.due(0, 2)
    book.detail("a", DD, 1000)
    book.host_kill()
    for at in range(1000, 20_000, 1000):
        book.due(at, 2)
    assert book.totals == (1, 1, 0)


def test_only_what_is_left_at_the_end_of_the_hold_is_published() -> None:
    book = OomBook()
    book.due(0, 3)
    book.detail("a", DD, 1000)
    book.due(1000, 3)
    book.due(UNATTRIBUTED_HOLD_MS, 3)
    assert book.totals.unattributed == 2


def test_closed_runs_are_forgotten_after_a_while() -> None:
    book = OomBook()
    book.open("a", 0)
    book.close("a", 10)
    book.due(10 + KEEP_CLOSED_MS - 1, 0)
    assert book.knows("a")
    book.due(10 + KEEP_CLOSED_MS, 0)
    assert not book.knows("a")


class Kernel(RuleBasedStateMachine):
    """A kernel that kills, and sources that each miss some of it: no count is ever above the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.book = OomBook()
        self.now = 0
        self.truth: Counter[str] = Counter()
        self.run: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.before = self.book.totals
        self.late: list[str] = []
        for container in "ab":
            self.book.open(container, 0)

    @rule(
        container=st.sampled_from("ab"), log=st.sampled_from(["placed", "unplaced", "late", "lost"]), read=st.booleans()
    )
    def kill(self, container: str, log: str, read: bool) -> None:
        self.truth[container] += 1
        self.run[container] += 1
        if read:
            self.book.counter(container, self.run[container])
        if log == "late":
            self.late.append(container)
        elif log == "unplaced":
            self.book.unplaced(DD, self.now)
        elif log == "placed":
            self.book.detail(container, DD, self.now)

    @rule()
    def log_comes_late(self) -> None:
        for container in self.late:
            self.book.detail(container, DD, self.now)
        self.late.clear()

    @rule(container=st.sampled_from("ab"))
    def read(self, container: str) -> None:
        self.book.counter(container, self.run[container])

    @rule(container=st.sampled_from("ab"), engine=st.booleans())
    def restart(self, container: str, engine: bool) -> None:
        self.log_comes_late()
        if engine and self.run[container]:
            self.book.floor(container, self.now, self.now)
        self.book.close(container, self.now)
        self.now += 100
        self.book.open(container, self.now)
        self.run[container] = 0

    @rule(ms=st.integers(1, 10_000))
    def wait(self, ms: int) -> None:
        self.now += ms

    @invariant()
    def counts_are_never_above_the_truth_and_never_fall(self) -> None:
        for kill in self.book.due(self.now, self.truth.total()):
            self.told[kill.container_id] += kill.count
        totals = self.book.totals
        assert all(self.told[container] <= self.truth[container] for container in "ab")
        assert all(after >= before for before, after in zip(self.before, totals, strict=True))
        assert totals.attributed == self.told.total()
        self.before = totals

    def teardown(self) -> None:
        for container in "ab":
            self.read(container)
        for _ in range(3):
            self.now += UNATTRIBUTED_HOLD_MS
            self.counts_are_never_above_the_truth_and_never_fall()
        assert self.told.total() + self.book.totals.unattributed >= self.truth.total()


TestKernel = Kernel.TestCase


@given(st.integers(0, 50), st.integers(0, 50))
def test_counter_and_log_are_never_added_up(counted: int, logged: int) -> None:
    book = OomBook()
    book.open("a", 0)
    book.counter("a", counted)
    for _ in range(logged):
        book.detail("a", DD, 1)
    told = [*book.due(1, None), *book.due(1 + DETAIL_HOLD_MS, None)]
    assert sum(kill.count for kill in told) == max(counted, logged)


def test_a_name_without_a_run_goes_to_the_only_run_without_a_name() -> None:
    book = OomBook()
    book.open("a", 0)
    book.unplaced(DD, 1)
    book.counter("a", 1)
    assert [kill.process for kill in book.due(5, 1)] == ["dd"]


def test_a_name_that_could_be_of_two_runs_is_of_neither() -> None:
    book = OomBook()
    for container in "ab":
        book.open(container, 0)
        book.counter(container, 1)
    book.unplaced(DD, 1)
    assert book.due(5, 2) == []
    assert [kill.process for kill in book.due(5 + DETAIL_HOLD_MS, 2)] == [None, None]


def test_a_name_that_was_placed_wrongly_does_not_count_again() -> None:
    book = OomBook()
    book.open("a", 0)
    book.counter("a", 1)
    book.unplaced(Detail("container", "unknown", "other"), 1)
    assert len(book.due(5, 2)) == 1
    book.detail("a", DD, 6)
    assert book.due(1000, 2) == []


def test_a_name_alone_counts_nothing() -> None:
    book = OomBook()
    book.open("a", 0)
    book.unplaced(DD, 1)
    assert book.due(1000, 1) == []
