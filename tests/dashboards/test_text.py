"""Numbers as people read them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from dashboards.text import amount, bytes_text, percent_split, seconds_text, shown, times


def test_no_data_is_said_in_words_and_never_as_a_number() -> None:
    assert percent_split(None) == ("no data", "")
    assert bytes_text(None) == seconds_text(None) == amount(None) == "no data"
    assert times(None) == "–"


@pytest.mark.parametrize(
    ("burn", "text"),
    [(Fraction(0), "0×"), (Fraction(1, 50), "0.02×"), (Fraction(146, 10), "14.6×"), (Fraction(1000, 3), "333×")],
)
def test_a_burn_rate_has_the_digits_that_matter(burn: Fraction, text: str) -> None:
    assert times(burn) == text


def test_what_is_below_one_never_reads_as_a_hundred_percent() -> None:
    assert percent_split(Fraction(999_999, 1_000_000)) == ("99.9999", "%")


def test_bytes_have_at_most_three_digits() -> None:
    assert bytes_text(512 * 2**20) == "512 MiB"
    assert bytes_text(1000) == "1.0 KiB"
    assert bytes_text(0) == "0 B"


def test_seconds_are_no_finer_than_a_reader_needs() -> None:
    assert seconds_text(0.0124) == "12 ms"
    assert seconds_text(41.3) == "41 s"
    assert seconds_text(212.0) == "3 min 32 s"


def test_a_negative_number_has_a_real_minus_sign() -> None:
    assert percent_split(Fraction(-58, 100), 0) == ("−58", "%")
    assert amount(-0.001) == "0"


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("a\u202egpj", "a\\u202egpj"),
        ("\u2067x\u2069 \u200f \u061c", "\\u2067x\\u2069 \\u200f \\u061c"),
        ("\x1b[2J\x00", "\\u001b[2J\\u0000"),
        ("one\n\ttwo\r\n", "one\n\ttwo\r\n"),
        ("שלום नमस्ते 👩\u200d💻 می\u200cخواهم", "שלום नमस्ते 👩\u200d💻 می\u200cخواهم"),
    ],
)
def test_what_would_turn_the_text_beside_it_is_shown_and_scripts_stay(text: str, page: str) -> None:
    assert shown(text) == page
