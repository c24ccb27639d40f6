from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from service.prometheus_api import Queries, label_values, labels, matchers_of, series, tsdb_status
from service.prometheus_params import Form, PrometheusFault
from service.promql.engine import Engine
from service.promql.model import Limits
from service.samples import Matcher

ALL: list[Mapping[str, str]] = [{"__name__": "up", "job": "a"}, {"__name__": "up", "job": "b"}, {"__name__": "x"}]


class Listed:
    """Three series, whatever is asked for; remembers what that was."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[Matcher, ...], int, int]] = []

    def series_of(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> Sequence[Mapping[str, str]]:
        self.asked.append((tuple(matchers), since_ms, until_ms))
        return ALL

    def names_of(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> Sequence[str]:
        self.asked.append((tuple(matchers), since_ms, until_ms))
        return sorted({name for one in ALL for name in one})

    def values_of(self, name: str, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> Sequence[str]:
        self.asked.append((tuple(matchers), since_ms, until_ms))
        return sorted({one[name] for one in ALL if name in one})


def queries(listing: Listed, seconds: float = 30.0, most: int = 100) -> Queries:
    return Queries(cast(Engine, None), listing, Limits(max_seconds=seconds), lambda: 0, most)


def never() -> bool:
    return False


def test_times_are_taken_with_both_ends() -> None:
    listing = Listed()
    labels(queries(listing), Form([("start", "1.5"), ("end", "2"), ("match[]", "up")]), never)
    assert listing.asked == [((Matcher("__name__", "=", "up"),), 1499, 2000)]


def test_what_several_selectors_find_is_told_once() -> None:
    form = Form([("match[]", "up"), ("match[]", '{job="a"}')])
    assert json.loads(series(queries(Listed()), form, never))["data"] == ALL
    assert json.loads(label_values(queries(Listed()), "job", form, never))["data"] == ["a", "b"]


def test_long_lists_are_cut_with_a_warning() -> None:
    found = json.loads(series(queries(Listed(), most=2), Form([("match[]", "up")]), never))
    assert (len(found["data"]), found["warnings"]) == (2, ["results truncated due to limit"])


def test_lists_too_have_only_the_time_of_a_query() -> None:
    form = Form([("match[]", "up")] * 50)
    with pytest.raises(PrometheusFault, match="timed out") as late:
        labels(queries(Listed(), seconds=-1.0), form, never)
    assert late.value.status == 503
    with pytest.raises(PrometheusFault) as gone:
        labels(queries(Listed()), form, lambda: True)
    assert gone.value.status == 499


@pytest.mark.parametrize("text", ["up[5m]", "up offset 5m", "up @ 3", "sum(up)", "1", '"up"', "", "up{", "{}"])
def test_what_is_no_selector_of_series_is_refused(text: str) -> None:
    with pytest.raises(PrometheusFault, match=r"match\[\]"):
        matchers_of(text)


def test_names_with_most_series_come_first() -> None:
    told = tsdb_status(Listed(), 1, 3_600_000)
    assert told["seriesCountByMetricName"] == [{"name": "up", "value": 2}]
    assert told["labelValueCountByLabelName"] == [{"name": "__name__", "value": 2}]
    assert told["headStats"]["numSeries"] == 3
