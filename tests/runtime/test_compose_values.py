"""Texts of Compose files as values, in all the ways that Compose writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runtime import compose_values as values
from runtime.model import Mount, Port

HERE = Path("/srv/shop")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1m30s", 90), ("500ms", 0.5), ("2h", 7200), ("1.5s", 1.5), ("10us", 1e-5), ("1d", 86400), ("0s", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert values.duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("64m", 64 << 20), ("64M", 64 << 20), ("1gb", 1 << 30), ("512k", 512 << 10), ("1.5g", 3 << 29), ("1024", 1024),
     ("10b", 10), ("2GiB", 2 << 30)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert values.size_bytes(text) == size


def test_no_limit_is_none() -> None:
    assert values.memory_bytes("0") is None and values.cores("0") is None and values.cores(".5") == 0.5


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", (Port(80),)),
        ("8080:80", (Port(80, 8080),)),
        ("22:22", (Port(22, 22),)),
        ("127.0.0.1:8080:80", (Port(80, 8080, "127.0.0.1"),)),
        ("127.0.0.1::80", (Port(80, None, "127.0.0.1"),)),
        ("[::1]:8080:80", (Port(80, 8080, "::1"),)),
        ("53:53/udp", (Port(53, 53, "", "udp"),)),
        ("8000-8001:80-81", (Port(80, 8000), Port(81, 8001))),
        ("80-81", (Port(80), Port(81))),
    ],
)
def test_ports(text: str, ports: tuple[Port, ...]) -> None:
    assert values.ports(text) == ports


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/data", Mount("volume", "", "/data")),
        ("data:/data", Mount("volume", "data", "/data")),
        ("./conf:/etc/conf:ro", Mount("bind", "/srv/shop/conf", "/etc/conf", True)),
        ("../x:/x:rw", Mount("bind", "/srv/x", "/x")),
        ("/var/log:/log", Mount("bind", "/var/log", "/log")),
    ],
)
def test_mounts(text: str, mount: Mount) -> None:
    assert values.mount(text, HERE) == mount


@pytest.mark.parametrize(
    ("text", "policy"),
    [("no", ("no", 0)), ("false", ("no", 0)), ("always", ("always", 0)), ("on-failure", ("on-failure", 0)),
     ("on-failure:3", ("on-failure", 3)), ("unless-stopped", ("unless-stopped", 0))],
)  # fmt: skip
def test_restart_policies(text: str, policy: tuple[str, int]) -> None:
    assert values.restart(text) == policy


def test_a_commands_text_is_split_as_a_shell_does_and_not_run_by_one() -> None:
    assert values.words("sh -c 'echo $HOME && true'") == ("sh", "-c", "echo $HOME && true")


BAD: tuple[tuple[Callable[[str], object], tuple[str, ...]], ...] = (
    (values.duration_seconds, ("", "5", "s", "5 s", "1m 30s", "-1s", "1y", "5sx", "366d", "9" * 400 + "d")),
    (values.size_bytes, ("", "x", "-1m", "1e3", "64 mm", "1,5g", "1025p", "9" * 400 + "k")),
    (values.memory_bytes, ("1m", "4096")),
    (values.cores, ("", "x", "-1", "1e3", "nan", "inf", "9" * 400)),
    (values.whole, ("", "1.5", "x", "-1", "99999999999", "0x10")),
    (
        values.ports,
        (
            "",
            "x",
            "0",
            "70000",
            "80:",
            "a:80:80",
            "80/sctp",
            "8000-8002:80",
            "8001-8000:1-2",
            "1-9999",
            "999.0.0.1:80:80",
        ),
    ),
    (values.interval_seconds, ("1us", "x")),
    (values.restart, ("", "sometimes", "always:3", "on-failure:x", "on-failure:")),
    (values.words, ("a 'b",)),
    (values.boolean, ("", "maybe", "1")),
    (
        lambda text: values.mount(text, HERE),
        ("~nosuchuser/x:/x", "a:/", "./a:/..", "", "a:b", "./a:/b:z", "a:/b:ro:x", ":/b", "rel"),
    ),
)


@pytest.mark.parametrize(("parse", "text"), [(parse, text) for parse, texts in BAD for text in texts])
def test_what_is_no_value_is_refused_with_a_remedy(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match=r"; (write|make|ports|close|begin|name|correct)"):
        parse(text)
