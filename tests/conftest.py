"""Fixtures of all rooms: a real engine, images, registries, a receiver for pages, a browser."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from hypothesis import settings

from cli.images import import_busybox, import_python
from tests.support.engine import EngineUnderTest, engine_under_test
from tests.support.ports import free_port
from tests.support.registry import HTPASSWD, RegistryUnderTest
from tests.support.webhook import Webhook, receiver

# A busy machine fails no property: how long an example takes says nothing of the code. Examples are the same in every
# run, so that what fails has changed; MIDWATCH_TEST_RANDOM=1 looks for new ones.
_SAME = not os.environ.get("MIDWATCH_TEST_RANDOM")
settings.register_profile("midwatch", deadline=None, derandomize=_SAME)
# What the sources were asked a hundred times the wheel is asked a few times: it is to be whole, not proved anew
settings.register_profile("wheel", deadline=None, derandomize=_SAME, max_examples=5)
settings.load_profile("wheel" if os.environ.get("MIDWATCH_WHEEL") else "midwatch")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def engine() -> Iterator[EngineUnderTest]:
    """A container engine that answers; what is made with its labels is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="midwatch-engine-") as folder, engine_under_test(Path(folder)) as found:
        yield found


@pytest.fixture(scope="session")
def tiny_image(engine: EngineUnderTest) -> Iterator[str]:
    """An image with a static busybox: starts at once."""
    yield from _image(engine, "midwatch-test/busybox", import_busybox)


@pytest.fixture(scope="session")
def python_image(engine: EngineUnderTest) -> Iterator[str]:
    """An image with python3 and its standard library, and busybox."""
    yield from _image(engine, "midwatch-test/python", import_python)


@pytest.fixture
def registry(engine: EngineUnderTest, tmp_path: Path) -> Iterator[RegistryUnderTest]:
    """A registry on a free port that asks for no password."""
    yield from _registry(RegistryUnderTest(tmp_path / "registry", free_port(), engine.client))


@pytest.fixture
def auth_registry(engine: EngineUnderTest, tmp_path: Path) -> Iterator[RegistryUnderTest]:
    """A registry that asks for the password in `credentials`."""
    htpasswd = tmp_path / "htpasswd"
    htpasswd.write_text(HTPASSWD)
    yield from _registry(RegistryUnderTest(tmp_path / "auth-registry", free_port(), engine.client, htpasswd))


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """A real HTTP receiver that keeps every request."""
    with receiver() as hook:
        yield hook


@pytest.fixture(scope="session")
def browser_path() -> str:
    """The path of a Chromium on this machine."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None and os.environ.get("MIDWATCH_TEST_REQUIRE"):
        pytest.fail("no Chromium: install the package chromium")
    return found or pytest.skip("no Chromium on this machine")


def _registry(registry: RegistryUnderTest) -> Iterator[RegistryUnderTest]:
    registry.start()
    yield registry
    registry.stop()


def _image(
    engine: EngineUnderTest, repository: str, make: Callable[[docker.DockerClient, str, str], None]
) -> Iterator[str]:
    """An image made where it is missing, and then removed again at the end."""
    reference = f"{repository}:1"
    missing = not engine.client.images.list(reference)
    if missing:
        make(engine.client, repository, "1")
    yield reference
    engine.clean()
    if missing:
        engine.client.images.remove(reference, force=True)
