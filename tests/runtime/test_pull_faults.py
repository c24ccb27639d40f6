"""60 pulls by a real engine from a registry that fails in every way: each has its class, and its real bytes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from agent.ledger import Ledger
from runtime.engine import Engine
from runtime.model import Pull, PullOutcome, ServiceName
from tests.support.certificates import self_signed
from tests.support.faulty_registry import FaultyRegistry, faulty_registry, image_of
from tests.support.own_engine import own_engine
from tests.support.ports import free_port, own_address

API = ServiceName("shop", "api")
AT_ONCE = 12
DISK_MIB = 64


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Kind(NamedTuple):
    """So many pulls that fail in one way, and the class that each must have."""

    name: str
    pulls: int
    outcome: PullOutcome


PLAIN = Kind("plain", 5, "ok")
TRUNCATED = Kind("truncated", 2, "ok")
ONE_BY_ONE = (Kind("too-big", 2, "disk_full"),)
KINDS = (
    PLAIN, TRUNCATED,
    Kind("unknown-tag", 3, "not_found"), Kind("unknown-name", 2, "not_found"), Kind("missing-layer", 3, "not_found"),
    Kind("unauthorized", 4, "unauthorized"), Kind("denied", 3, "unauthorized"),
    Kind("limited", 3, "rate_limited"), Kind("limited-page", 2, "rate_limited"),
    Kind("limited-layer", 3, "rate_limited"),
    Kind("broken", 2, "unreachable"), Kind("broken-config", 2, "unreachable"), Kind("refused", 3, "unreachable"),
    Kind("no-name", 3, "dns"), Kind("distrusted", 2, "tls"), Kind("no-tls", 1, "tls"),
    Kind("silent", 1, "timeout"), Kind("stuck", 1, "timeout"),
    Kind("corrupt-layer", 3, "corrupt"), Kind("corrupt-config", 1, "corrupt"), Kind("corrupt-manifest", 1, "corrupt"),
    Kind("no-platform", 2, "no_platform"), Kind("cancelled", 2, "cancelled"),
)  # fmt: skip
AGAIN = 4
"""Pulls of what was pulled already."""


@dataclass
class Field:
    """The engine, our two views of it, and registries of every temper."""

    engine: Engine
    impatient: Engine
    plain: FaultyRegistry
    addresses: dict[str, str]

    def pull(self, kind: str, number: int) -> Pull:
        """One pull that fails as its kind says."""
        engine = self.impatient if kind == "stuck" else self.engine
        address = self.addresses.get(kind, self.plain.address).format(number)
        reference = f"{address}/{kind}/{number}:1"
        return engine.pull(reference, None, now_ms, lambda: kind == "cancelled")


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """An engine whose disk is small, and registries on loopback and, where the machine has it, another address."""
    with ExitStack() as stack:
        url = stack.enter_context(own_engine(disk_mib=DISK_MIB)).url
        plain, silent = stack.enter_context(faulty_registry()), stack.enter_context(faulty_registry(ping=None))
        addresses = {"refused": f"127.0.0.1:{free_port()}", "no-name": "registry-{}.invalid", "silent": silent.address}
        addresses |= _beyond_loopback(stack, tmp_path_factory.mktemp("certificate"))
        engine, impatient = Engine(url), Engine(url, idle_seconds=3)
        stack.callback(engine.close)
        stack.callback(impatient.close)
        found = Field(engine, impatient, plain, addresses)
        # The layer that all images share: from here on every engine's line is of the image's own.
        assert found.pull("plain", 0).outcome == "ok"
        yield found


def _beyond_loopback(stack: ExitStack, folder: Path) -> dict[str, str]:
    host = own_address()
    if host is None:
        pytest.skip("this machine has no address but loopback, where no TLS is spoken")
    _, context = self_signed(folder, f"IP:{host}")
    distrusted = stack.enter_context(faulty_registry(host, tls=context))
    return {"distrusted": distrusted.address, "no-tls": stack.enter_context(faulty_registry(host)).address}


@pytest.mark.engine
def test_each_of_60_pulls_with_injected_faults_has_its_class_and_is_counted_once(field: Field) -> None:
    asked = [(kind, number) for kind in KINDS for number in range(1, kind.pulls + 1)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        pulls = list(pool.map(lambda one: field.pull(one[0].name, one[1]), asked))
    # A full disk fails everyone's pulls: these come by themselves.
    last = [(kind, number) for kind in ONE_BY_ONE for number in range(1, kind.pulls + 1)]
    last += [(PLAIN._replace(outcome="cached"), number) for number in range(1, AGAIN + 1)]
    asked, pulls = asked + last, pulls + [field.pull(kind.name, number) for kind, number in last]
    assert len(pulls) == 60
    wrong = [
        (kind.name, pull.outcome, pull.message)
        for (kind, _), pull in zip(asked, pulls, strict=True)
        if pull.outcome != kind.outcome
    ]
    assert wrong == []
    assert_counted(asked, pulls)
    assert_told_exactly(field, asked, pulls)


def assert_counted(asked: list[tuple[Kind, int]], pulls: list[Pull]) -> None:
    """The ledger has as many of each class as were caused."""
    ledger = Ledger(now_ms, max_repositories=100)
    for pull in pulls:
        ledger.pull(pull, API)
    caused = Counter(kind.outcome for kind, _ in asked)
    counted = {
        outcome: ledger.value(API, "midwatch_image_pulls_total", outcome=outcome, quality="exact") for outcome in caused
    }
    assert counted == dict(caused)


def assert_told_exactly(field: Field, asked: list[tuple[Kind, int]], pulls: list[Pull]) -> None:
    """Phases add up to the whole; what was fetched is what the registry sent; a broken transfer was tried again."""
    for (kind, _), pull in zip(asked, pulls, strict=True):
        assert sum(pull.phases.values()) == pytest.approx(pull.seconds, abs=0.002), pull
        if kind in (PLAIN, TRUNCATED):
            own = len(image_of(pull.repository).blobs[image_of(pull.repository).parts["layer"]])
            assert pull.bytes == own == field.plain.sent[pull.repository]
            assert (pull.layers_cached, len(pull.layers)) == (1, 2)
            assert pull.retries == (kind is TRUNCATED)
            assert {"resolve", "download", "extract"} <= set(pull.phases)
            assert pull.bytes_per_second is None or pull.bytes_per_second > 0
