"""The installed wheel holds all that runs, under names that are nobody else's; `.ci/wheel-test` runs this on it."""

from __future__ import annotations

import importlib
import os
import sysconfig
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOMS = ("agent", "runtime", "slo", "alerts", "dashboards", "service", "cli", "runbooks")
WHEEL = os.environ.get("MIDWATCH_WHEEL")

of_the_wheel = pytest.mark.skipif(WHEEL is None, reason="only against the installed wheel")


@of_the_wheel
@pytest.mark.parametrize("room", [room for room in ROOMS if room != "runbooks"])
def test_each_room_comes_from_the_installed_wheel_and_not_from_the_sources(room: str) -> None:
    file = importlib.import_module(room).__file__
    assert file is not None
    assert Path(file).is_relative_to(sysconfig.get_path("purelib"))


@of_the_wheel
@pytest.mark.parametrize(
    "pattern",
    ["dashboards/templates/*.html", "dashboards/static/dist/*.js", "dashboards/static/dist/*.css", "runbooks/*.md",
     "cli/shop/compose.yaml", "cli/shop/Dockerfile", "cli/shop/shop.py"],
)  # fmt: skip
def test_templates_browser_code_runbooks_and_the_demo_are_in_the_wheel(pattern: str) -> None:
    assert WHEEL is not None
    with zipfile.ZipFile(WHEEL) as wheel:
        assert [name for name in wheel.namelist() if Path(name).match(pattern)]


@of_the_wheel
def test_nothing_but_the_product_is_in_the_wheel() -> None:
    assert WHEEL is not None
    with zipfile.ZipFile(WHEEL) as wheel:
        tops = {name.split("/")[0] for name in wheel.namelist()}
        assert {name for name in tops if not name.endswith(".dist-info")} == set(ROOMS)
        assert not [name for name in wheel.namelist() if "node_modules" in name or name.endswith(".pyc")]


def test_the_names_of_our_rooms_are_nobody_elses() -> None:
    owners = {room: {name for name in packages_distributions().get(room, []) if name != "midwatch"} for room in ROOMS}
    assert {room: names for room, names in owners.items() if names} == {}
