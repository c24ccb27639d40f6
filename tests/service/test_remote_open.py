from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from service.errors import SettingsFault
from service.model import Series
from service.remote_api import RemoteApi, RemoteUnavailable, text
from service.remote_open import client_of, opened
from service.remote_store import RemoteStore
from service.settings import Settings
from service.settings_remote import RemoteSettings
from service.store import Store
from service.store_append import Bounds
from slo.model import Matcher, Selector
from tests.service.stores import Clock


def settings(**given: object) -> Settings:
    return Settings.model_validate(given)


@pytest.mark.parametrize(
    ("store", "why"),
    [
        ("postgres://x", "write an address"),
        ("prometheus+https://", "write an address"),
        ("prometheus+https://me:secret@host", "credentials"),
        ("prometheus+https://host/?token=secret", "credentials"),
    ],
)
def test_a_store_that_is_none_is_refused(store: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        settings(store=store)


def test_without_a_remote_store_samples_live_here(tmp_path: Path) -> None:
    with opened(settings(), tmp_path / "x.duckdb", Clock(), Bounds()) as store:
        assert type(store) is Store


def test_a_remote_store_is_named_by_its_address(tmp_path: Path) -> None:
    named = settings(store="prometheus+http://127.0.0.1:9/prometheus/")
    assert named.remote_url == "http://127.0.0.1:9/prometheus"
    with opened(named, tmp_path / "x.duckdb", Clock(), Bounds()) as store:
        assert isinstance(store, RemoteStore)


def test_credentials_go_with_each_request() -> None:
    with client_of(RemoteSettings(token="t" * 16, tenant="team")) as client:
        assert client.headers["authorization"] == "Bearer " + "t" * 16
        assert client.headers["x-scope-orgid"] == "team"
    assert "t" * 16 not in repr(RemoteSettings(token="t" * 16))


def test_certificates_that_cannot_be_read_are_an_error_with_the_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsFault, match=r"service\.remote\.ca_file"):
        client_of(RemoteSettings(ca_file=str(tmp_path / "none.pem")))


def api(answer: Callable[[httpx.Request], httpx.Response], most: int = 1 << 20) -> RemoteApi:
    return RemoteApi(httpx.Client(transport=httpx.MockTransport(answer)), "http://remote", most)


def matrix(*values: list[object]) -> dict[str, object]:
    found = [{"metric": {"__name__": "a", "x": "1"}, "values": list(values)}]
    return {"status": "success", "data": {"resultType": "matrix", "result": found}}


def test_samples_at_the_begin_of_a_window_and_markers_are_left_out() -> None:
    told = matrix([1.0, "1"], [1.5, "NaN"], [2.001, "2"], [3, "+Inf"], [4, "4"])
    (line,) = api(lambda _: httpx.Response(200, json=told)).raw(Selector("a"), 1000, 3000)
    assert (line.series, line.ts_ms.tolist(), line.value.tolist()) == (
        Series("a", (("x", "1"),)), [2001, 3000], [2.0, float("inf")],
    )  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[1]),
        httpx.Response(422, json={"status": "error", "error": "too many samples"}),
        httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": []}}),
        httpx.Response(200, json=matrix(["x", "y"])),
        httpx.Response(200, json=matrix([1e300, "1"])),
        httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": [3]}}),
        httpx.Response(200, json=matrix([1, "1" * (1 << 20)])),
    ],
)
def test_what_is_no_answer_is_an_error_that_can_be_tried_again(answer: httpx.Response) -> None:
    with pytest.raises(RemoteUnavailable):
        api(lambda _: answer).raw(Selector("a"), 0, 1000)


def test_a_server_that_is_not_there_is_such_an_error_too() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(RemoteUnavailable, match="can't be reached"):
        api(refuse).raw(Selector("a"), 0, 1000)


def test_values_of_matchers_are_escaped() -> None:
    found = Selector("a", (Matcher("x", "=", 'q"\\\n{}'), Matcher("y", "!~", "a|b")))
    assert text(found) == r'a{x="q\"\\\n{}",y!~"a|b"}'


def test_names_that_promql_cannot_say_are_refused() -> None:
    for wrong in (Selector('a{x="1"} or b'), Selector("a", (Matcher('x="1"} or b{y', "=", ""),))):
        with pytest.raises(ValueError, match="no name"):
            text(wrong)
