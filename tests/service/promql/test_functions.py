"""No function that Prometheus 3 documents is missing, and what the docs name is there."""

from __future__ import annotations

import re
from pathlib import Path

import promql_parser
import pytest

from service.promql.functions import FUNCTIONS
from service.promql.lex import RENAMED

DOCUMENTED = """
abs absent absent_over_time acos acosh asin asinh atan atanh avg_over_time ceil changes clamp clamp_max clamp_min cos
cosh count_over_time day_of_month day_of_week day_of_year days_in_month deg delta deriv exp floor histogram_avg
histogram_count histogram_fraction histogram_quantile histogram_stddev histogram_stdvar histogram_sum hour idelta
increase irate label_join label_replace last_over_time ln log10 log2 max_over_time min_over_time minute month pi
predict_linear present_over_time quantile_over_time rad rate resets round scalar sgn sin sinh sort sort_desc sqrt
stddev_over_time stdvar_over_time sum_over_time tan tanh time timestamp vector year
"""
STABLE = DOCUMENTED.split()
DOCS = Path(__file__).resolve().parents[3] / "docs" / "promql.md"


def test_every_stable_function_is_there() -> None:
    assert set(STABLE) <= set(FUNCTIONS)


@pytest.mark.source
def test_the_docs_name_the_experimental_ones() -> None:
    line = next(it for it in DOCS.read_text().splitlines() if "experimental ones" in it)
    named = set(re.findall(r"`([a-z_]+)`", line))
    named |= {f"ts_of_{it}_over_time" for it in ("first", "last", "min", "max")}
    assert named - set(RENAMED) == set(FUNCTIONS) - set(STABLE)


def test_the_parser_knows_each_of_ours() -> None:
    for name in FUNCTIONS:
        with pytest.raises(ValueError, match=r"argument|expected"):
            promql_parser.parse(f"{name}({', '.join('1' * 30)}, x, x[5m])")
