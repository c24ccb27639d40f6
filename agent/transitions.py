"""What one event of the engine changes in the story of its container."""

from __future__ import annotations

from dataclasses import replace

from agent.book import Record
from agent.ledger import By
from agent.story import Story
from agent.verdict import ENDING_SIGNALS, policy_restarts
from runtime.identity import bounded
from runtime.model import Container, EngineEvent


def apply(story: Story, record: Record, event: EngineEvent, now_ms: int, *, fresh: bool) -> None:
    """Changes the story by one event of a container; `fresh` where it was inspected after the event."""
    if record.lost is None:
        _apply(story, record, event, now_ms, fresh=fresh)
        return
    # An inspection overtook the event: what it tells of still counts, but the container is gone.
    record.phase, record.lost = record.lost, None
    _apply(story, record, event, now_ms, fresh=fresh)
    if record.phase != "gone":
        record.lost, record.phase = record.phase, "gone"


def _apply(story: Story, record: Record, event: EngineEvent, now_ms: int, *, fresh: bool) -> None:
    at_ms = event.time_ns // 1_000_000
    match event.action.partition(":")[0]:
        case "create":
            record.first_run, record.made_ms = True, at_ms
            story.foreign.made(record.container.id, at_ms)
            story.tell("container.create", record, at_ms, f"{record.container.name} was made")
        case "start":
            _start(story, record, at_ms, fresh=fresh)
        case "die":
            _die(story, record, event, at_ms, now_ms)
        case "kill":
            _killed(story, record, event, at_ms)
        case "stop":
            _stopped(story, record, at_ms)
        case "pause" | "unpause" as action if record.alive:
            story.advance(record.service, at_ms)
            record.phase = "paused" if action == "pause" else "running"
        case "health_status":
            _health(story, record, event.action.partition(":")[2].strip(), at_ms)
        case "destroy":
            _destroy(story, record, at_ms, now_ms)


def _start(story: Story, record: Record, at_ms: int, *, fresh: bool) -> None:
    back = story.was_brought_back(record, record.container)
    if back and record.alive and at_ms > (story.engine_lost_ms or 0):
        # It ended while there was no engine to tell of it.
        story.lost_end(record, at_ms)
    if record.alive or record.phase == "gone" or at_ms <= max(record.ended_ms or 0, (record.started_ms or 0) - 1):
        return
    again, exit_code = record.started_ms is not None, record.exit_code
    by = "policy" if back else _by(story, record, at_ms)
    record.first_run = record.first_run and not again
    if record.watch == "health" and not fresh:
        record.container = replace(record.container, health="starting")
    story.begin(record, at_ms, live=True)
    # An engine counts from 0 again what it brought back, and what was started by hand.
    record.restarts = record.restarts + 1 if again and by == "policy" and not back else 0
    story.tell("container.start", record, at_ms, f"{record.container.name} was started")
    if again:
        story.restarted(record, by, 1, at_ms, exit_code)
    else:
        _placed(story, record, at_ms)


def _by(story: Story, record: Record, at_ms: int) -> By:
    if policy_restarts(record.container.restart_policy, record.exit_code, told=record.told):
        return "policy"
    return "midwatch" if story.is_ours(record.container.id, at_ms) else "manual"


def _placed(story: Story, record: Record, at_ms: int) -> None:
    """A new container of a service: a return of the same, a deploy of another, or one more."""
    service = record.service
    if record.container.owned:
        if story.configs.returns(service, record.container) and service in story.book.declared:
            story.restarted(record, "midwatch", 1, at_ms, None)
        return
    deploy = story.configs.deploys(service, record.container)
    story.foreign.started(service, record.container, record.started_ms or at_ms, deploy)
    if deploy is not None:
        previous = deploy.previous.image if deploy.previous else ""
        image = record.container.image
        body = f"{service} runs {image}: {deploy.reason}"
        facts = {"image": image, "previous_image": previous, "digest": record.container.image_id}
        story.tell("deploy", record, at_ms, body, ok=True, reason=deploy.reason, **facts)


def _die(story: Story, record: Record, event: EngineEvent, at_ms: int, now_ms: int) -> None:
    unseen = record.phase == "created"
    if not (record.alive or unseen) or at_ms < (record.started_ms or 0):
        return
    if unseen:
        story.begin(record, at_ms, live=True)
    ending = story.end(record, at_ms, _number(event.attributes.get("exitCode")), now_ms)
    ending.oom_flag = record.container.oom_killed


def _killed(story: Story, record: Record, event: EngineEvent, at_ms: int) -> None:
    if _number(event.attributes.get("signal")) not in ENDING_SIGNALS:
        return
    if record.alive:
        record.killed = record.killed or at_ms >= (record.started_ms or 0)
    elif story.endings.killed(record.container.id, at_ms):
        # Told of after its end: what was sent on purpose is not started again by the policy.
        story.advance(record.service, at_ms)
        record.killed = True
        record.phase = "ended" if record.phase == "backoff" else record.phase


def _stopped(story: Story, record: Record, at_ms: int) -> None:
    if record.alive and at_ms >= (record.started_ms or 0):
        # Told of before its end: the engine's two threads were out of order.
        record.stopped = True
    elif not record.alive and at_ms >= (record.ended_ms or 0):
        story.advance(record.service, at_ms)
        story.endings.stopped(record.container.id)
        record.stopped = True
        record.phase = "ended" if record.phase == "backoff" else record.phase


def _health(story: Story, record: Record, status: str, at_ms: int) -> None:
    if status not in ("healthy", "unhealthy") or not record.alive or at_ms < (record.started_ms or 0):
        return
    story.advance(record.service, at_ms)
    record.container = replace(record.container, health=status)  # type: ignore[arg-type] # both are its words
    record.watch = "health" if record.watch == "none" else record.watch
    if status == "healthy":
        story.stood.note(record.container.id, record.started_ms, at_ms)
    if status == "unhealthy":
        body = f"{record.container.name} failed its health check"
        story.tell("container.unhealthy", record, at_ms, body)
    elif record.watch == "health" and record.timed:
        seconds = (at_ms - (record.started_ms or at_ms)) / 1000
        story.ready(record, at_ms, seconds, "health check", min(seconds, record.container.health_interval_seconds))


def _destroy(story: Story, record: Record, at_ms: int, now_ms: int) -> None:
    if record.phase == "gone":
        return
    found = record.gone_ms is not None
    story.endings.stopped(record.container.id)
    if record.alive:
        record.stopped = record.killed = True
        story.end(record, at_ms, None, now_ms)
    story.advance(record.service, at_ms)
    record.phase, record.gone_ms = "gone", at_ms
    if story.is_ours(record.container.id, at_ms):
        story.configs.taken_away(record.service, record.container)
    if not found:
        story.tell("container.destroy", record, at_ms, f"{record.container.name} was removed")


def _number(text: str | None) -> int | None:
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None


def container_told_of(event: EngineEvent) -> Container:
    """What an event tells of a container that was gone before it could be inspected."""
    facts = {key: value for key, value in event.attributes.items() if key not in ("image", "name", "exitCode")}
    return Container(
        id=event.id, name=bounded(event.attributes.get("name", "")), image=event.attributes.get("image", ""),
        image_id="", labels=facts, state="created", pid=None, created_ms=event.time_ns // 1_000_000, started_ms=None,
        finished_ms=None, exit_code=None, oom_killed=False, restart_count=0, restart_policy="no", max_retries=0,
        health="none", network_mode="", address=None, memory_limit_bytes=None, cpu_limit_cores=None,
    )  # fmt: skip
