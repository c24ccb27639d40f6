"""The spool: nothing that it took is lost or numbered twice, and its bounds hold."""

from __future__ import annotations

import errno
import gzip
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent.spool import LEAST_VALUABLE_FIRST, SIGNAL_OF, Spool
from agent.spool_files import SIGNALS, Reservation, What, write_durably

LONG_SECONDS = 60.0


def noise(size: int) -> bytes:
    """Bytes that don't compress."""
    return random.Random(size).randbytes(size)  # noqa: S311


class Disk:
    """A disk that can be full."""

    def __init__(self) -> None:
        self.fault: int | None = None

    def write(self, path: Path, data: bytes) -> None:
        if self.fault is not None:
            raise OSError(self.fault, os.strerror(self.fault), str(path))
        write_durably(path, data)


def test_what_is_put_is_seen_first_in_first_out_and_gone_after_the_acknowledgement(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert [spool.put("metrics", b"one"), spool.put("metrics", b"two")] == [1, 2]
    first = spool.peek("metrics")
    assert first is not None
    assert (first.sequence, gzip.decompress(first.payload)) == (1, b"one")
    spool.ack("metrics", 1)
    second = spool.peek("metrics")
    assert second is not None
    assert (second.sequence, second.spool_id) == (2, spool.spool_id)
    spool.ack("metrics", 2)
    assert spool.peek("metrics") is None
    assert spool.waiting_bytes == 0


def test_an_acknowledgement_of_what_is_not_there_changes_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put("metrics", b"one")
    spool.ack("metrics", 7)
    spool.ack("logs", 1)
    assert spool.waiting("metrics") == 1


def test_signals_are_numbered_each_on_its_own_and_events_share_the_logs_with_lines(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert [spool.put(what, b"x") for what in ("metrics", "lines", "events", "traces")] == [1, 1, 2, 1]
    assert [spool.waiting(signal) for signal in SIGNALS] == [1, 2, 1]


def test_another_process_finds_what_was_left_under_the_same_identity(tmp_path: Path) -> None:
    before = Spool(tmp_path)
    before.put("events", b"kept")
    after = Spool(tmp_path)
    found = after.peek("logs")
    assert found is not None
    assert (found.sequence, found.what, gzip.decompress(found.payload)) == (1, "events", b"kept")
    assert after.spool_id == before.spool_id
    assert after.waiting_bytes == before.waiting_bytes


def test_a_number_is_never_given_again_though_its_batch_is_gone(tmp_path: Path) -> None:
    given_before = set[int | None]()
    for _ in range(4):
        spool = Spool(tmp_path)
        for _ in range(3):
            sequence = spool.put("metrics", b"x")
            assert sequence is not None
            assert sequence not in given_before
            given_before.add(sequence)
            spool.ack("metrics", sequence)


def test_a_killed_process_loses_nothing_that_put_answered(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from agent.spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]))\n"
        "while True: print(spool.put('metrics', b'x' * 999), flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    answered = [int(child.stdout.readline()) for _ in range(20)]
    child.send_signal(signal.SIGKILL)
    answered += [int(line) for line in child.stdout if line.endswith("\n")]
    child.stdout.close()
    child.wait()
    spool, kept = Spool(tmp_path), []
    while batch := spool.peek("metrics"):
        kept.append(batch.sequence)
        assert gzip.decompress(batch.payload) == b"x" * 999
        spool.ack("metrics", batch.sequence)
    assert kept[: len(answered)] == answered
    assert len(kept) <= len(answered) + 1
    following = spool.put("metrics", b"next")
    assert following is not None
    assert following > kept[-1]


def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path) -> None:
    Spool(tmp_path)
    half = tmp_path / "metrics" / "0000000000000009-metrics-00000000.gz.new"
    half.write_bytes(b"half")
    assert Spool(tmp_path).peek("metrics") is None
    assert not half.exists()


def test_a_full_spool_loses_lines_then_traces_then_metrics_and_events_last(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=4_200)
    for what in ("events", "metrics", "traces", "lines"):
        spool.put(what, noise(1_000))
    lost = []
    for _ in range(4):
        before = set(spool.dropped)
        spool.put("events", noise(1_000))
        lost.extend(set(spool.dropped) - before)
    assert lost == [
        ("batch_lines", "spool_full"),
        ("batch_traces", "spool_full"),
        ("batch_metrics", "spool_full"),
        ("batch_events", "spool_full"),
    ]
    assert spool.waiting_bytes <= 4_200


def test_the_oldest_of_a_kind_goes_first(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=3_500)
    for _ in range(4):
        spool.put("metrics", noise(1_000))
    first = spool.peek("metrics")
    assert first is not None
    assert first.sequence == 2
    assert spool.dropped == {("batch_metrics", "spool_full"): 1}


class Hours:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return self.passed * 3600


def test_what_waited_too_long_is_dropped_and_counted_events_later_than_the_rest(tmp_path: Path) -> None:
    hours = Hours()
    spool = Spool(tmp_path, max_age_seconds=86_400, max_event_age_seconds=4 * 86_400, monotonic=hours)
    for what in ("events", "lines", "metrics", "traces"):
        spool.put(what, noise(100))
    hours.passed = 20
    spool.put("metrics", noise(100))
    hours.passed = 25
    assert [batch and batch.sequence for batch in map(spool.peek, ("metrics", "logs", "traces"))] == [2, 1, None]
    old = {("batch_lines", "too_old"): 1, ("batch_metrics", "too_old"): 1, ("batch_traces", "too_old"): 1}
    assert spool.dropped == old
    hours.passed = 97
    assert spool.peek("logs") is None
    assert spool.dropped == old | {("batch_metrics", "too_old"): 2, ("batch_events", "too_old"): 1}
    assert (spool.waiting_bytes, list(tmp_path.glob("*/*.gz"))) == (0, [])


def test_the_age_goes_on_over_processes_and_a_clock_that_was_ahead_makes_nothing_old(tmp_path: Path) -> None:
    first = Spool(tmp_path)
    for _ in range(3):
        first.put("metrics", noise(100))
    files = sorted((tmp_path / "metrics").iterdir())
    for file, hours_ago in zip(files, (50, -50, 1), strict=True):
        os.utime(file, (1e9 - hours_ago * 3600,) * 2)
    second = Spool(tmp_path, max_age_seconds=86_400, wall=lambda: 1e9)
    batch = second.peek("metrics")
    assert batch is not None
    assert (batch.sequence, second.waiting("metrics")) == (2, 2)
    assert second.dropped == {("batch_metrics", "too_old"): 1}


def test_what_is_worth_less_than_all_that_waits_is_dropped_itself(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=2_500)
    spool.put("events", noise(1_000))
    spool.put("events", noise(1_000))
    assert spool.put("lines", noise(1_000)) is None
    assert spool.dropped == {("batch_lines", "spool_full"): 1}
    assert spool.waiting("logs") == 2


def test_a_batch_larger_than_the_whole_spool_costs_nothing_else(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=2_500)
    spool.put("lines", noise(1_000))
    assert spool.put("events", noise(9_000)) is None
    assert spool.waiting("logs") == 1


def test_a_full_disk_leaves_the_batch_in_memory_to_be_shipped(tmp_path: Path) -> None:
    disk = Disk()
    spool = Spool(tmp_path, write=disk.write)
    disk.fault = errno.ENOSPC
    assert spool.put("metrics", b"the disk is full") == 1
    batch = spool.peek("metrics")
    assert batch is not None
    assert gzip.decompress(batch.payload) == b"the disk is full"
    spool.ack("metrics", 1)
    assert spool.dropped == {}
    assert spool.waiting_bytes == 0


def test_a_full_disk_and_full_memory_are_counted_and_end_nothing(tmp_path: Path) -> None:
    disk = Disk()
    spool = Spool(tmp_path, max_memory_bytes=1_500, write=disk.write)
    disk.fault = errno.ENOSPC
    assert spool.put("metrics", noise(1_000)) == 1
    assert spool.put("metrics", noise(1_000)) is None
    assert spool.dropped == {("batch_metrics", "disk_full"): 1}
    disk.fault = None
    assert spool.put("metrics", noise(1_000)) is not None


def test_a_disk_that_fails_otherwise_is_told_apart_from_a_full_one(tmp_path: Path) -> None:
    disk = Disk()
    spool = Spool(tmp_path, max_memory_bytes=0, write=disk.write)
    disk.fault = errno.EIO
    assert spool.put("events", b"x") is None
    assert spool.dropped == {("batch_events", "disk_error"): 1}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_real_disk_that_is_full_stops_nothing(tmp_path: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        spool = Spool(tmp_path, max_memory_bytes=20_000)
        results = [spool.put("metrics", noise(15_000)) for _ in range(8)]
        assert results[0] == 1
        assert results[-1] is None
        assert spool.dropped["batch_metrics", "disk_full"] > 0
        while batch := spool.peek("metrics"):
            spool.ack("metrics", batch.sequence)
        assert spool.put("metrics", noise(15_000)) is not None
        assert not list((tmp_path / "metrics").glob("*.new"))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_spoilt_file_is_set_aside_and_counted_and_the_next_one_comes(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put("metrics", noise(500))
    spool.put("metrics", b"sound")
    spoilt = sorted((tmp_path / "metrics").iterdir())[0]
    spoilt.write_bytes(spoilt.read_bytes()[:100])
    batch = spool.peek("metrics")
    assert batch is not None
    assert gzip.decompress(batch.payload) == b"sound"
    assert spool.dropped == {("batch_metrics", "corrupt"): 1}
    assert [path.name for path in (tmp_path / "corrupt").iterdir()] == [spoilt.name]
    assert spool.waiting_bytes == len(batch.payload)


def test_a_file_that_someone_removed_is_counted_as_lost(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put("metrics", b"x")
    next((tmp_path / "metrics").iterdir()).unlink()
    assert spool.peek("metrics") is None
    assert spool.dropped == {("batch_metrics", "corrupt"): 1}


@pytest.mark.parametrize(
    "spoilt",
    [
        b"",
        b"{}",
        b"not json",
        b"[" * 100_000,
        b'{"spool_id": "a", "reserved": {"metrics": 1e999}}',
        b'{"spool_id": "../x", "reserved": {}}',
    ],
)
def test_without_its_numbers_the_spool_has_a_new_identity_and_keeps_the_batches(tmp_path: Path, spoilt: bytes) -> None:
    before = Spool(tmp_path)
    before.put("metrics", b"kept")
    (tmp_path / "state.json").write_bytes(spoilt)
    after = Spool(tmp_path)
    assert after.spool_id != before.spool_id
    batch = after.peek("metrics")
    assert batch is not None
    assert gzip.decompress(batch.payload) == b"kept"
    assert after.put("metrics", b"more") == 2


def test_only_the_owner_can_read_what_waits(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.put("lines", b"a secret that a container logged")
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "spool").rglob("*")}
    assert modes == {0}


def test_numbers_go_on_while_the_disk_is_full_until_the_block_is_used_up(tmp_path: Path) -> None:
    disk = Disk()
    numbers = Reservation(tmp_path / "state.json", disk.write, block=4)
    disk.fault = errno.ENOSPC
    given_out = [numbers.next("metrics") for _ in range(6)]
    assert given_out[:4] == [1, 2, 3, 4]
    assert given_out[-1] is None
    disk.fault = None
    last = max(number for number in given_out if number is not None)
    assert numbers.next("metrics") == last + 1


class AgainstAModel(RuleBasedStateMachine):
    """Puts, acknowledgements and restarts in any order, beside a plain list."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.spool = Spool(Path(self.folder.name))
        self.kept: dict[str, list[tuple[int, bytes]]] = {signal: [] for signal in SIGNALS}
        self.highest = dict.fromkeys(SIGNALS, 0)

    @rule(what=st.sampled_from(LEAST_VALUABLE_FIRST), payload=st.binary(max_size=40))
    def put(self, what: What, payload: bytes) -> None:
        of, sequence = SIGNAL_OF[what], self.spool.put(what, payload)
        assert sequence is not None
        assert sequence > self.highest[of]
        self.highest[of] = sequence
        self.kept[of].append((sequence, payload))

    @rule(of=st.sampled_from(SIGNALS))
    def acknowledge(self, of: str) -> None:
        if self.kept[of]:
            self.spool.ack(of, self.kept[of].pop(0)[0])  # type: ignore[arg-type]

    @rule()
    def restart(self) -> None:
        self.spool = Spool(Path(self.folder.name))

    @invariant()
    def the_oldest_is_what_the_model_says(self) -> None:
        for of in SIGNALS:
            batch = self.spool.peek(of)
            found = (batch.sequence, gzip.decompress(batch.payload)) if batch else None
            assert found == (self.kept[of][0] if self.kept[of] else None)
            assert self.spool.waiting(of) == len(self.kept[of])

    def teardown(self) -> None:
        self.folder.cleanup()


TestAgainstAModel = AgainstAModel.TestCase
TestAgainstAModel.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


@settings(deadline=None, max_examples=30)
@given(puts=st.lists(st.tuples(st.sampled_from(LEAST_VALUABLE_FIRST), st.integers(0, 3_000)), max_size=20))
def test_the_bound_holds_and_every_batch_waits_or_is_counted(
    puts: list[tuple[What, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool"), max_bytes=4_000)
    for what, size in puts:
        spool.put(what, noise(size))
        assert spool.waiting_bytes <= 4_000
    assert sum(map(spool.waiting, SIGNALS)) + sum(spool.dropped.values()) == len(puts)


def test_a_file_of_an_odd_number_is_a_batch_like_others_and_the_next_ones_too(tmp_path: Path) -> None:
    Spool(tmp_path)
    (tmp_path / "metrics/9999999999999999-metrics-00000000.gz").write_bytes(b"x")
    spool = Spool(tmp_path)
    spool.put("metrics", b"next")
    assert Spool(tmp_path).waiting("metrics") == 2


def test_a_wait_is_over_when_a_batch_was_put_since_or_the_spool_is_released(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    before = spool.puts
    spool.put("metrics", b"1")
    spool.wait(LONG_SECONDS, before)
    waiting = threading.Thread(target=spool.wait, args=(LONG_SECONDS, spool.puts))
    waiting.start()
    spool.release()
    waiting.join(LONG_SECONDS / 2)
    assert not waiting.is_alive()
