"""The one table of what the agent emits: metric names, kinds, help and histogram bounds, and event names."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Metric(NamedTuple):
    """One metric family; `labels` are those beside the resource's identity."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


COLD_START_BOUNDS = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0)
PULL_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
THROUGHPUT_BOUNDS = (1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 2.5e7, 5e7, 1e8, 2.5e8, 5e8, 1e9)
BUILD_BOUNDS = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0)
REGISTRY_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)

OWN: dict[str, Metric] = {
    "midwatch_containers_desired": Metric("gauge", "Containers that should run now."),
    "midwatch_containers_healthy": Metric("gauge", "Containers that run, are past their readiness and not unhealthy."),
    "midwatch_container_desired_seconds_total": Metric("counter", "Container-seconds that were desired."),
    "midwatch_container_healthy_seconds_total": Metric("counter", "Container-seconds that were desired and healthy."),
    "midwatch_container_instance_seconds_total": Metric(
        "counter", "Container-seconds that were desired, of containers that have run: what can restart."
    ),
    "midwatch_container_scraped_seconds_total": Metric(
        "counter", "Container-seconds of which scrapes of the containers' own metrics tell."
    ),
    "midwatch_container_unscraped_seconds_total": Metric(
        "counter", "Container-seconds between the last good scrape of a run and its end: what it counted is not known."
    ),
    "midwatch_container_restarts_total": Metric("counter", "Restarts of containers.", ("by",)),
    "midwatch_container_restarts_per_hour": Metric(
        "gauge", "Restarts by policy per instance and hour, over the last hour; absent where there was none."
    ),
    "midwatch_container_exits_total": Metric("counter", "Ends of containers.", ("reason",)),
    "midwatch_oom_kills_total": Metric("counter", "Processes that the kernel killed for memory.", ("cause", "victim")),
    "midwatch_image_pulls_total": Metric(
        "counter",
        "Image pulls that ended; quality derived: pulls by others, as far as the engine tells of them.",
        ("registry", "repository", "outcome", "quality"),
    ),
    "midwatch_image_pull_duration_seconds": Metric(
        "histogram",
        "Time of an image pull that fetched the image; the phases add up to the total.",
        ("registry", "repository", "phase", "quality"),
        PULL_BOUNDS,
    ),
    "midwatch_image_pull_bytes_total": Metric(
        "counter", "Compressed bytes that pulls fetched.", ("registry", "repository")
    ),
    "midwatch_image_pull_layers_total": Metric(
        "counter", "Layers of images that were pulled, by where they came from.", ("registry", "repository", "source")
    ),
    "midwatch_image_pull_retries_total": Metric(
        "counter", "Transfers of layers that the engine began anew.", ("registry", "repository")
    ),
    "midwatch_image_pull_throughput_bytes_per_second": Metric(
        "histogram",
        "Fetched bytes of a pull over the time in which it downloaded.",
        ("registry", "repository"),
        THROUGHPUT_BOUNDS,
    ),
    "midwatch_image_build_seconds": Metric("histogram", "Time of an image build.", (), BUILD_BOUNDS),
    "midwatch_cold_start_seconds": Metric(
        "histogram",
        "Time of a start by segment: queue, pull, create, start, ready, total; never ready counts in +Inf alone.",
        ("segment",),
        COLD_START_BOUNDS,
    ),
    "midwatch_cold_start_error_seconds": Metric(
        "gauge", "By how much the last time to ready may be too long: the time between its last two looks."
    ),
    "midwatch_oom_kills_unattributed_total": Metric(
        "counter", "Kernel OOM kills that no container could be named for."
    ),
    "midwatch_oom_kills_host_total": Metric("counter", "Kernel OOM kills of processes in no container."),
    "midwatch_registry_request_duration_seconds": Metric(
        "histogram",
        "Time of a manifest request by phase, and of a small blob; a failed one counts in +Inf alone.",
        ("registry", "phase"),
        REGISTRY_BOUNDS,
    ),
    "midwatch_registry_ratelimit_limit": Metric(
        "gauge", "Pulls that the registry allows in its window, where it says so.", ("registry",)
    ),
    "midwatch_registry_ratelimit_remaining": Metric(
        "gauge", "Pulls that the registry still allows in its window, where it says so.", ("registry",)
    ),
    "midwatch_registry_ratelimit_window_seconds": Metric(
        "gauge", "Length of the registry's window, where it says so.", ("registry",)
    ),
    "midwatch_engine_up": Metric("gauge", "1 where the container engine answers."),
    "midwatch_capability": Metric("gauge", "1 where the node can measure what is named.", ("name",)),
    "midwatch_capability_missing_info": Metric(
        "gauge", "1 for what the node can't measure, with why and what would change it.", ("name", "reason", "remedy")
    ),
    "midwatch_image_store_bytes": Metric("gauge", "Bytes of all image layers, each counted once, as the engine notes."),
    "midwatch_image_store_layers": Metric("gauge", "Image layers that the engine keeps."),
    "midwatch_container_memory_limit_bytes": Metric(
        "gauge", "Memory that a container can have: the least limit of it, all above it, and the node."
    ),
    "midwatch_container_cpu_limit_cores": Metric(
        "gauge", "CPU that a container can have: the least quota of it, all above it, and the node."
    ),
    "midwatch_container_memory_reclaimable_slab_bytes": Metric(
        "gauge", "Kernel memory of a container that the kernel can take back (cgroup v2)."
    ),
    "midwatch_container_io_read_bytes_total": Metric("counter", "Bytes read, stacked devices not counted again."),
    "midwatch_container_io_written_bytes_total": Metric("counter", "Bytes written, stacked devices not counted again."),
    "midwatch_container_io_reads_total": Metric("counter", "Reads, stacked devices not counted again."),
    "midwatch_container_io_writes_total": Metric("counter", "Writes, stacked devices not counted again."),
    "midwatch_agent_round_seconds_total": Metric("counter", "Time spent in collection rounds."),
    "midwatch_agent_rounds_total": Metric("counter", "Collection rounds.", ("outcome",)),
    "midwatch_agent_interval_seconds": Metric("gauge", "Configured time between rounds."),
    "midwatch_agent_cpu_seconds_total": Metric("counter", "CPU time of the agent's process."),
    "midwatch_agent_resident_memory_bytes": Metric("gauge", "Resident memory of the agent's process."),
    "midwatch_agent_spool_bytes": Metric("gauge", "Bytes that wait in the spool."),
    "midwatch_agent_spool_batches": Metric("gauge", "Batches that wait in the spool.", ("signal",)),
    "midwatch_agent_dropped_total": Metric("counter", "What was lost at a bound.", ("what", "reason")),
    "midwatch_agent_shipped_batches_total": Metric("counter", "Batches that the service acknowledged.", ("signal",)),
    "midwatch_agent_ship_failures_total": Metric("counter", "Attempts to ship that failed.", ("signal", "reason")),
    "midwatch_agent_errors_total": Metric("counter", "Errors caught at the top of a loop.", ("loop",)),
    "midwatch_agent_scrapes_total": Metric("counter", "Scrapes of containers' own metrics.", ("outcome",)),
    "midwatch_agent_scrape_samples_refused_total": Metric("counter", "Scraped samples that were refused.", ("reason",)),
    "midwatch_agent_log_lines_total": Metric("counter", "Log lines read."),
    "midwatch_log_lines_dropped_total": Metric(
        "counter", "Log lines of a service that were dropped: over its rate, or for too many waited.", ("reason",)
    ),
    "midwatch_agent_info": Metric("gauge", "1, with the agent's version.", ("version",)),
}

EVENTS: dict[str, str] = {
    "agent.start": "The agent began to watch: attributes version, interval_seconds.",
    "agent.gap": "Engine events may have been missed: attributes from_ms, to_ms.",
    "container.create": "A container was made.",
    "container.start": "A container was started.",
    "container.ready": "A probe passed for the first time after a start: attributes seconds, probe, error_seconds.",
    "container.never_ready": "A start was not ready by its deadline, or ended before: attributes seconds.",
    "container.die": "A container ended: attributes exit_code, reason, told (stopped on purpose).",
    "container.restart": "A container runs again after its end: attributes by, exit_code, count (of one gap).",
    "container.oom_kill": "The kernel killed a process for memory: attributes cause, victim, count, process.",
    "container.unhealthy": "A health check failed.",
    "container.destroy": "A container was removed.",
    "image.pull": (
        "A pull ended: attributes registry, repository, reference, outcome, seconds, bytes, message, retries, layers, "
        "layers_cached, bytes_per_second, resolve_seconds, wait_seconds, download_seconds, verify_seconds, "
        "extract_seconds, quality (exact, or derived: a pull by others, of which the engine tells but that it worked)."
    ),
    "image.build": "A build ended: attributes reference, seconds, ok, message.",
    "deploy": "A service was made or changed: attributes image, previous_image, digest, ok, seconds, reason.",
    "service.declared": (
        "Facts of a service, repeated every 10 minutes and on change: attributes replicas, source, probe, "
        "first_seen_ms, and label.midwatch.* for each of its midwatch labels."
    ),
    "service.removed": "A service is no longer watched or declared.",
    "registry.request": "A probe of a registry failed: attributes registry, phase, outcome, message.",
}
"""Names of events in OTLP logs; the label `service` and the rest travel as resource attributes."""

RESERVED_PREFIXES = ("midwatch_", "container_", "node_", "machine_")
RESERVED_NAMES = ("up", "scrape_duration_seconds", "scrape_samples_scraped", "ALERTS", "ALERTS_FOR_STATE")
"""Names that a container's own metrics may not use."""
