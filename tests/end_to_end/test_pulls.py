"""Pulls that fail are three classes of failure; a cached one is no network pull."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import EngineUnderTest
from tests.support.registry import RegistryUnderTest
from tests.support.shop import project
from tests.support.stack import Stack, running
from tests.support.waiting import until


def _sleeper(image: str, **more: Any) -> dict[str, Any]:
    return {"image": image, "command": ["sleep", "600"], "stop_grace_period": "1s", **more}


def _pulls(stack: Stack, service: str, outcome: str) -> float:
    return stack.total("midwatch_image_pulls_total", service=service, outcome=outcome)


@pytest.mark.engine
def test_a_missing_tag_wrong_credentials_and_a_stopped_registry_are_three_classes(
    engine: EngineUnderTest, tiny_image: str, data: Path, registry: RegistryUnderTest, auth_registry: RegistryUnderTest
) -> None:
    registry.push(tiny_image, "team/app", "1")
    missing = f"{registry.address}/team/app:no-such-tag"
    secret = auth_registry.push(tiny_image, "team/secret", "1")
    with running(engine, data) as stack, project(stack) as shop:
        shop.run({"missing": _sleeper(missing), "secret": _sleeper(secret)}, wait_seconds=None)
        until(lambda: _pulls(stack, f"{shop.name}/missing", "not_found") >= 1, what="the missing tag")
        until(lambda: _pulls(stack, f"{shop.name}/secret", "unauthorized") >= 1, what="the wrong credentials")
        registry.stop()
        shop.run({"gone": _sleeper(f"{registry.address}/team/other:1")}, wait_seconds=None)
        until(lambda: _pulls(stack, f"{shop.name}/gone", "unreachable") >= 1, what="the stopped registry")
        assert _pulls(stack, f"{shop.name}/missing", "ok") == _pulls(stack, f"{shop.name}/secret", "ok") == 0


@pytest.mark.engine
def test_a_real_pull_is_counted_with_its_bytes_and_a_cached_one_is_no_network_pull(
    engine: EngineUnderTest, tiny_image: str, data: Path, registry: RegistryUnderTest
) -> None:
    image = registry.push(tiny_image, "team/app", "1")
    try:
        with running(engine, data) as stack, project(stack) as shop:
            shop.run({"first": _sleeper(image)})
            until(lambda: _pulls(stack, f"{shop.name}/first", "ok") == 1, what="the pull")
            shop.run({"first": _sleeper(image), "second": _sleeper(image, pull_policy="always")})
            until(lambda: _pulls(stack, f"{shop.name}/second", "cached") == 1, what="the cached pull")
            assert _pulls(stack, f"{shop.name}/second", "ok") == 0
            assert _pulls(stack, f"{shop.name}/first", "ok") == 1
    finally:
        engine.client.images.remove(image, force=True)
