"""Variables in Compose files and env files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.compose_interpolate import env_file, interpolate

ENVIRON = {"A": "1", "EMPTY": "", "_x9": "y"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("$A", "1"),
        ("${A}", "1"),
        ("${_x9}z", "yz"),
        ("a$$b", "a$b"),
        ("$$A", "$A"),
        ("${A:-d}", "1"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${NO-d}", "d"),
        ("${NO:-${A}}", "1"),
        ("${NO:-${NEITHER:-deep}}x", "deepx"),
        ("${NO:-a$$b}", "a$b"),
        ("${A:+set}", "set"),
        ("${EMPTY:+set}", ""),
        ("${EMPTY+set}", "set"),
        ("${NO:-a:b}", "a:b"),
        ("${A:?m}", "1"),
        ("$NO", ""),
        ("${NO:-{}}", "{}"),
    ],
)
def test_each_form_of_the_specification(text: str, value: str) -> None:
    assert interpolate(text, ENVIRON) == value


def test_a_variable_without_a_value_is_named() -> None:
    missing: set[str] = set()
    assert interpolate("$NO ${ALSO} ${THIS:-d}", ENVIRON, missing) == "  d" and missing == {"NO", "ALSO"}


@pytest.mark.parametrize("text", ["${NO:?set it}", "${NO?}", "${EMPTY:?x}"])
def test_a_required_variable_that_is_missing_is_a_fault_with_its_message(text: str) -> None:
    with pytest.raises(ValueError, match=r"variable \w+ is required"):
        interpolate(text, ENVIRON)


@pytest.mark.parametrize("text", ["$", "a$ b", "${", "${}", "${A", "${1A}", "${A!b}", "$(date)", "${A:-${B}"])
def test_malformed_forms_are_faults_with_a_remedy(text: str) -> None:
    with pytest.raises(ValueError, match=r"write \$\$|the form is"):
        interpolate(text, ENVIRON)


def test_defaults_can_not_nest_without_end() -> None:
    with pytest.raises(ValueError, match="nested deeper"):
        interpolate("${N:-" * 30 + "}" * 30, {})


@given(st.text(max_size=200))
def test_doubling_every_dollar_keeps_any_text(text: str) -> None:
    assert interpolate(text.replace("$", "$$"), {}) == text


def test_an_env_file_knows_comments_quotes_export_and_earlier_names() -> None:
    text = "\n".join(
        (
            "# comment", "", "A=1", "export B = two words # not this", "C='$A #x'", 'D="l1\\nl2 $A \\"q\\""',
            "E=${A}-${HOST:-none}", "BARE", "EMPTY=", "F=a#b", "G=x=y",
        )
    )  # fmt: skip
    assert env_file(text, {"HOST": "h"}) == {
        "A": "1", "B": "two words", "C": "$A #x", "D": 'l1\nl2 1 "q"', "E": "1-h", "BARE": None, "EMPTY": "",
        "F": "a#b", "G": "x=y",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["A=1\n=2", "A=1\n-x=2", "A=1\nB='open", 'A=1\nB="open'])
def test_an_env_files_fault_names_its_line(text: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        env_file(text, {})
