from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.prometheus_params import STATUS, Form, PrometheusFault, duration, moment


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [("0", 0), ("1.5", 1500), ("1700000000.123", 1_700_000_000_123), ("-1.25", -1250), ("1e9", 1_000_000_000_000),
     ("2015-06-03T13:21:58.555Z", 1_433_337_718_555), ("2015-06-03T14:21:58.555+01:00", 1_433_337_718_555),
     ("2015-06-03t13:21:58z", 1_433_337_718_000), ("1969-12-31T23:59:59.5Z", -500)],
)  # fmt: skip
def test_moments(text: str, at_ms: int) -> None:
    assert moment("time", text) == at_ms


@pytest.mark.parametrize(
    "text", ["", "x", "nan", "inf", "1e300", "2015-06-03", "2015-13-03T13:21:58Z", "1_000", "٣", " 1"]
)
def test_what_is_no_moment_is_refused_by_name(text: str) -> None:
    with pytest.raises(PrometheusFault, match='invalid parameter "time": cannot parse') as found:
        moment("time", text)
    assert (found.value.kind, found.value.status) == ("bad_data", 400)


@pytest.mark.parametrize(
    ("text", "ms"),
    [("15", 15_000), ("0.5", 500), ("1m", 60_000), ("1h30m", 5_400_000), ("1d2h", 93_600_000), ("5ms", 5)],
)
def test_durations(text: str, ms: int) -> None:
    assert duration("step", text) == ms


@pytest.mark.parametrize("text", ["", "m", "1m1h", "nan", "inf", "1x", "1e300", "999999999999999999y"])
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(PrometheusFault, match='invalid parameter "step"'):
        duration("step", text)


@given(st.text(max_size=20))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    for read in (moment, duration):
        try:
            assert isinstance(read("x", text), int)
        except PrometheusFault as fault:
            assert fault.status == STATUS["bad_data"]


def test_limits_and_spans() -> None:
    assert Form([]).limit() == 0
    assert Form([("limit", "12")]).limit() == 12
    for wrong in ("-1", "x", "1.5"):
        with pytest.raises(PrometheusFault):
            Form([("limit", wrong)]).limit()
    with pytest.raises(PrometheusFault, match="before start"):
        Form([("start", "2"), ("end", "1")]).span()
