"""A pull's lines as timings, and the class of each failure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.identity import Reference, registry_of
from runtime.model import PullOutcome
from runtime.pull import MAX_LAYERS, PullState, outcome_of, passed, phases, step, timings
from runtime.pull_failures import classify, tidy
from tests.runtime.engine_answers import captured_pull

SHOP = registry_of("127.0.0.1:5000/shop/api:1")
LAYER = "4f34c204ceaa"


def told(lines: Iterable[tuple[int, Mapping[str, Any]]]) -> PullState:
    state = PullState()
    for at_ms, line in lines:
        state = step(state, line, at_ms)
    return state


def layer(status: str, current: int | None = None, total: int | None = None) -> dict[str, Any]:
    progress = {} if current is None else {"current": current, "total": total}
    return {"id": LAYER, "status": status, "progressDetail": progress}


def test_a_first_pull_has_the_timings_and_the_bytes_of_the_layers_it_fetched() -> None:
    state = told(captured_pull("pull_ok"))
    cached, *fetched = timings(state)
    assert outcome_of(state, SHOP) == ("ok", None)
    assert state.digest and state.digest.startswith("sha256:bd215d86")
    assert cached.cached and cached.bytes == 0 and cached.download_seconds is None
    assert [found.bytes for found in fetched] == [12586900, 6293526, 3146836, 1049044, 1049047]
    second = fetched[1]
    assert second.id == LAYER
    assert (second.wait_seconds, second.download_seconds) == (0.025, 0.065)
    assert all(found.extract_seconds and found.queue_seconds is not None for found in fetched)


def test_layers_are_extracted_one_after_the_other_so_a_later_one_queues() -> None:
    _, first, *_, last = timings(told(captured_pull("pull_ok")))
    assert first.queue_seconds == 0.002 and last.queue_seconds == 0.512


def test_a_pull_of_what_is_there_is_cached_and_no_network_pull() -> None:
    state = told(captured_pull("pull_cached"))
    assert outcome_of(state, SHOP) == ("cached", None) and timings(state) == ()


def test_a_new_tag_on_known_layers_went_to_the_network_though_it_fetched_none() -> None:
    lines = [(0, layer("Already exists")), (1, {"status": "Status: Downloaded newer image for x:1"})]
    state = told(lines)
    assert outcome_of(state, SHOP)[0] == "ok" and sum(found.bytes for found in timings(state)) == 0


def test_after_a_broken_transfer_the_first_total_stands_and_each_retry_counts_once() -> None:
    lines = [
        (0, layer("Pulling fs layer")),
        (1, layer("Downloading", 10, 1000)),
        (2, layer("Retrying in 2 seconds")),
        (3, layer("Retrying in 1 second")),
        (4, layer("Downloading", 5, 600)),
        (5, layer("Retrying in 10 seconds")),
        (6, layer("Downloading", 400, 595)),
        (7, layer("Download complete")),
    ]
    state = told(lines)
    assert state.retries == 2 and timings(state)[0].bytes == 1000


def test_a_retry_that_waits_longer_than_the_last_is_a_new_one() -> None:
    state = told([(0, layer("Retrying in 1 second")), (1, layer("Retrying in 10 seconds"))])
    assert state.retries == 2


def test_a_pull_that_failed_half_way_counts_what_had_come() -> None:
    lines = [(0, layer("Downloading", 300, 1000)), (1, {"errorDetail": {"message": "unexpected EOF"}})]
    state = told(lines)
    assert timings(state)[0].bytes == 300 and outcome_of(state, SHOP) == ("unreachable", "unexpected EOF")


def test_phases_that_are_not_told_of_stay_unknown() -> None:
    found = timings(told([(0, layer("Pulling fs layer")), (9, layer("Pull complete"))]))[0]
    assert (found.wait_seconds, found.download_seconds, found.queue_seconds, found.extract_seconds) == (None,) * 4


def test_a_stream_that_ends_without_a_result_is_an_error() -> None:
    assert outcome_of(told([(0, layer("Downloading", 1, 2))]), SHOP)[0] == "error"


def test_a_tag_of_twelve_hex_digits_is_no_layer() -> None:
    assert told([(0, {"status": "Pulling from shop/api", "id": "abcdefabcdef"})]).layers == {}


def test_an_image_of_too_many_layers_is_bounded() -> None:
    state = told((0, {"id": f"{number:012x}", "status": "Pulling fs layer"}) for number in range(2 * MAX_LAYERS))
    assert len(state.layers) == MAX_LAYERS


WORDS = st.sampled_from(
    ["Pulling fs layer", "Waiting", "Downloading", "Verifying Checksum", "Download complete", "Extracting",
     "Pull complete", "Already exists", "Retrying in 5 seconds", "Something new"]
)  # fmt: skip
NUMBERS = st.one_of(st.none(), st.integers(-5, 10**12))


@given(st.lists(st.tuples(st.integers(0, 3), WORDS, NUMBERS, NUMBERS), max_size=60))
def test_no_order_of_lines_gives_a_negative_time_or_size(sent: list[tuple[int, str, Any, Any]]) -> None:
    lines = [
        (at, {"id": f"{number:012x}", "status": status, "progressDetail": {"current": current, "total": total}})
        for at, (number, status, current, total) in enumerate(sent)
    ]
    for found in timings(told(lines)):
        times = (found.wait_seconds, found.download_seconds, found.verify_seconds, found.extract_seconds)
        assert found.bytes >= 0 and all(seconds is None or seconds >= 0 for seconds in times)


TIMED_LINES = st.lists(st.tuples(st.integers(-50, 500), st.integers(0, 3), WORDS), max_size=40)


@given(TIMED_LINES, st.integers(0, 500))
def test_the_phases_of_any_order_of_lines_add_up_to_the_whole(sent: list[tuple[int, int, str]], more: int) -> None:
    now, last, state = 1_000, 1_000, PullState(1_000)
    for after, number, status in sent:
        now += after
        last = max(last, now)
        state = step(state, {"id": f"{number:012x}", "status": status}, now)
    state = passed(state, last + more)
    assert sum(state.phases_ms.values()) == last + more - 1_000
    assert set(phases(state)) <= {"resolve", "wait", "download", "verify", "extract"}


def test_a_real_first_pull_is_split_into_phases_that_add_up() -> None:
    lines = captured_pull("pull_ok")
    state = PullState(0)
    for at_ms, line in lines:
        state = step(state, line, at_ms)
    split = phases(passed(state, lines[-1][0] + 10))
    assert split["resolve"] == 0.031 and split["wait"] >= 0.024 and split["download"] > 0 and split["extract"] > 0
    assert round(sum(split.values()), 6) == (lines[-1][0] + 10) / 1000


def test_a_pull_of_what_is_there_only_resolves_and_a_phase_that_was_never_seen_is_absent() -> None:
    state = PullState(0)
    for at_ms, line in ((40, layer("Already exists")), (90, {"status": "Status: Image is up to date for x:1"})):
        state = step(state, line, at_ms)
    assert phases(passed(state, 100)) == {"resolve": 0.1}


def test_the_time_until_the_next_try_is_waiting() -> None:
    state = PullState(0)
    for at_ms, line in ((10, layer("Downloading", 1, 9)), (30, layer("Retrying in 5 seconds"))):
        state = step(state, line, at_ms)
    assert phases(passed(state, 5_030)) == {"resolve": 0.01, "download": 0.02, "wait": 5.0}


@pytest.mark.parametrize(
    ("sent", "fetched"),
    [
        # it goes on after the break: the lines had told of 400 of the 500 bytes that had come
        ([("Downloading", 400, 1000), ("Retrying in 5 seconds", 0, 0), ("Downloading", 500, 500)], 1000),
        # it begins anew, and what had come before came for nothing
        ([("Downloading", 400, 1000), ("Retrying in 5 seconds", 0, 0), ("Downloading", 1000, 1000)], 1400),
        # two breaks, and it goes on each time
        ([("Downloading", 400, 1000), ("Retrying in 5 seconds", 0, 0), ("Downloading", 100, 600),
          ("Retrying in 10 seconds", 0, 0), ("Downloading", 300, 500)], 1000),
    ],
)  # fmt: skip
def test_bytes_are_those_that_came_over_the_network_however_often(
    sent: list[tuple[str, int, int]], fetched: int
) -> None:
    lines = [(at, layer(status, current, total)) for at, (status, current, total) in enumerate(sent)]
    state = told([*lines, (99, layer("Verifying Checksum")), (99, layer("Download complete"))])
    assert timings(state)[0].bytes == fetched


@pytest.mark.parametrize("line", [{"error": "no"}, {"errorDetail": "no"}, {"errorDetail": [1], "error": "no"}])
def test_an_error_of_any_shape_is_an_error(line: dict[str, Any]) -> None:
    assert outcome_of(told([(0, line)]), SHOP)[0] == "error"


FAILURES: tuple[tuple[str, int | None, PullOutcome], ...] = (
    ("manifest for 127.0.0.1:5000/shop/api:1 not found: manifest unknown: manifest unknown", 404, "not_found"),
    ("no basic auth credentials", 500, "unauthorized"),
    ("Head http://h/v2/a/manifests/1: unauthorized: authentication required", 500, "unauthorized"),
    ("Get https://r/v2/: unauthorized: incorrect username or password", 500, "unauthorized"),
    ("pull access denied for a, repository does not exist or may require 'docker login': denied: x", 404,
     "unauthorized"),
    ('Get "http://127.0.0.1:5000/v2/": dial tcp 127.0.0.1:5000: connect: connection refused', 500, "unreachable"),
    ('Get "https://r.invalid/v2/": dial tcp: lookup r.invalid on 10.0.0.1:53: no such host', 500, "dns"),
    ("net/http: request canceled while waiting for connection (Client.Timeout exceeded)", 500, "timeout"),
    ("dial tcp 10.0.0.1:443: i/o timeout", 500, "timeout"),
    ("dial tcp: lookup r.test on 10.0.0.1:53: read udp 10.0.0.2:1->10.0.0.1:53: i/o timeout", 500, "dns"),
    ("dial tcp: lookup r.test: Temporary failure in name resolution", 500, "dns"),
    ("net/http: TLS handshake timeout", 500, "timeout"),
    ("context deadline exceeded", 500, "timeout"),
    ("dial tcp 10.0.0.1:443: connect: connection timed out", 500, "timeout"),
    ("dial tcp 10.0.0.1:443: connect: no route to host", 500, "unreachable"),
    ("proxyconnect tcp: dial tcp 10.0.0.9:3128: connect: connection refused", 500, "unreachable"),
    ("Proxy Authentication Required", 500, "unreachable"),
    ("x509: certificate signed by unknown authority", 500, "tls"),
    ("x509: certificate has expired or is not yet valid: current time is after 2020-01-01", 500, "tls"),
    ("remote error: tls: bad certificate", 500, "tls"),
    ("tls: first record does not look like a TLS handshake", 500, "tls"),
    ("http: server gave HTTP response to HTTPS client", 500, "tls"),
    ("error parsing HTTP 403 response body: invalid character '<' looking for beginning of value", 500,
     "unauthorized"),
    ("error parsing HTTP 404 response body: invalid character 'p' after top-level value", 500, "not_found"),
    ("failed to authorize: failed to fetch oauth token: unexpected status: 401 Unauthorized", 500, "unauthorized"),
    ("received unexpected HTTP status: 503 Service Unavailable", None, "unreachable"),
    ("download failed after attempts=6: unavailable", None, "unreachable"),
    ("invalid reference format", 400, "bad_reference"),
    ("invalid reference format: repository name must be lowercase", 400, "bad_reference"),
    ("toomanyrequests: You have reached your pull rate limit.", 500, "rate_limited"),
    ('error parsing HTTP 429 response body: invalid character "<" looking for value', 500, "rate_limited"),
    ("toomanyrequests: You have reached your pull rate limit.", None, "rate_limited"),
    ("filesystem layer verification failed for digest sha256:aa", None, "corrupt"),
    ("failed to register layer: Error processing tar file(exit status 1): archive/tar: invalid tar header", None,
     "corrupt"),
    ("failed to register layer: Error processing tar file(exit status 1): unexpected EOF", None, "corrupt"),
    ("failed to register layer: Error processing tar file(exit status 1): write /x: no space left on device", None,
     "disk_full"),
    ("manifest verification failed for digest sha256:aa", 500, "corrupt"),
    ("error pulling image configuration: image config verification failed for digest sha256:aa", None, "corrupt"),
    ("failed commit on ref \"layer-sha256:aa\": unexpected commit digest sha256:bb, expected sha256:aa", None,
     "corrupt"),
    ("download failed after attempts=6: unexpected EOF", None, "unreachable"),
    ("download failed after attempts=6: dial tcp: lookup r.test: no such host", None, "dns"),
    ("no match for platform in manifest: not found", None, "no_platform"),
    ("image with reference x was found but does not match the specified platform: wanted linux/arm64", None,
     "no_platform"),
    ("operating system is not supported", None, "no_platform"),
    ("blob unknown to registry", None, "not_found"),
    ("failed to register layer: write /f1: no space left on device", None, "disk_full"),
    ("no matching manifest for linux/arm64 in the manifest list entries", None, "no_platform"),
    ("context canceled", None, "cancelled"),
    ("the moon is in the wrong house", 500, "error"),
    ("something about it", 404, "not_found"),
)  # fmt: skip


@pytest.mark.parametrize(("message", "status", "outcome"), FAILURES)
def test_each_failure_has_its_class(message: str, status: int | None, outcome: PullOutcome) -> None:
    assert classify(message, SHOP, status) == outcome


@pytest.mark.parametrize(
    "reference",
    [
        "127.0.0.1:5000/denied/unauthorized:no-basic-auth-credentials",
        "timeout:unauthorized",
        "r.test/x509/certificate:lookup",
        "registry.toomanyrequests.example/denied:EOF",
    ],
)
def test_an_images_name_can_not_choose_its_own_failures_class(reference: str) -> None:
    message = f"manifest for {reference} not found: manifest unknown: manifest unknown"
    assert classify(message, registry_of(reference)) == "not_found"
    address = f'Get "https://{registry_of(reference).registry}/v2/": dial tcp: lookup x: no such host'
    assert classify(address, registry_of(reference)) == "dns"


@given(st.text(max_size=300))
def test_no_message_is_too_strange_to_be_classed(message: str) -> None:
    assert classify(message, Reference("r", "a", "1"))


def test_a_message_fit_for_a_log_has_no_password_no_newline_and_an_end() -> None:
    said = tidy("Get https://me:secret@r/v2/:\n denied " + "x" * 1000)
    assert "secret" not in said and "\n" not in said and len(said) == 500
