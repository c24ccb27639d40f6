"""What state looks like."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dashboards import pages
from dashboards.marks import of_judgement
from tests.dashboards.fake import FakeSource
from tests.dashboards.rich import NOW


def test_a_window_that_was_measured_in_part_is_known_and_not_green(source: FakeSource) -> None:
    good = next(it for it in source.judgements() if it.state == "ok" and not it.in_part)
    assert of_judgement(good).level == "ok"
    found = of_judgement(replace(good, in_part=True))
    assert (found.level, found.word, found.known) == ("part", "ok, in part", True)


def test_the_tile_of_objectives_met_counts_those_that_were_measured_in_part(
    source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = [replace(it, in_part=it.state == "ok") for it in source.judgements()]
    partly = sum(it.in_part for it in judged)
    monkeypatch.setattr(source, "judgements", lambda: judged)
    view = pages.executive(source, pages.parse("executive", {}, NOW), NOW)
    tile = next(it for it in view.tiles if it.key == "met")
    assert partly > 0
    assert f"{partly} in part" in tile.detail or f"{partly} measured in part" in tile.detail
