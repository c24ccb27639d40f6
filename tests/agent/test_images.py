"""Which of the declared images have a registry that is worth a look."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from agent.ledger import Ledger
from agent.main import Agent
from runtime.model import Pull, ServiceName

WEB = ServiceName("p", "web")


def test_a_name_without_a_registry_counts_only_once_it_was_pulled() -> None:
    ledger = Ledger(lambda: 0)
    agent: Any = SimpleNamespace(ledger=ledger)
    assert not Agent._comes_from_outside(agent, WEB, "shop-worker")
    assert Agent._comes_from_outside(agent, WEB, "127.0.0.1:5000/shop-worker:1")
    pull = Pull("shop-worker", "docker.io", "library/shop-worker", "not_found", 0, 2.0, 0, (), None, None)
    ledger.pull(pull, WEB)
    assert Agent._comes_from_outside(agent, WEB, "shop-worker")
