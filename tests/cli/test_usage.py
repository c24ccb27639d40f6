"""What a command line that can't be parsed is answered: one sentence, with the nearest known or where help is."""

from __future__ import annotations

import pytest

from cli.main import main


def answer(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setattr("sys.argv", ["midwatch", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("ps --jsn", "midwatch ps: there is no option --jsn; did you mean --json?"),
        ("ps --frobnicate", "midwatch ps: there is no option --frobnicate; see `midwatch ps --help`"),
        ("demo break api --erors 1", "midwatch demo break: there is no option --erors; did you mean --errors?"),
        ("chekc x", "midwatch: there is no command chekc; did you mean check?"),
        ("silence ad", "midwatch silence: there is no command ad; did you mean add?"),
        ("run", "midwatch run: FILE is missing; see `midwatch run --help`"),
        ("stop a b c", "midwatch stop: b c is more than it takes; see `midwatch stop --help`"),
        ("ps --data", "midwatch: --data needs a value; see `midwatch --help`"),
        ("ps --json=3", "midwatch: --json takes no value; see `midwatch --help`"),
        ("silence add x", "midwatch silence add: 'x' is no matcher; write service=shop/api, or with !=, =~ or !~"),
        ("silence add a=b --for 99999d", "midwatch silence add: '99999d' is too long; write at most 365d"),
        ("silence add a=b --for 0.5s", "midwatch silence add: '0.5s' is too short; write at least 1s"),
        ("demo break api --errors 4", "midwatch demo break: '4' is no share; write a number from 0 to 1, such as 0.3"),
        (
            "query up --at 0001-01-01",
            "midwatch query: '0001-01-01' is no moment; write 2026-01-31T12:00:00Z, seconds, or -1h",
        ),
        ("sql x --seconds 0", "midwatch sql: --seconds is too small; write at least 0.1"),
        ("sql x --seconds 9999", "midwatch sql: --seconds is too large; write at most 3600"),
        ("sql x --seconds x", "midwatch sql: --seconds is no number; write one such as 10 or 0.5"),
        (
            "slo list --state foo",
            "midwatch slo list: --state: 'foo' is not one of 'ok', 'burning', 'exhausted', 'no-traffic', 'unmeasured', "
            "'learning'; see `midwatch slo list --help`",
        ),
        ("sql x --rows 1.5", "midwatch sql: --rows is no whole number; write one such as 10"),
        ("ps --\u202exyz", "midwatch ps: there is no option --\\u202exyz; see `midwatch ps --help`"),
    ],
)  # fmt: skip
def test_it_is_one_sentence_without_a_box(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    assert answer(capsys, monkeypatch, *words.split(" ")) == f"{said}\n"


def test_a_path_that_is_none_is_one_line_and_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = answer(capsys, monkeypatch, "up", "--data", "/dev/null/x")
    assert said == "midwatch: /dev/null/x: Not a directory; correct the path, or choose another folder with --data\n"
