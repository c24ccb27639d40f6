"""Engines and containers for the runtime's tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from runtime.engine import Engine
from runtime.model import Container
from tests.support.engine import EngineUnderTest

Run = Callable[..., Container]
_numbers = itertools.count(1)


@pytest.fixture
def live(engine: EngineUnderTest) -> Iterator[Engine]:
    """Our own view of the engine under test."""
    found = Engine(engine.url)
    yield found
    found.close()


@pytest.fixture
def run(engine: EngineUnderTest, live: Engine, tiny_image: str) -> Iterator[Run]:
    """Makes and starts a container that runs a shell's text; all are removed at the end."""
    made: list[str] = []

    def start(script: str = "exec sleep 600", **body: object) -> Container:
        name = f"runtime-{engine.run_id}-{next(_numbers)}"
        labels = {**engine.labels, **body.pop("Labels", {})}  # type: ignore[dict-item]
        command = ["sh", "-c", script]
        made.append(
            live.create(name, {"Image": tiny_image, "Cmd": command, "Labels": labels, "StopTimeout": 0, **body})
        )
        live.start(made[-1])
        found = live.inspect(made[-1])
        assert found is not None
        return found

    yield start
    for id in made:
        live.remove(id)


@pytest.fixture
def sleeper(live: Engine, run: Run) -> tuple[Engine, Container]:
    """An engine and a running container that does nothing."""
    return live, run()
