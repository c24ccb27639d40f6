"""Frames of a log stream as lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.engine_logs import Frame, RawLine, frames, lines, stamped, tty_frames

STAMP = b"1970-01-01T00:00:01.500000000Z "


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
    later = STAMP.replace(b"01.5", b"02.5")
    sent = [Frame("stdout", STAMP + b"one "), Frame("stderr", STAMP + b"aside\n"), Frame("stdout", later + b"line\n")]
    assert list(lines(sent)) == [RawLine(1500, "stderr", b"aside"), RawLine(1500, "stdout", b"one line")]


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


def test_a_line_that_only_looks_stamped_stays_as_it_is() -> None:
    assert stamped(b"hello world") == (None, b"hello world")
    assert stamped(b"") == (None, b"")
