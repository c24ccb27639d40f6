"""Work on bodies: in threads of its own."""

from __future__ import annotations

import threading

import anyio
import anyio.to_thread

from service.bodies import Lane


def test_a_lane_that_is_full_keeps_its_own_work_waiting_and_no_other() -> None:
    held, done = threading.Event(), list[str]()

    def long() -> None:
        held.wait(20)
        done.append("long")

    async def run() -> None:
        lane = Lane(1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lane.run, long)
            tasks.start_soon(lane.run, lambda: done.append("next"))
            await anyio.wait_all_tasks_blocked()
            await anyio.to_thread.run_sync(done.append, "page")
            assert await Lane(1).run(lambda: "other") == "other"
            held.set()

    anyio.run(run)
    assert done == ["page", "long", "next"]
