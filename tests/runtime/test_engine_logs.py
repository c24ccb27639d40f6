"""Frames of a log stream as lines."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.engine_json import time_ms
from runtime.engine_logs import PARTIAL_BYTES, REMEMBERED_LINES, Frame, RawLine, frames, lines, stamped, tty_frames

STAMP = b"1970-01-01T00:00:01.500000000Z "
LATER = STAMP.replace(b"01.5", b"02.5")


def framed(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40))), st.integers(1, 17))
def test_frames_come_whole_however_the_network_cuts_them(sent: list[tuple[int, bytes]], size: int) -> None:
    wire = b"".join(framed(stream, payload) for stream, payload in sent)
    chunks = [wire[at : at + size] for at in range(0, len(wire), size)]
    names = {1: "stdout", 2: "stderr"}
    assert list(frames(chunks)) == [Frame(names[stream], payload) for stream, payload in sent]  # type: ignore[arg-type]


@given(st.integers(1, 30))
def test_a_frame_beyond_the_bound_is_cut_and_the_next_one_still_found(size: int) -> None:
    wire = framed(1, b"x" * 100) + framed(2, b"next")
    chunks = [wire[at : at + size] for at in range(0, len(wire), size)]
    assert list(frames(chunks, max_frame_bytes=10)) == [Frame("stdout", b"x" * 10), Frame("stderr", b"next")]


def test_a_line_has_its_time_and_its_stream_and_no_newline() -> None:
    sent = [Frame("stderr", STAMP + b"it broke\r\n")]
    assert list(lines(sent)) == [RawLine(1500, "stderr", b"it broke")]


def test_a_message_in_several_frames_is_one_line_with_the_first_ones_time() -> None:
    sent = [Frame("stdout", STAMP + b"one "), Frame("stderr", STAMP + b"aside\n"), Frame("stdout", STAMP + b"line\n")]
    assert list(lines(sent)) == [RawLine(1500, "stderr", b"aside"), RawLine(1500, "stdout", b"one line")]


def test_full_parts_are_one_line_also_where_each_has_a_stamp_of_its_own() -> None:
    part = b"x" * PARTIAL_BYTES
    sent = [Frame("stdout", STAMP + part), Frame("stdout", LATER + part), Frame("stdout", LATER + b"end\n")]
    assert list(lines(sent)) == [RawLine(1500, "stdout", part + part + b"end")]


def test_the_last_line_of_a_run_without_newline_is_not_joined_with_the_next_runs_first() -> None:
    sent = [Frame("stdout", STAMP + b"killed he"), Frame("stdout", LATER + b"ready\n")]
    assert list(lines(sent)) == [RawLine(1500, "stdout", b"killed he"), RawLine(2500, "stdout", b"ready")]


def test_two_runs_that_ended_without_newline_left_two_lines() -> None:
    sent = [Frame("stdout", STAMP + b"one"), Frame("stdout", LATER + b"two")]
    assert [line.text for line in lines(sent)] == [b"one", b"two"]


@given(st.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1)), st.integers(0, 999))
def test_a_stamp_is_the_same_time_however_it_is_read(at: datetime, nanos: int) -> None:
    text = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d}{nanos:03d}Z".zfill(30)
    assert stamped(text.encode() + b" x").at_ms == time_ms(text)


@pytest.mark.parametrize("stamp", [b"2026-13-01T00:00:00.000000000Z", b"2026-01-01T00:00:00.00000000xZ", b"x" * 30])
def test_a_stamp_that_is_no_time_is_text(stamp: bytes) -> None:
    assert stamped(stamp + b" x") == (b"", None, stamp + b" x")


def test_a_line_beyond_the_bound_is_cut_and_says_so() -> None:
    sent = [
        Frame("stdout", STAMP + b"x" * 9),
        Frame("stdout", STAMP + b"y" * 9 + b"\n"),
        Frame("stdout", STAMP + b"z\n"),
    ]
    assert list(lines(sent, max_line_bytes=12)) == [
        RawLine(1500, "stdout", b"x" * 9 + b"yyy", cut=True),
        RawLine(1500, "stdout", b"z"),
    ]


def test_a_last_line_without_newline_is_not_lost() -> None:
    assert list(lines([Frame("stdout", STAMP + b"killed he")])) == [RawLine(1500, "stdout", b"killed he")]


def test_a_terminals_stream_is_cut_into_lines_and_an_endless_one_at_the_bound() -> None:
    chunks = [STAMP + b"a\r\n" + STAMP, b"b\n", b"x" * 30]
    found = list(lines(tty_frames(chunks, max_line_bytes=10), max_line_bytes=10))
    assert [line.text for line in found] == [b"a", b"b", b"x" * 10] and found[2].cut


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(0, 50), st.integers(100, 40_000))
def test_a_terminals_long_line_is_joined_where_the_engine_stamped_its_parts(full: int, rest: int, size: int) -> None:
    part = b"x" * PARTIAL_BYTES
    wire = (STAMP + part) * full + STAMP + b"y" * rest + b"\r\n" + LATER + b"next\r\n"
    chunks = [wire[at : at + size] for at in range(0, len(wire), size)]
    assert list(lines(tty_frames(chunks))) == [
        RawLine(1500, "stdout", part * full + b"y" * rest),
        RawLine(2500, "stdout", b"next"),
    ]


def at(nanos: int, text: bytes) -> Frame:
    return Frame("stdout", b"1970-01-01T00:00:01.%09dZ " % nanos + text + b"\n")


@given(st.integers(1, 60), st.data())
def test_lines_that_the_engine_sends_again_after_a_rotation_come_once(count: int, data: st.DataObject) -> None:
    written = [at(n * 100, b"line %d" % n) for n in range(count)]
    again = data.draw(st.integers(0, count - 1))
    later = [at(10**8 + n, b"later %d" % n) for n in range(3)]
    found = lines([*written, *written[again:], *later, *later])
    assert [line.text for line in found] == [b"line %d" % n for n in range(count)] + [b"later %d" % n for n in range(3)]


def test_lines_after_a_clock_was_set_back_are_no_repeats() -> None:
    sent = [at(500, b"same"), at(400, b"same"), at(450, b"same"), at(450, b"other")]
    assert [line.text for line in lines(sent)] == [b"same", b"same", b"same", b"other"]


def test_lines_without_a_stamp_are_never_repeats() -> None:
    assert len(list(lines([Frame("stdout", b"tick\n")] * 3))) == 3


def test_what_is_remembered_of_a_log_is_bounded() -> None:
    written = [at(n, b"x") for n in range(REMEMBERED_LINES + 5)]
    texts = list(lines([*written, written[-1], written[5]]))
    assert len(texts) == REMEMBERED_LINES + 5
    assert len(list(lines([*written, written[0]]))) == REMEMBERED_LINES + 6


def test_a_stamp_that_the_container_wrote_itself_stays_in_its_line() -> None:
    sent = STAMP + b"time=" + LATER + b"msg=started\n"
    assert [line.text for line in lines(tty_frames([sent]))] == [b"time=" + LATER + b"msg=started"]


def test_a_line_that_only_looks_stamped_stays_as_it_is() -> None:
    assert stamped(b"hello world") == (b"", None, b"hello world")
    assert stamped(b"") == (b"", None, b"")
