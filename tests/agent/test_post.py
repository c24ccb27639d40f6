"""Posts over kept connections against servers that answer, end, stall and never stop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from agent.post import MAX_ANSWER_BYTES, Poster, PostFailed, PostTimeout

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def scripted(*connections: list[bytes]) -> Iterator[tuple[str, list[int]]]:
    """A server that answers each connection's requests in turn, then ends it; how many requests each had."""
    listening = socket.create_server(("127.0.0.1", 0))
    seen: list[int] = []

    def serve() -> None:
        with suppress(OSError):
            for answers in connections:
                connection, _ = listening.accept()
                seen.append(0)
                with connection, connection.makefile("rb") as reading:
                    for answer in answers:
                        head = list(iter(reading.readline, b"\r\n")) if reading.peek(1) else []
                        if not head:
                            break
                        told = [line.split()[1] for line in head if line.lower().startswith(b"content-length:")]
                        reading.read(int(told[0]) if told else 0)
                        seen[-1] += 1
                        connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", seen
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


@pytest.fixture
def poster() -> Iterator[Poster]:
    made = Poster(timeout_seconds=20.0, connect_seconds=20.0)
    yield made
    made.close()


def test_one_connection_serves_many_posts(poster: Poster) -> None:
    with scripted([OK, OK, OK]) as (url, seen):
        answers = [poster.post(f"{url}/v1/logs?a=b", b"x", {}) for _ in range(3)]
        assert [(answer.status, answer.text, answer.headers["content-length"]) for answer in answers] == [
            (200, "ok", "2")
        ] * 3
        assert seen == [3]
        poster.close()


def test_a_kept_connection_that_the_server_ended_is_made_anew(poster: Poster) -> None:
    with scripted([OK], [OK]) as (url, seen):
        assert [poster.post(url, b"", {}).status for _ in range(2)] == [200, 200]
        assert seen == [1, 1]
        poster.close()


def test_a_new_connection_that_ends_without_an_answer_is_a_fault(poster: Poster) -> None:
    with scripted([b""], [OK]) as (url, _), pytest.raises(PostFailed):
        poster.post(url, b"", {})


def test_threads_do_not_share_a_connection(poster: Poster) -> None:
    with scripted([OK], [OK]) as (url, seen):
        poster.post(url, b"", {})
        other = threading.Thread(target=poster.post, args=(url, b"", {}))
        poster.close()
        other.start()
        other.join()
        assert seen == [1, 1]
        poster.close()


def test_no_answer_in_time_is_a_timeout() -> None:
    poster = Poster(timeout_seconds=0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(PostTimeout):
        poster.post(f"http://127.0.0.1:{silent.getsockname()[1]}", b"", {})


def test_an_answer_longer_than_is_read_is_cut_and_its_connection_left(poster: Poster) -> None:
    long = b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n" % (MAX_ANSWER_BYTES * 2) + b"x" * MAX_ANSWER_BYTES * 2
    with scripted([long], [OK]) as (url, seen):
        answer = poster.post(url, b"", {})
        assert (answer.status, len(answer.text)) == (500, MAX_ANSWER_BYTES)
        assert poster.post(url, b"", {}).status == 200
        assert seen == [1, 1]
        poster.close()


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"])
def test_an_answer_that_is_none_is_a_fault(poster: Poster, answer: bytes) -> None:
    with scripted([answer]) as (url, _), pytest.raises(PostFailed):
        poster.post(url, b"", {})


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/v1/logs", "http://nowhere.invalid/", "http://[::1", "http://h:99999/"]
)
def test_an_address_where_nobody_is_is_a_fault(poster: Poster, url: str) -> None:
    with pytest.raises(PostFailed):
        poster.post(url, b"", {})


def test_a_redirect_is_an_answer_and_not_followed(poster: Poster) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    with scripted([moved]) as (url, _):
        assert poster.post(url, b"", {}).status == 302
        poster.close()
