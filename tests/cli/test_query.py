from __future__ import annotations

from typing import Any

import pytest
import typer

from cli.query import Asked, lines, moment, name, request

NOW = 1_700_000_000.0


def asked(**given: str) -> Asked:
    return Asked("up", given.get("at"), given.get("since"), given.get("until"), given.get("step"))


def test_without_times_now_is_asked_for() -> None:
    assert request(asked(), NOW) == ("/api/v1/query", {"query": "up", "time": "1700000000.0"})
    assert request(asked(at="-1h"), NOW)[1]["time"] == "1699996400.0"


def test_a_begin_makes_a_range_with_a_step_by_its_length() -> None:
    path, form = request(asked(since="-2h"), NOW)
    assert path == "/api/v1/query_range"
    assert (form["start"], form["end"], form["step"]) == ("1699992800.0", "1700000000.0", "120")
    assert request(asked(until="now", step="30s"), NOW)[1]["start"] == "1699996400.0"


def test_times_that_contradict_each_other_are_refused() -> None:
    for wrong in (asked(at="now", since="-1h"), asked(since="now"), asked(since="-1h", until="-2h"), asked(at="soon")):
        with pytest.raises(typer.BadParameter):
            request(wrong, NOW)


@pytest.mark.parametrize(
    ("text", "at"), [("1700000001", NOW + 1), ("2023-11-14T22:13:20Z", NOW), ("2023-11-14T23:13:20+01:00", NOW)]
)
def test_moments_in_all_forms(text: str, at: float) -> None:
    assert moment(text, 0.0) == at


def test_a_vector_is_a_table() -> None:
    result = [{"metric": {"__name__": "up", "job": "a"}, "value": [NOW, "1"]}, {"metric": {}, "value": [NOW, "12.5"]}]
    assert list(lines({"resultType": "vector", "result": result})) == ['up{job="a"}     1', "{}           12.5"]
    assert list(lines({"resultType": "vector", "result": []})) == ["no series"]
    assert list(lines({"resultType": "scalar", "result": [NOW, "2"]})) == ["2"]


def test_a_matrix_is_a_chart_on_one_axis_with_its_gaps() -> None:
    values = [[NOW + at * 60, str(at)] for at in range(61) if not 20 <= at < 30]
    result: list[dict[str, Any]] = [{"metric": {"__name__": "up"}, "values": values}]
    told = list(lines({"resultType": "matrix", "result": result}))
    assert told[0] == "up"
    assert (len(told[1]), told[1][2], told[1][-1], told[1][22:32]) == (63, "▁", "█", " " * 10)
    assert told[2:] == ["  least 0, most 60, last 60", "2023-11-14 22:13:20Z to 2023-11-14 23:13:20Z"]


def test_odd_values_make_no_error() -> None:
    for texts in (["NaN"], ["+Inf", "1"], ["1e308", "-1e308"], ["5", "5"]):
        values = [[NOW + at, text] for at, text in enumerate(texts)]
        assert list(lines({"resultType": "matrix", "result": [{"metric": {}, "values": values}]}))


def test_labels_cannot_speak_to_the_terminal() -> None:
    assert name({"__name__": "up", "x": "\x1b[31m\x9b0m"}) == r'up{x="\u001b[31m\u009b0m"}'
