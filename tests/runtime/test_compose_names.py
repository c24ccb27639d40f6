from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime import compose_names as names

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "text",
    [
        "nginx", "nginx:1.27", "library/nginx", "a.b/c", "a__b/c-d/e.f:T_1.2-x", "localhost/x", "localhost:5000/x:1",
        "127.0.0.1:8641/shop/api:1", "[::1]:5000/x", "registry.example/team/app@sha256:" + HEX, f"nginx:1@sha256:{HEX}",
        "sha256:" + HEX, "GHCR.io/x", "x:" + "t" * 128, "MyHost/x",
    ],
)  # fmt: skip
def test_images_that_the_engine_takes(text: str) -> None:
    assert names.image(text) == text


BAD: tuple[tuple[Callable[[str], object], tuple[str, ...]], ...] = (
    (names.image, (
        "!!!", "", " nginx", "a b", "nginx:", "nginx:a b", "nginx:" + "t" * 129, "nginx@sha256:abc", "nginx@", "/x",
        "x/", "a//b", "-a", "a-", "a..b", "a___b", "nginx:-1", "http://x/y", "r.example:99999/x", "r_.example/x",
        "x" * 256, "é", "nginx\n", "NGINX", "library/Nginx:1",
    )),
    (names.user, ("a:b:c:d", "a:b:c", ":", "a:", ":b", "a b", "2147483648", "9" * 300, "a/b", "a\n")),
    (names.capability, ("NOPE", "", "CAP_", "CAP_CAP_CHOWN", "NET RAW", "x" * 5000)),
    (names.variable, ("", "A=B", "=")),
    (names.absolute, ("", "x", "./x")),
    (names.host_ip, ("1", "999.1.1.1", "localhost", "::g")),
)  # fmt: skip


@pytest.mark.parametrize(("parse", "text"), [(parse, text) for parse, texts in BAD for text in texts])
def test_what_the_engine_would_refuse_is_refused_with_a_remedy(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match=r"; (write|use|begin|did you mean) ") as caught:
        parse(text)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("text", ["0", "1000:1000", "www-data", "app:0", "machine$", "2147483647"])
def test_users(text: str) -> None:
    assert names.user(text) == text


@pytest.mark.parametrize("text", ["ALL", "all", "NET_RAW", "CAP_NET_RAW", "cap_sys_admin"])
def test_capabilities_are_taken_in_every_way_that_they_are_written(text: str) -> None:
    assert names.capability(text) == text


def test_capital_letters_and_slips_are_told_with_what_was_meant() -> None:
    with pytest.raises(ValueError, match="capital letters; write library/nginx"):
        names.image("library/Nginx:1")
    with pytest.raises(ValueError, match=r"did you mean SYS_ADMIN\?"):
        names.capability("CAP_SYS_ADMN")
