"""What the fixtures promise to the tests of all rooms."""

from __future__ import annotations

import docker.errors
import httpx
import pytest

from tests.support.engine import EngineUnderTest
from tests.support.registry import RegistryUnderTest
from tests.support.webhook import Webhook


@pytest.mark.engine
def test_the_busybox_image_runs(engine: EngineUnderTest, tiny_image: str) -> None:
    out = engine.client.containers.run(tiny_image, ["echo", "hi"], labels=engine.labels, remove=True)
    assert out == b"hi\n"


@pytest.mark.engine
def test_the_python_image_serves_http_modules(engine: EngineUnderTest, python_image: str) -> None:
    code = "import http.server, json, threading, urllib.request, resource; print('ready')"
    out = engine.client.containers.run(
        python_image, ["python3", "-c", code], labels=engine.labels, remove=True, stderr=True
    )
    assert out == b"ready\n"


@pytest.mark.engine
def test_an_image_pushed_to_the_registry_can_be_pulled(
    engine: EngineUnderTest, registry: RegistryUnderTest, tiny_image: str
) -> None:
    reference = registry.push(tiny_image, "team/app", "1")
    assert engine.client.images.pull(reference).tags
    engine.client.images.remove(reference)


@pytest.mark.engine
def test_a_stopped_registry_refuses_and_comes_back_with_its_images(
    engine: EngineUnderTest, registry: RegistryUnderTest, tiny_image: str
) -> None:
    reference = registry.push(tiny_image, "team/app", "1")
    registry.stop()
    with pytest.raises(docker.errors.APIError, match="connection refused"):
        engine.client.images.pull(reference)
    registry.start()
    assert engine.client.images.pull(reference).tags
    engine.client.images.remove(reference)


@pytest.mark.engine
def test_the_registry_with_a_password_wants_it(
    engine: EngineUnderTest, auth_registry: RegistryUnderTest, tiny_image: str
) -> None:
    reference = auth_registry.push(tiny_image, "team/secret", "1")
    with pytest.raises(docker.errors.APIError, match="no basic auth credentials"):
        engine.client.images.pull(reference)
    assert engine.client.images.pull(reference, auth_config=auth_registry.credentials).tags
    engine.client.images.remove(reference)


def test_the_webhook_keeps_what_came_and_answers_as_told(webhook: Webhook) -> None:
    webhook.answers.append(503)
    statuses = [httpx.post(webhook.url, json={"status": status}).status_code for status in ("firing", "resolved")]
    assert statuses == [503, 200]
    assert [request.json["status"] for request in webhook.received] == ["firing", "resolved"]
    assert len(webhook.with_status("firing")) == 1
