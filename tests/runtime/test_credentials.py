"""Credentials as `docker login` leaves them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from runtime.credentials import Credentials, config_path, credentials_for


def logged_in(folder: Path, registry: str, entry: dict[str, str]) -> dict[str, str]:
    (folder / "config.json").write_text(json.dumps({"auths": {registry: entry}}))
    return {"DOCKER_CONFIG": str(folder)}


def test_user_and_password_of_the_registry_that_is_asked_for(tmp_path: Path) -> None:
    entry = {"auth": base64.b64encode(b"me:se:cret").decode()}
    environ = logged_in(tmp_path, "127.0.0.1:5000", entry)
    assert credentials_for("127.0.0.1:5000", environ) == Credentials("me", "se:cret")
    assert credentials_for("other:5000", environ) is None


def test_the_hubs_legacy_key_is_the_hub(tmp_path: Path) -> None:
    entry = {"auth": base64.b64encode(b"me:x").decode()}
    environ = logged_in(tmp_path, "https://index.docker.io/v1/", entry)
    assert credentials_for("docker.io", environ) == Credentials("me", "x")


def test_an_identity_token_stands_for_a_password(tmp_path: Path) -> None:
    environ = logged_in(tmp_path, "r.example", {"identitytoken": "tok"})
    assert credentials_for("r.example", environ) == Credentials("", identity_token="tok")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"auths": {"r": 1}}', '{"auths": {"r": {"auth": "%%"}}}', '"x"'])
def test_a_configuration_that_is_no_configuration_holds_no_credentials(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert credentials_for("r", {"DOCKER_CONFIG": str(tmp_path)}) is None


def test_without_docker_config_it_lies_in_the_home(tmp_path: Path) -> None:
    assert config_path({"HOME": str(tmp_path)}) == tmp_path / ".docker" / "config.json"
    assert credentials_for("r", {"HOME": str(tmp_path)}) is None


def test_a_password_is_never_shown() -> None:
    shown = repr(Credentials("me", "secret", "token"))
    assert "me" in shown and "secret" not in shown and "token'" not in shown
