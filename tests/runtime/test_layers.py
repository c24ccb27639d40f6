from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.errors import ParseFault
from runtime.layers import LOOK_EVERY, Layers, Running, layer_folder, used_bytes
from tests.support.engine import EngineUnderTest
from tests.support.waiting import until

LINE = "700 600 0:55 / / rw,relatime - overlay overlay rw,lowerdir=/a:/b,upperdir={},workdir=/w\n"


def host(root: Path, *folders: Path) -> list[Running]:
    """A host whose containers 1, 2 … have these folders as their layers."""
    found = []
    for pid, folder in enumerate(folders, 1):
        (root / "proc" / str(pid)).mkdir(parents=True)
        (root / "proc" / str(pid) / "mountinfo").write_text(LINE.format("/" + str(folder.relative_to(root))))
        found.append(Running(str(pid) * 64, pid))
    return found


class Clock:
    """A clock that goes on at each look."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def layer(root: Path, name: str, files: int) -> Path:
    folder = root / name / "diff"
    folder.mkdir(parents=True)
    for n in range(files):
        (folder / str(n)).write_bytes(b"x" * 5000)
    return folder


def test_the_layer_is_told_by_the_containers_own_mounts() -> None:
    assert layer_folder(LINE.format("/var/lib/x/diff").encode()) == "/var/lib/x/diff"
    assert layer_folder(b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n") is None
    assert layer_folder(LINE.format("relative/diff").encode()) is None
    with pytest.raises(ParseFault):
        layer_folder(b"overlay\n")


def test_blocks_are_counted_once_for_a_file_with_two_names_and_links_are_not_followed(tmp_path: Path) -> None:
    folder = layer(tmp_path, "a", 3)
    before = used_bytes(str(folder), float("inf"))
    os.link(folder / "0", folder / "again")
    (folder / "away").symlink_to("/usr")
    assert before == used_bytes(str(folder), float("inf"))
    assert before is not None
    assert before >= 3 * 5000


def test_what_takes_too_long_has_no_size_and_is_counted(tmp_path: Path) -> None:
    containers = host(tmp_path, layer(tmp_path, "a", LOOK_EVERY + 1))
    layers = Layers(tmp_path, container_seconds=0.5, round_seconds=100, clock=Clock(1.0))
    layers.look(containers, {}, lambda: False)
    found = layers.use("1" * 64)
    assert found is not None
    assert (found.used_bytes, layers.out_of_time) == (None, 1)
    assert found.inodes >= found.inodes_free >= 0


def test_a_round_that_ends_early_goes_on_there_next_time(tmp_path: Path) -> None:
    containers = host(tmp_path, *(layer(tmp_path, name, 2) for name in "abc"))
    clock = Clock(1.0)
    layers = Layers(tmp_path, container_seconds=10, round_seconds=3, clock=clock)
    sized: set[str] = set()
    for _ in range(3):
        layers.look(containers, {}, lambda: False)
        uses = {one.id: layers.use(one.id) for one in containers}
        sized |= {id for id, use in uses.items() if use and use.used_bytes is not None}
    assert sized == {one.id for one in containers}


def test_a_container_that_ended_is_forgotten_and_one_that_is_there_is_kept(tmp_path: Path) -> None:
    containers = host(tmp_path, layer(tmp_path, "a", 1), layer(tmp_path, "b", 1))
    layers = Layers(tmp_path)
    layers.look(containers, {}, lambda: False)
    assert layers.use(containers[1].id) is not None
    layers.look(containers[:1], {}, lambda: False)
    assert layers.use(containers[0].id) is not None
    assert layers.use(containers[1].id) is None


@pytest.mark.engine
def test_what_a_real_container_writes_shows_in_its_layer(engine: EngineUnderTest, tiny_image: str) -> None:
    script = "dd if=/dev/zero of=/big bs=1M count=8 && sync; sleep 600"
    made = engine.client.containers.run(
        tiny_image, ["sh", "-c", script], detach=True, labels=engine.labels, network_mode="none"
    )
    made.reload()
    layers, one = Layers(Path("/")), Running(made.id, made.attrs["State"]["Pid"])

    def used() -> int:
        layers.look([one], {}, lambda: False)
        found = layers.use(made.id)
        return (found.used_bytes or 0) if found else 0

    until(lambda: used() >= 8 << 20)
    assert used() < 16 << 20
    made.remove(force=True)
    assert used() == 0
