from __future__ import annotations

from pathlib import Path

import pytest

from agent.borrowed import NODE
from runtime import procfs
from runtime.devices import devices
from runtime.errors import ParseFault
from runtime.node_more import SELDOM_SECONDS, NodeMore, look
from runtime.procfs import Disk


def host(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def told(root: Path) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {(name, labels): value for name, labels, value in look(root)}


def test_a_link_has_its_speed_in_bytes_and_none_where_it_has_none(tmp_path: Path) -> None:
    root = host(tmp_path, {"sys/class/net/eth0/speed": "1000\n", "sys/class/net/lo/speed": "-1\n"})
    found = told(root)
    assert found["node_network_speed_bytes", (("device", "eth0"),)] == 125_000_000
    assert ("node_network_speed_bytes", (("device", "lo"),)) not in found


def test_a_bond_tells_how_many_of_its_links_are_up(tmp_path: Path) -> None:
    net = "sys/class/net"
    files = {f"{net}/bond0/bonding/slaves": "a b\n", f"{net}/a/operstate": "up\n", f"{net}/b/operstate": "down\n"}
    found = told(host(tmp_path, files))
    assert found["node_bonding_slaves", (("master", "bond0"),)] == 2
    assert found["node_bonding_active", (("master", "bond0"),)] == 1


def test_a_raid_tells_its_disks_by_state(tmp_path: Path) -> None:
    md = "sys/block/md0/md"
    files = {f"{md}/raid_disks": "2\n", f"{md}/dev-sda/state": "in_sync\n", f"{md}/dev-sdb/state": "faulty\n"}
    found = told(host(tmp_path, files))
    device = ("device", "md0")
    assert found["node_md_disks_required", (device,)] == 2
    assert [found["node_md_disks", (device, ("state", state))] for state in ("active", "failed", "spare")] == [1, 1, 0]


def test_sensors_connections_and_memory_errors_are_told(tmp_path: Path) -> None:
    chip = "sys/class/hwmon/hwmon0"
    files = {
        f"{chip}/name": "coretemp\n",
        f"{chip}/temp1_input": "45500\n",
        f"{chip}/temp1_max": "80000\n",
        f"{chip}/fan1_input": "900\n",
        "proc/sys/net/netfilter/nf_conntrack_count": "7\n",
        "proc/sys/net/netfilter/nf_conntrack_max": "100\n",
        "sys/devices/system/edac/mc/mc0/ce_count": "3\n",
    }
    found = told(host(tmp_path, files))
    sensor = (("chip", "coretemp"), ("sensor", "temp1"))
    assert found["node_hwmon_temp_celsius", sensor] == 45.5
    assert found["node_hwmon_temp_max_celsius", sensor] == 80
    assert found["node_nf_conntrack_entries", ()] == 7
    assert found["node_nf_conntrack_entries_limit", ()] == 100
    assert found["node_edac_correctable_errors_total", (("controller", "0"),)] == 3


def test_what_the_node_has_not_or_says_in_garbage_is_absent(tmp_path: Path) -> None:
    root = host(tmp_path, {"sys/class/net/eth0/speed": "fast\n", "sys/class/hwmon/hwmon0/temp1_input": "\n"})
    assert {name for name, _ in told(root)} <= {"machine", *(name for name in NODE if "timex" in name)}


def test_every_name_is_one_of_node_exporters_with_its_labels() -> None:
    for name, labels, _ in look(Path("/")):
        if name != "machine":
            assert tuple(label for label, _ in labels) == NODE[name].labels


def test_it_is_looked_at_seldom(tmp_path: Path) -> None:
    now = [0.0]
    more = NodeMore(tmp_path, lambda: now[0])
    first = more.facts()
    host(tmp_path, {"sys/class/net/eth0/speed": "1000\n"})
    assert more.facts() is first
    now[0] = SELDOM_SECONDS
    assert any(fact.name == "node_network_speed_bytes" for fact in more.facts())


def test_snmp_is_pairs_of_lines() -> None:
    text = b"Ip: A B\nIp: 1 2\nTcp: OutSegs RetransSegs MaxConn\nTcp: 5 3 -1\n"
    assert procfs.netstat(text) == {"Tcp_OutSegs": 5, "Tcp_RetransSegs": 3}
    for garbled in (b"Tcp: A\nUdp: 1\n", b"Tcp: A B\nTcp: 1\n"):
        with pytest.raises(ParseFault):
            procfs.netstat(garbled)


def disk(device: str, name: str) -> Disk:
    return Disk(device, name, 0, 0, 0, 0.0, 0, 0, 0, 0.0, 0, 0.0, 0.0)


def test_a_device_made_of_others_is_stacked(tmp_path: Path) -> None:
    (tmp_path / "sys/block/dm-0/slaves/sda").mkdir(parents=True)
    (tmp_path / "sys/block/sda/slaves").mkdir(parents=True)
    found = devices((disk("8:0", "sda"), disk("253:0", "dm-0"), disk("8:1", "sda1")), tmp_path)
    assert found.stacked == {"253:0"}
    assert found.names["253:0"] == "/dev/dm-0"
