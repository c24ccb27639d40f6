"""TLS and mutual TLS on real sockets, with the agent's own client, and a certificate that is renewed."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.post import Poster, PostFailed
from agent.tls import TlsFiles
from cli.config import address, load
from cli.service_client import ready
from service.errors import SettingsFault
from service.settings import Settings
from service.settings_tls import TlsSettings
from service.tls import Certificates, certificates
from tests.service.test_main import RUN
from tests.support.certificates import authority, signed
from tests.support.ports import free_port
from tests.support.waiting import until

PROTOBUF = {"content-type": "application/x-protobuf"}


@contextmanager
def served(folder: Path, **tls: Path) -> Iterator[Settings]:
    """A service over https while the context lasts."""
    told = {"listen": f"127.0.0.1:{free_port()}", "tls": {name: str(path) for name, path in tls.items()}}
    settings = Settings.model_validate_json(json.dumps(told))
    with subprocess.Popen([sys.executable, "-c", RUN, json.dumps(told), str(folder / "data")]) as process:
        try:
            until(lambda: ready(settings), 60.0)
            yield settings
        finally:
            process.terminate()


def sent(settings: Settings, files: TlsFiles) -> int:
    poster = Poster(files=files)
    try:
        return poster.post(f"{address(settings)}/v1/metrics", b"", PROTOBUF).status
    finally:
        poster.close()


def test_who_trusts_the_certificate_may_send_and_nobody_else_does(tmp_path: Path) -> None:
    ca, (certificate, key) = authority(tmp_path), signed(tmp_path, "server")
    with served(tmp_path, certificate=certificate, key=key) as settings:
        assert settings.base_url.startswith("https://")
        assert sent(settings, TlsFiles(str(ca))) == 200
        assert sent(settings, TlsFiles(str(certificate))) == 200
        with pytest.raises(PostFailed, match="certificate verify failed"):
            sent(settings, TlsFiles())


def test_with_a_client_ca_who_shows_no_certificate_gets_no_answer(tmp_path: Path) -> None:
    ca, (certificate, key), mine = authority(tmp_path), signed(tmp_path, "server"), signed(tmp_path, "node-7")
    (tmp_path / "others").mkdir()
    authority(tmp_path / "others")
    stranger = signed(tmp_path / "others", "node-7")
    with served(tmp_path, certificate=certificate, key=key, client_ca=ca) as settings:
        assert sent(settings, TlsFiles(str(ca), str(mine[0]), str(mine[1]))) == 200
        for files in (TlsFiles(str(ca)), TlsFiles(str(ca), str(stranger[0]), str(stranger[1]))):
            with pytest.raises(PostFailed):
                sent(settings, files)


def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path: Path) -> None:
    authority(tmp_path)
    certificate, key = signed(tmp_path, "server")
    found = Certificates(certificate, key, None)
    before = shown_by(found.context)
    assert not found.renew()
    signed(tmp_path, "server")
    os.utime(certificate, ns=(1, 1))
    assert found.renew()
    assert shown_by(found.context) != before
    certificate.write_text("broken")
    assert not found.renew()
    assert shown_by(found.context) != before


def shown_by(context: ssl.SSLContext) -> bytes | None:
    """The certificate that a context shows in a handshake over memory."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server)
    other = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(6):
        for side in (one, other):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return one.getpeercert(binary_form=True)


def test_files_that_do_not_belong_together_are_said_so(tmp_path: Path) -> None:
    authority(tmp_path)
    (certificate, _), (_, key) = signed(tmp_path, "a"), signed(tmp_path, "b")
    with pytest.raises(SettingsFault, match="PEM files that belong together"):
        certificates(TlsSettings(certificate=certificate, key=key))
    with pytest.raises(SettingsFault, match="No such file"):
        certificates(TlsSettings(certificate=tmp_path / "none", key=key))
    assert certificates(TlsSettings.model_validate({})) is None


@pytest.mark.parametrize("given", [{"certificate": "a"}, {"key": "a"}, {"client_ca": "a"}])
def test_a_half_of_it_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="set"):
        TlsSettings.model_validate(given)


def test_the_agent_of_the_same_file_trusts_the_service(tmp_path: Path) -> None:
    file = tmp_path / "midwatch.yaml"
    file.write_text("service:\n  tls:\n    certificate: /etc/m.pem\n    key: /etc/m.key\n")
    found = load(file, {})
    assert (found.agent.server, found.agent.tls.ca) == ("https://127.0.0.1:8640", "/etc/m.pem")


def test_plain_http_to_a_port_of_tls_gets_nothing(tmp_path: Path) -> None:
    authority(tmp_path)
    certificate, key = signed(tmp_path, "server")
    with served(tmp_path, certificate=certificate, key=key) as settings:
        host, _, port = settings.listen.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" not in plain.recv(100)
