"""Burn rows that can't work are told in the log: once, and as a warning where somebody asked for them."""

from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction

import pytest

from service.slo_lint import Linted
from slo.burn import Policy
from slo.rows import TABLES
from tests.slo.support import objective

BUILD = replace(objective(Fraction(1, 10)), slo="build-time")


def test_what_our_own_defaults_make_so_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Linted().look([BUILD])
    (told,) = caplog.records
    assert told.levelno == logging.INFO
    assert told.getMessage().startswith("objective build-time of shop/api: row fast can never fire: 14.4x")


def test_another_target_or_another_table_is_and_only_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    linted = Linted()
    for _ in range(2):
        linted.look([objective(Fraction(1, 5))])
    assert [it.levelno for it in caplog.records] == [logging.WARNING] * 2  # the fast row, and the slow one
    caplog.clear()
    pyrra = next(it for it in TABLES if it.name == "pyrra")
    Linted(Policy(pyrra.rows, pyrra.period_ms)).look([BUILD])
    assert "row fast can never fire: 15x" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING
