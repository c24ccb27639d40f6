"""How many queries work at once, how long the others wait, and what becomes of those that nobody waits for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, MutableMapping
from types import SimpleNamespace
from typing import Any, cast

import anyio
from fastapi import Request
from fastapi.responses import Response

from service.parts import Parts
from service.prometheus_params import Form
from service.routes_prometheus import Gate
from service.selfmetrics import Own
from service.settings_query import QuerySettings


def gate(**limits: Any) -> Gate:
    settings = SimpleNamespace(query=QuerySettings(**limits))
    return Gate(cast(Parts, SimpleNamespace(settings=settings, own=Own())))


def request(gone: Callable[[], bool] = lambda: False) -> Request:
    async def receive() -> dict[str, Any]:
        if not gone():
            await anyio.sleep_forever()
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    return Request(scope, receive)


def told(answer: Response) -> tuple[int, str]:
    body = json.loads(bytes(answer.body))
    return answer.status_code, body.get("errorType", body["status"])


def test_a_query_that_waits_too_long_for_its_turn_is_told_so() -> None:
    held = threading.Event()

    async def run() -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        one = gate(max_concurrent=1, timeout_seconds=0.2)

        async def ask(answering: Callable[[Form, Callable[[], bool]], bytes]) -> None:
            found.append(told(await one.answer(request(), answering)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, lambda form, gone: b'{"status":"success"}' if held.wait(20) else b"")
            await anyio.wait_all_tasks_blocked()
            await ask(lambda form, gone: b'{"status":"success"}')
            held.set()
        return found

    assert anyio.run(run) == [(503, "timeout"), (200, "success")]


def test_when_too_many_wait_the_next_is_turned_away_at_once() -> None:
    held = threading.Event()

    async def run() -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        one = gate(max_concurrent=1, max_waiting=0)

        async def first() -> None:
            found.append(told(await one.answer(request(), lambda form, gone: _after(held))))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await anyio.wait_all_tasks_blocked()
            found.append(told(await one.answer(request(), lambda form, gone: b'{"status":"success"}')))
            held.set()
        found.append(told(await one.answer(request(), lambda form, gone: b'{"status":"success"}')))
        return found

    assert anyio.run(run) == [(503, "unavailable"), (200, "success"), (200, "success")]


def test_who_does_not_read_a_long_answer_is_left_and_the_next_one_gets_his() -> None:
    pieces = [b"x" * 1000 for _ in range(10)]

    async def run() -> list[int]:
        one, sent = gate(max_concurrent=1, timeout_seconds=0.2), [0, 0]

        async def ask(reader: int, stalls: bool) -> None:
            async def send(message: MutableMapping[str, Any]) -> None:
                sent[reader] += len(message.get("body", b""))
                if stalls and sent[reader] > 2000:
                    await anyio.sleep_forever()

            answer = await one.answer(request(), lambda form, gone: iter(pieces))
            await answer({"type": "http", "asgi": {"spec_version": "2.4"}}, anyio.sleep_forever, send)

        await ask(0, True)
        await ask(1, False)
        return sent

    assert anyio.run(run) == [3000, 10_000]


def _after(held: threading.Event) -> bytes:
    held.wait(20)
    return b'{"status":"success"}'


def test_a_query_whose_asker_left_is_told_to_end() -> None:
    def answering(form: Form, gone: Callable[[], bool]) -> bytes:
        waited = threading.Event()
        for _ in range(400):
            if gone():
                return b'{"status":"gone"}'
            waited.wait(0.05)
        return b'{"status":"success"}'

    answer = anyio.run(lambda: gate().answer(request(lambda: True), answering))
    assert told(answer) == (200, "gone")
