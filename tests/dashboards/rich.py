"""A busy fleet for the fake: one shop that burns, hostile names, gaps, nothing made random."""

from __future__ import annotations

import math
import random

from alerts.model import AlertState, Evidence, Incident, Road, Silence, SilenceMatcher, Subject
from dashboards.model import ContainerRow, DiskRow, Happening, LogLine, NodeRow, ServiceRow
from slo.builtin import builtin
from slo.definition import definition
from slo.history import Change
from slo.indicators import Catalogue, NodeName, ServiceFacts
from slo.model import Objective
from tests.dashboards.fake import MINUTE, NOTHING, FakeSource, Minute, Tally, Wave

HOSTILE = "<img src=x onerror=alert(1)>\u202egpj\u2066"
NOW = 1_796_179_140_000 // MINUTE * MINUTE
HOUR, DAY = 60 * MINUTE, 1440 * MINUTE
BROKEN = NOW - 83 * MINUTE
FIRST = NOW - 12 * DAY
SERVICES = ("shop/api", "shop/front", "shop/worker", "shop/batch", "search", "media-proxy", HOSTILE)
WEB = {"shop/api": 900, "shop/front": 1400, "search": 300, "media-proxy": 120}
"""Requests a minute."""
REGISTRY = "127.0.0.1:5000"
NODES = (
    NodeName("fra1-n1", "0b7c1f6e-1111"),
    NodeName("fra1-n2", "77aa0c3d-2222"),
    NodeName("ams1-n1", "9e01dd42-3333"),
)


def _dice(text: str) -> random.Random:
    return random.Random(f"midwatch {text}")  # noqa: S311 - a test's data


def _noise(text: str) -> Wave:
    dice = _dice(text)
    table = [0.0]
    for _ in range(4095):
        table.append(table[-1] * 0.9 + dice.gauss(0, 0.4))
    return lambda at: table[(at // 15_000) % 4096]


def objectives() -> list[Objective]:
    facts = [
        ServiceFacts(
            name, 2, {"midwatch.slo.cold-start.threshold": "2s"} if "api" in name else {}, name in WEB, ("fra1-n1",)
        )
        for name in SERVICES
    ]
    bounds = frozenset(("0.1", "0.3", "0.5", "1", "2", "300", "+Inf"))
    known = Catalogue(
        status_labels={(name, "http_requests_total"): frozenset(("code",)) for name in WEB},
        bounds={
            **{(name, "http_request_duration_seconds"): bounds for name in ("shop/api", "shop/front")},
            **{(name, "midwatch_cold_start_seconds"): bounds for name in WEB},
            ("shop/api", "midwatch_image_build_seconds"): bounds,
            ("platform", "midwatch_registry_request_duration_seconds"): bounds,
        },
        nodes=NODES,
        registries=(REGISTRY,),
    )
    return builtin(facts, known)


def _minute(objective: Objective, at: int, dice: random.Random, broken: bool) -> Minute:
    slo, service = objective.slo, objective.service
    api = service == "shop/api" and broken
    if slo in ("request-availability", "request-latency"):
        total = int(WEB[service] * (1 + 0.3 * math.sin(at / DAY * 2 * math.pi)))
        share = 0.00035 if service != "media-proxy" else 0.0008
        share = 0.021 if api else share
        return sum(dice.random() < share for _ in range(total)) if total < 200 else _bad(dice, total, share), total
    if slo == "container-up":
        bad = 120_000 if service == "shop/worker" and BROKEN + 30 * MINUTE < at < BROKEN + 45 * MINUTE else 0
        return bad, 120_000
    if slo == "restart-rate":
        bad = int(service == "shop/worker" and broken and dice.random() < 0.35)
        return bad, 120_000
    if slo in ("node-disk", "cpu-steal"):
        return int(slo == "node-disk" and dict(objective.scope)["node"] == "fra1-n2" and at > NOW - 100 * MINUTE), 1
    if slo == "registry-latency":
        return int(dice.random() < 0.002), 2
    if slo == "image-pull-success":
        pulled = int(dice.random() < 0.02) * 3
        return min(pulled, int(service == "media-proxy" and broken)), pulled
    begun = int(dice.random() < 0.01)
    return begun * int(dice.random() < 0.004), begun


def _bad(dice: random.Random, total: int, share: float) -> int:
    wanted = total * share
    return int(wanted) + (dice.random() < wanted % 1)


def _tally(objective: Objective) -> Tally:
    if objective.unmeasurable or (objective.service == "search" and objective.slo == "restart-rate"):
        return NOTHING
    first = NOW - 3 * MINUTE if objective.service == HOSTILE else FIRST
    dice = _dice(f"{objective.slo} {objective.service} {objective.scope}")
    found: list[Minute] = []
    for at in range(first, NOW, MINUTE):
        gap = NOW - 5 * HOUR < at < NOW - 4 * HOUR - 20 * MINUTE
        silent = objective.service == "media-proxy" and at > NOW - 20 * MINUTE and objective.slo == "container-up"
        idle = objective.service == "shop/batch" and objective.slo == "image-pull-success"
        found.append(None if gap or silent else (0, 0) if idle else _minute(objective, at, dice, at > BROKEN))
    return Tally(first, tuple(found))


def _gapped(wave: Wave) -> Wave:
    return lambda at: None if NOW - 5 * HOUR < at < NOW - 4 * HOUR - 20 * MINUTE else wave(at)


def _container(name: str) -> str:
    return f"{name.replace('/', '-')}-1" if name != HOSTILE else HOSTILE


def _waves() -> dict[str, dict[tuple[tuple[str, str], ...], Wave]]:
    cpu, memory, restarts, pulls, ooms = {}, {}, {}, {}, {}
    for index, name in enumerate(SERVICES):
        noise, labels = (
            _noise(name),
            (("service", name), ("container", _container(name)), ("node", NODES[index % 3].node)),
        )
        base = 0.05 + 0.11 * (6 - index)
        cpu[labels] = _gapped(lambda at, n=noise, b=base: 60 * max(0.002, b * (1 + 0.25 * n(at))))
        leak = name == "shop/worker"
        memory[labels] = _gapped(
            lambda at, n=noise, k=index, leak=leak: (
                (at // 1000 % 1500) / 1500 * 480e6 + 30e6 if leak and at > BROKEN else (60 + 40 * k + 3 * n(at)) * 1e6
            )
        )
        dice = _dice(name)
        spikes = {dice.randrange(72): 1 + dice.randrange(2) for _ in range(1 + index % 3)}
        worker = name == "shop/worker"
        restarts[(("service", name), ("by", "policy"))] = _gapped(
            lambda at, s=spikes, w=worker: (
                ((at // 300_000) * 7 % 5) / 5
                if w and at > BROKEN + 10 * MINUTE
                else s.get((NOW - at) // 300_000, 0) / 5
            )
        )
        ooms[(("service", name), ("cause", "container"), ("victim", "main"))] = lambda at, w=worker: (
            0.1 if w and at > BROKEN else 0.0
        )
        pulls[(("service", name), ("outcome", "not_found"))] = lambda at, m=name == "media-proxy": 3 / 60 if m else 0.0
    total = {
        (("service", "platform"), ("node_id", it.node_id), ("node", it.node)): (lambda at: 64 * 2.0**30) for it in NODES
    }
    free = {
        key: _gapped(lambda at, n=noise, k=k: 64 * 2.0**30 * (0.7 - 0.32 * k + 0.015 * n(at)))
        for k, key in enumerate(total)
        for noise in [_noise(str(key))]
    }
    return {
        "container_cpu_usage_seconds_total": cpu,
        "container_memory_working_set_bytes": memory,
        "midwatch_container_restarts_total": restarts,
        "midwatch_image_pulls_total": pulls,
        "midwatch_oom_kills_total": ooms,
        "node_memory_MemTotal_bytes": total,
        "node_memory_MemAvailable_bytes": free,
        "midwatch_registry_request_duration_seconds_bucket": _registry(),
    }


def _registry() -> dict[tuple[tuple[str, str], ...], Wave]:
    noise, found = _noise("registry"), {}
    for le in ("0.005", "0.01", "0.025", "0.05", "0.1", "0.2", "0.3", "0.5", "1", "+Inf"):
        labels = (("service", "platform"), ("registry", REGISTRY), ("phase", "total"), ("le", le))
        found[labels] = _gapped(
            lambda at, bound=float(le): (
                2.0 * (1 if bound > 1 else 1 / (1 + math.exp(-(bound - 0.03 - 0.008 * noise(at)) * 90)))
            )
        )
    return found


def _happened(
    name: str, ago: int, service: str, body: str = "", container: str | None = None, **told: str | float | bool
) -> Happening:
    return Happening(name, NOW - ago * MINUTE, "fra1-n1", service, container, None, body, told)


def happenings() -> list[Happening]:
    deploy = {"ok": True, "seconds": 4.2}
    found = [
        _happened("deploy", 28, "search", image="registry/search:5.12.2", reason="image", **deploy),
        _happened("deploy", 87, "shop/api", image="registry/shop-api:2.41.0", reason="image", **deploy),
        _happened("deploy", 142, "shop/front", image="registry/shop-front:7.0.4", reason="configuration", **deploy),
        _happened(
            "deploy", 250, "media-proxy", image="registry/media:1.9.0", reason="never ready", ok=False, seconds=60
        ),
        _happened(
            "image.pull",
            68,
            "media-proxy",
            outcome="not_found",
            reference="registry/media:1.9.1",
            message="manifest unknown",
        ),
        _happened("image.pull", 12, HOSTILE, outcome="unauthorized", reference=HOSTILE, message=f"denied {HOSTILE}"),
        _happened("registry.request", 33, "platform", registry=REGISTRY, phase="total", message="connection refused"),
    ]
    for index in range(9):
        found.append(
            _happened(
                "container.oom_kill",
                3 + 8 * index,
                "shop/worker",
                container="shop-worker-1",
                cause="container",
                victim="main" if index % 3 else "child",
                count=1,
                process="python3",
            )
        )
    found.append(
        _happened(
            "container.oom_kill", 14, HOSTILE, container=HOSTILE, cause="host", victim="main", count=2, process=HOSTILE
        )
    )
    for index, seconds in enumerate((41.3, 38.9, 212.0, 44.1, 12.7)):
        told = {"message": "exit code 1: pip install failed"} if index == 2 else {}
        found.append(
            _happened(
                "image.build",
                9 + 11 * index,
                "shop/api",
                reference=f"shop-api:2.41.{5 - index}",
                seconds=seconds,
                ok=index != 2,
                **told,
            )
        )
    return found


def _log_lines() -> list[LogLine]:
    texts = (
        "GET /cart 200 in 31 ms",
        "GET /item/8812 200 in 12 ms",
        "POST /order 500 in 208 ms",
        "upstream shop-api-1 timed out",
        "MemoryError: cannot allocate",
        f"user agent {HOSTILE}",
        "ready",
    )
    containers = ("shop-api-1", "shop-front-1", "shop-worker-1", HOSTILE)
    return [
        LogLine(
            NOW - index * 7000,
            "fra1-n1",
            SERVICES[index % 3],
            containers[index % 4],
            "stderr" if index % 7 in (2, 3, 4) else "stdout",
            texts[index % 7],
        )
        for index in range(260)
    ]


def _alert(
    alert: str,
    service: str,
    road: Road,
    ago: int,
    summary: str,
    *lines: tuple[str, str],
    scope: tuple[tuple[str, str], ...] = (),
) -> AlertState:
    subject = Subject(service, scope)
    evidence = tuple(Evidence(label, text) for label, text in lines)
    return AlertState(
        f"{alert}:{subject.key}", alert, subject, (), road, "firing", NOW - ago * MINUTE, NOW, None, summary, evidence
    )


def _incident(number: int, alerts: tuple[AlertState, ...], ago: int, by: str | None = None) -> Incident:
    first = alerts[0]
    at = None if by is None else NOW - 60 * MINUTE
    return Incident(f"inc-{number}", first.subject, first.road, "open", NOW - ago * MINUTE, None, True, alerts, at, by)


def incidents() -> list[Incident]:
    burn = _alert(
        "slo-burn",
        "shop/api",
        "page",
        79,
        "shop/api: the error budget of request-availability burns 20.6x",
        ("fast row fired", "20.6x over 1 h and 21x over 5 min (limit 14.4x)"),
        ("counted in 1 h", "1134 bad of 54012 events"),
        ("budget left", "41.2 %"),
        ("budget runs out", "2026-12-02 08:15:00 UTC, in 14 h 20 min"),
    )
    storm = _alert(
        "oom-storm",
        "shop/worker",
        "page",
        72,
        "shop/worker: 4 OOM kills in 5 min",
        ("kills", "4 in 5 min (limit 3)"),
        ("limit", "512 MiB"),
    )
    loop = _alert(
        "crash-loop",
        "shop/worker",
        "page",
        70,
        "shop/worker: a container restarted 5 times in 10 min",
        ("shop-worker-1", "5 restarts in 10 min, last exit: 137, oom"),
    )
    disk = _alert(
        "node-disk",
        "platform",
        "ticket",
        124,
        "node fra1-n2: / is 78 % used",
        ("/", "78 % used, full in about 9 h"),
        scope=(("node", "fra1-n2"),),
    )
    pull = _alert("pulls-failing", HOSTILE, "ticket", 11, f"{HOSTILE}: 3 pulls failed", ("last", f"denied: {HOSTILE}"))
    return [
        _incident(2417, (burn,), 79),
        _incident(2418, (storm, loop), 72),
        _incident(2416, (disk,), 124, "mira"),
        _incident(2415, (pull,), 11),
    ]


def changes() -> list[Change]:
    """Everything appeared once; the API's target was raised, and a hostile objective came and went."""
    known = [it for it in objectives() if it.unmeasurable is None]
    found = [Change(FIRST + MINUTE, it.slo, it.service, it.scope, "appeared", None, definition(it)) for it in known]
    api = definition(next(it for it in known if (it.slo, it.service) == ("request-availability", "shop/api")))
    before = api._replace(target="99.5 %", budget="1/200", source="built in")
    after = api._replace(source="slos/shop/checkout-and-payment.yaml")
    found.append(Change(NOW - 3 * DAY, "request-availability", "shop/api", (), "changed", before, after))
    evil = api._replace(target="=1+1", source=HOSTILE)
    found.append(Change(NOW - 2 * DAY, HOSTILE, HOSTILE, (), "appeared", None, evil))
    return [*found, Change(NOW - DAY, HOSTILE, HOSTILE, (), "vanished", evil, None)]


def rich() -> FakeSource:
    """The whole fleet."""
    return FakeSource(
        now_ms=NOW,
        objectives={it: _tally(it) for it in objectives()},
        waves=_waves(),
        happenings=happenings(),
        lines=_log_lines(),
        told_changes=changes(),
        open_incidents=incidents(),
        active_silences=[
            Silence(
                "s1",
                (SilenceMatcher("service", "platform"), SilenceMatcher("node", "fra1-n2")),
                NOW - HOUR,
                NOW + HOUR,
                "mira",
                "disk swap",
            )
        ],
        service_rows=[
            ServiceRow(
                name,
                (NODES[index % 3].node,),
                None if name == "media-proxy" else 2,
                None if name == "media-proxy" else 2 - (name == "shop/worker"),
                FIRST,
            )
            for index, name in enumerate(SERVICES)
        ],
        node_rows=[
            NodeRow(
                "fra1-n1",
                NODES[0].node_id,
                NOW - 3000,
                64 * 2.0**30,
                0.31,
                0.22,
                (DiskRow("/", 4e11, 0.44), DiskRow("/var/lib/docker", 9e11, 0.63)),
            ),
            NodeRow("fra1-n2", NODES[1].node_id, NOW - 2000, 64 * 2.0**30, 0.96, 0.71, (DiskRow("/", 4e11, 0.78),)),
            NodeRow("ams1-n1", NODES[2].node_id, NOW - 200_000, None, None, None, ()),
        ],
        container_rows=[
            ContainerRow(
                _container(name),
                f"/docker/{index:064x}",
                name,
                NODES[index % 3].node,
                f"registry/{name}:1.{index}",
                0.7 - index * 0.09,
                (60 + 40 * index) * 1e6 if index != 2 else 505e6,
                None if index == 4 else 512 * 2.0**20,
            )
            for index, name in enumerate(SERVICES)
        ],
    )
