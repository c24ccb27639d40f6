"""What must have happened while no events came, from an inspection of every container."""

from __future__ import annotations

from collections.abc import Sequence

from agent.book import Record, phase_of
from agent.story import START_LAG_MS, Story, found_running, watch_of
from agent.verdict import Missed, completed_restarts, missed_restarts
from runtime.model import Container


def resync(story: Story, containers: Sequence[Container], watched_ms: int | None, now_ms: int) -> list[Record]:
    """Brings the story up to an inspection; the records whose present run began unseen.

    `watched_ms` is up to when containers were watched: what was there before the first watch is counted as it is
    found; a container made since then has had all its restarts in the gap.
    """
    began: list[Record] = []
    for container in containers:
        record = story.book.records.get(container.id)
        if record is None:
            record = _found(story, container, watched_ms, now_ms)
        else:
            _caught_up(story, record, container, now_ms)
        if record is not None and record.alive and not record.live and not record.ready:
            began.append(record)
    _gone(story, {container.id for container in containers}, now_ms)
    if story.blind:
        _open_eyes(story, now_ms)
    return began


def _found(story: Story, container: Container, watched_ms: int | None, now_ms: int) -> Record | None:
    record = story.add(container, now_ms)
    if record is None:
        return None
    found_running(record, container)
    record.timed = record.alive and record.watch != "none" and container.health != "healthy"
    _note_config(story, record)
    if watched_ms is not None and container.created_ms > watched_ms:
        record.kills_known = True
        at_ms = record.started_ms or now_ms
        story.restarted(record, "policy", completed_restarts(container), at_ms, None)
        _end_of_found(story, record, now_ms)
    return record


def _note_config(story: Story, record: Record) -> None:
    if record.container.owned:
        story.configs.returns(record.service, record.container)
    else:
        story.configs.deploys(record.service, record.container)


def _caught_up(story: Story, record: Record, container: Container, now_ms: int) -> None:
    record.gone_ms = record.lost = None
    new_run = _is_new_run(record, container)
    if not new_run and phase_of(container) == record.phase:
        _refreshed(story, record, container, now_ms)
        return
    story.advance(record.service, now_ms)
    was_alive = record.alive
    missed = _missed(story, record, container) if new_run else Missed()
    for by, n in missed.by():
        ours = by == "manual" and story.is_ours(container.id, now_ms)
        story.restarted(record, "midwatch" if ours else by, n, container.started_ms or now_ms, record.exit_code)
    _take_over(record, container, new_run=new_run)
    if (was_alive or new_run) and not record.alive:
        _end_of_found(story, record, now_ms)


def _is_new_run(record: Record, container: Container) -> bool:
    """True where another run was found than is known; one that seems older began after the clock was set back."""
    found_ms, known_ms = container.started_ms, record.run_ms
    if found_ms is None or found_ms == known_ms:
        return False
    return found_ms > (record.started_ms or 0) or (known_ms is not None and found_ms < known_ms - START_LAG_MS)


def _missed(story: Story, record: Record, container: Container) -> Missed:
    if record.started_ms is not None:
        back = story.was_brought_back(record, container)
        return missed_restarts(record.restarts, None, container, back=back)
    # Its first start was missed: that is no restart, but all that the policy did since are.
    return Missed(policy=completed_restarts(container) if record.first_run else 0)


def _refreshed(story: Story, record: Record, container: Container, now_ms: int) -> None:
    """The run is the one that is known: only its facts may have changed."""
    story.advance(record.service, now_ms)
    record.container = container
    record.watch = watch_of(container) if record.watch == "none" else record.watch
    if record.timed and record.watch == "health" and container.health == "healthy":
        record.timed = False


def _take_over(record: Record, container: Container, *, new_run: bool) -> None:
    started_ms, live, ended = record.started_ms, record.live, (record.ended_ms, record.exit_code)
    was_alive = record.alive
    found_running(record, container)
    if not new_run:
        record.started_ms, record.live = started_ms, live
        if not (was_alive or record.alive):
            # Its end was told of; an engine that began anew has forgotten the code of one that it gave up.
            record.ended_ms, record.exit_code = ended
        return
    record.killed = record.stopped = record.first_run = False
    record.ready, record.failed_checks = False, 0
    record.kills, record.counted_kills, record.kills_known = [], 0, True
    record.watch = watch_of(container) if record.watch == "none" else record.watch
    record.timed = record.alive and record.watch != "none" and container.health != "healthy"


def _end_of_found(story: Story, record: Record, now_ms: int) -> None:
    """The last end is known by its exit code; a policy that would have started it again says that it was told to."""
    if record.alive or record.started_ms is None or record.phase == "created":
        return
    if record.phase == "ended" and record.container.restart_policy in ("always", "unless-stopped"):
        record.killed = record.stopped = True
    record.timed = False
    ending = story.endings.add(record, record.ended_ms or now_ms, record.exit_code, now_ms)
    ending.oom_flag = record.container.oom_killed


def _gone(story: Story, present: set[str], now_ms: int) -> None:
    """Containers that were removed meanwhile: how their last run ended only events can tell that still come."""
    for container_id, record in story.book.records.items():
        if container_id not in present and record.phase != "gone":
            story.advance(record.service, now_ms)
            record.lost = record.phase
            record.phase, record.gone_ms, record.timed = "gone", now_ms, False
            story.tell("container.destroy", record, now_ms, f"{record.container.name} was found removed")


def _open_eyes(story: Story, now_ms: int) -> None:
    for presence in story.book.services.values():
        presence.since_ms = max(presence.since_ms, now_ms)
    story.blind = False
