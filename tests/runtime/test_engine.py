"""A real engine through our own eyes."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from runtime.credentials import Credentials
from runtime.engine import Engine, kill_in_container
from runtime.engine_logs import RawLine
from runtime.errors import EngineRefused, EngineUnavailable
from runtime.model import BuildSpec, Container, EngineEvent
from tests.runtime.conftest import Run
from tests.runtime.servers import http, serving
from tests.support.engine import EngineUnderTest
from tests.support.registry import PASSWORD, USER, RegistryUnderTest
from tests.support.waiting import until

engine_test = pytest.mark.engine


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@engine_test
def test_an_engine_answers_and_tells_of_itself(live: Engine) -> None:
    live.ping()
    info = live.info()
    assert info.version and info.cpus >= 1 and info.memory_bytes > 0 and info.cgroup_version in ("1", "2")


@engine_test
def test_a_container_is_listed_with_its_limits_until_it_is_removed(live: Engine, run: Run) -> None:
    made = run(HostConfig={"Memory": 32 << 20, "NanoCpus": 250_000_000})
    (found,) = [container for container in live.containers() if container.id == made.id]
    assert (found.state, found.memory_limit_bytes, found.cpu_limit_cores) == ("running", 32 << 20, 0.25)
    live.stop(made.id)
    live.stop(made.id)
    ended = live.inspect(made.id)
    assert ended is not None and (ended.state, ended.exit_code) == ("exited", 137)
    live.remove(made.id)
    live.remove(made.id)
    assert live.inspect(made.id) is None


@engine_test
def test_listing_can_be_narrowed_to_a_label_and_to_what_runs(live: Engine, run: Run) -> None:
    made = run("exit 0", Labels={"io.midwatch.project": "narrow"})
    until(lambda: (found := live.inspect(made.id)) is not None and found.state == "exited")
    label = "io.midwatch.project=narrow"
    assert [found.id for found in live.containers(label=label)] == [made.id]
    assert live.containers(all=False, label=label) == ()


@engine_test
def test_what_the_engine_refuses_says_what_and_why(live: Engine, run: Run) -> None:
    name = run().name
    with pytest.raises(EngineRefused, match="in use") as caught:
        live.create(name, {"Image": "midwatch-test/busybox:1"})
    assert caught.value.status == 409 and "\n" not in str(caught.value)
    with pytest.raises(EngineRefused, match="No such container"):
        live.start("nothing-of-that-name")


def test_an_engine_that_is_not_there_is_unavailable_whatever_is_asked(tmp_path: Path) -> None:
    engine = Engine(f"unix://{tmp_path / 'nothing.sock'}")
    for ask in (engine.ping, engine.containers, engine.events, lambda: engine.pull("a:1", None, now_ms)):
        with pytest.raises(EngineUnavailable, match=r"the engine at unix://.*nothing\.sock does not answer"):
            ask()


@engine_test
def test_events_tell_a_containers_life_in_order_and_leave_the_commands_in_it_out(live: Engine, run: Run) -> None:
    stream = live.events()
    seen: list[EngineEvent] = []
    reader = threading.Thread(target=lambda: seen.extend(stream), daemon=True)
    reader.start()
    made = run("exec sleep 600")
    assert live.exec(made.id, ["true"], 5) == 0
    live.kill(made.id)
    until(lambda: any(event.id == made.id and event.action == "die" for event in seen))
    live.remove(made.id)
    until(lambda: any(event.id == made.id and event.action == "destroy" for event in seen))
    stream.close()
    reader.join(5)
    assert not reader.is_alive()
    own = [event for event in seen if event.id == made.id]
    assert [event.action for event in own] == ["create", "start", "kill", "die", "destroy"]
    assert own[3].attributes["exitCode"] == "137" and own[3].attributes["name"] == made.name
    assert [event.time_ns for event in own] == sorted(event.time_ns for event in own)


@engine_test
def test_events_since_a_nanosecond_begin_with_that_very_event(live: Engine, run: Run) -> None:
    before = time.time_ns()
    made = run("exec sleep 600")

    def replay(since_ns: int) -> list[EngineEvent]:
        stream, found = live.events(since_ns=since_ns), []
        for event in stream:
            found += [event] if event.id == made.id else []
            if found and found[-1].action == "start":
                break
        stream.close()
        return found

    first = replay(before)
    assert [event.action for event in first] == ["create", "start"]
    assert replay(first[1].time_ns) == first[1:]


@engine_test
def test_a_log_has_both_streams_with_their_times_and_can_be_taken_up_where_it_was_left(live: Engine, run: Run) -> None:
    began = now_ms()
    made = run("echo one; echo two >&2; sleep 0.2; echo three")
    until(lambda: (found := live.inspect(made.id)) is not None and found.state == "exited")
    lines = sorted(live.logs(made.id, follow=True), key=lambda line: line.at_ms or 0)
    assert {(line.stream, line.text) for line in lines} == {
        ("stdout", b"one"),
        ("stderr", b"two"),
        ("stdout", b"three"),
    }
    assert all(line.at_ms is not None and began <= line.at_ms <= now_ms() for line in lines)
    assert [line.text for line in live.logs(made.id, since_ms=lines[2].at_ms, follow=False)] == [b"three"]


@engine_test
def test_a_line_beyond_the_bound_is_cut_though_the_engine_sends_it_in_parts(live: Engine, run: Run) -> None:
    made = run("head -c 40000 /dev/zero | tr '\\0' x; echo; echo end")
    until(lambda: (found := live.inspect(made.id)) is not None and found.state == "exited")
    first, last = live.logs(made.id, follow=False, max_line_bytes=20_000)
    assert first.text == b"x" * 20_000 and first.cut and last.text == b"end" and not last.cut


@engine_test
def test_a_container_with_a_terminal_has_lines_too(live: Engine, run: Run) -> None:
    made = run("echo one; echo two", Tty=True)
    until(lambda: (found := live.inspect(made.id)) is not None and found.state == "exited")
    lines = list(live.logs(made.id, follow=False))
    assert [(line.stream, line.text) for line in lines] == [("stdout", b"one"), ("stdout", b"two")]


@engine_test
def test_following_a_log_ends_when_another_thread_closes_it(live: Engine, run: Run) -> None:
    stream = live.logs(run("echo on; exec sleep 600").id)
    lines: list[RawLine] = []
    reader = threading.Thread(target=lambda: lines.extend(stream), daemon=True)
    reader.start()
    until(lambda: lines)
    stream.close()
    stream.close()
    reader.join(5)
    assert not reader.is_alive() and lines[0].text == b"on"


@engine_test
def test_a_command_that_takes_too_long_is_killed_so_that_probes_do_not_pile_up(
    live: Engine, sleeper: tuple[Engine, Container]
) -> None:
    id = sleeper[1].id
    assert live.exec(id, ["sleep", "599"], 0.2) is None
    assert until(lambda: live.exec(id, ["sh", "-c", "! pgrep -f 'sleep 599'"], 5) == 0)


def test_a_process_is_killed_only_where_its_cgroup_names_the_container(tmp_path: Path) -> None:
    (tmp_path / "4242").mkdir()
    (tmp_path / "4242" / "cgroup").write_text("0::/system.slice/sshd.service\n")
    assert not kill_in_container(4242, "a" * 64, proc=tmp_path)
    assert not kill_in_container(4243, "a" * 64, proc=tmp_path)
    assert not kill_in_container(4242, "", proc=tmp_path) and not kill_in_container(0, "a" * 64)


@engine_test
def test_networks_and_volumes_are_made_once_and_a_network_goes_when_nobody_uses_it(
    engine: EngineUnderTest, live: Engine
) -> None:
    name, labels = f"runtime-{engine.run_id}", {**engine.labels, "io.midwatch.project": engine.run_id}
    for _ in range(2):
        live.ensure_network(name, labels)
        live.ensure_volume(name, labels)
    assert len(engine.client.networks.list(names=[name])) == 1
    live.remove_networks(f"io.midwatch.project={engine.run_id}")
    assert engine.client.networks.list(names=[name]) == []
    engine.client.volumes.get(name).remove()


@engine_test
def test_a_pull_brings_an_image_with_its_bytes_layers_and_digest_and_a_second_one_is_cached(
    engine: EngineUnderTest, live: Engine, own_image: str
) -> None:
    began = now_ms()
    pull = live.pull(own_image, None, now_ms)
    try:
        assert (pull.outcome, pull.registry, pull.repository) == ("ok", own_image.partition("/")[0], "shop/own")
        assert pull.networked and pull.seconds > 0 and began <= pull.at_ms <= now_ms()
        (fetched,) = [layer for layer in pull.layers if not layer.cached]
        assert 2_000_000 < pull.bytes == fetched.bytes < 2_200_000 and fetched.extract_seconds is not None
        image = live.image(own_image)
        assert image is not None and image.digest == pull.digest and live.image_ids([own_image, "no:1"]) == {
            own_image: image.id, "no:1": None,
        }  # fmt: skip
        again = live.pull(own_image, None, now_ms)
        assert again.outcome == "cached" and not again.networked and again.bytes == 0
    finally:
        engine.client.images.remove(own_image)


@pytest.fixture
def own_image(
    engine: EngineUnderTest, live: Engine, tiny_image: str, registry: RegistryUnderTest, tmp_path: Path
) -> str:
    """An image in the registry whose one layer of two incompressible megabytes the engine does not have."""
    (tmp_path / "Dockerfile").write_text(f"FROM {tiny_image}\nRUN head -c 2097152 /dev/urandom > /{engine.run_id}\n")
    local = f"midwatch-test/own-{engine.run_id}:1"
    build = live.build(BuildSpec(str(tmp_path)), local, now_ms)
    assert build.ok, build.message
    reference = registry.push(local, "shop/own")
    engine.client.images.remove(local)
    return reference


@engine_test
def test_three_failures_have_three_classes(
    live: Engine, tiny_image: str, registry: RegistryUnderTest, auth_registry: RegistryUnderTest
) -> None:
    missing = live.pull(f"{registry.address}/shop/api:9", None, now_ms)
    guarded = auth_registry.push(tiny_image, "shop/api")
    anonymous = live.pull(guarded, None, now_ms)
    wrong = live.pull(guarded, Credentials(USER, "wrong"), now_ms)
    registry.stop()
    stopped = live.pull(f"{registry.address}/shop/api:1", None, now_ms)
    outcomes = [pull.outcome for pull in (missing, anonymous, wrong, stopped)]
    assert outcomes == ["not_found", "unauthorized", "unauthorized", "unreachable"]
    assert all(pull.networked and pull.message and "wrong" not in pull.message for pull in (missing, wrong, stopped))


@engine_test
def test_the_right_credentials_open_a_guarded_registry(
    engine: EngineUnderTest, live: Engine, tiny_image: str, auth_registry: RegistryUnderTest
) -> None:
    reference = auth_registry.push(tiny_image, "shop/api")
    assert live.pull(reference, Credentials(USER, PASSWORD), now_ms).outcome == "ok"
    engine.client.images.remove(reference)


@engine_test
def test_a_reference_that_is_none_never_reached_for_the_network(live: Engine) -> None:
    pull = live.pull("127.0.0.1:1/UPPER/Case:1", None, now_ms)
    assert pull.outcome == "bad_reference" and not pull.networked


@engine_test
def test_a_registry_that_limits_the_rate_has_a_class_of_its_own(live: Engine) -> None:
    body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'
    with serving(lambda _head: http("429 Too Many Requests", body, "Content-Type: application/json")) as server:
        assert live.pull(f"127.0.0.1:{server.port}/a:1", None, now_ms).outcome == "rate_limited"


@engine_test
def test_a_pull_that_is_stopped_is_cancelled_and_counts_in_neither(live: Engine, own_image: str) -> None:
    pull = live.pull(own_image, None, now_ms, stop=lambda: True)
    assert pull.outcome == "cancelled" and not pull.networked


@engine_test
def test_a_build_that_fails_says_at_which_step(live: Engine, tiny_image: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {tiny_image}\nRUN exit 3\n")
    build = live.build(BuildSpec(str(tmp_path)), "midwatch-test/broken:1", now_ms)
    assert not build.ok and build.message and "Step 2/2 : RUN exit 3" in build.message and "3" in build.message
    assert live.image("midwatch-test/broken:1") is None


@engine_test
def test_a_build_without_a_context_or_a_dockerfile_is_a_failed_build(live: Engine, tmp_path: Path) -> None:
    for context in (tmp_path / "nowhere", tmp_path):
        build = live.build(BuildSpec(str(context)), "midwatch-test/broken:1", now_ms)
        assert not build.ok and build.message
