"""`midwatch report`: what is asked of the service, what is written, and a PDF by a browser of the machine."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

import pytest

from cli.browser import browser, pdf
from cli.errors import Refusal
from cli.report import Asked, report
from service.settings import Settings

NOTHING = Asked(None, None, None, None, None, None, None, None, None, None, None)
HTML = b"<!doctype html><title>x</title><p>Budget left: 42 %</p>"


class _Handler(BaseHTTPRequestHandler):
    asked: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        self.asked.append((parts.path, query))
        gone = query.get("slo") == "gone"
        body = b'{"error": "There is no objective \'gone\'."}' if gone else HTML
        self.send_response(404 if gone else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Requests are not logged."""


@pytest.fixture
def service() -> Iterator[tuple[Settings, list[tuple[str, dict[str, str]]]]]:
    """What stands in for the service, and what it was asked."""
    asked: list[tuple[str, dict[str, str]]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"asked": asked}))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield Settings(listen=f"127.0.0.1:{server.server_port}"), asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("asked", "path", "query"),
    [
        (NOTHING, "/reports.html", {"period": "30d"}),
        (NOTHING._replace(form="json", slo="a b&c", service="shop/api", period="2026-W47"), "/api/slo/report",
         {"slo": "a b&c", "service": "shop/api", "period": "2026-W47"}),
        (NOTHING._replace(form="csv", since="2026-11-01", until="2026-11-07", zone="Europe/Berlin", part="minutes"),
         "/reports.csv", {"from": "2026-11-01", "to": "2026-11-07", "zone": "Europe/Berlin", "part": "minutes"}),
    ],
)  # fmt: skip
def test_the_service_is_asked_for_what_the_command_says(
    service: tuple[Settings, list[tuple[str, dict[str, str]]]], asked: Asked, path: str, query: dict[str, str],
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:  # fmt: skip
    report(service[0], asked, {})
    assert service[1] == [(path, query)]
    assert capfdbinary.readouterr().out == HTML


def test_the_files_name_tells_the_format(
    service: tuple[Settings, list[tuple[str, dict[str, str]]]], tmp_path: Path
) -> None:
    report(service[0], NOTHING._replace(out=tmp_path / "x.parquet", part="days"), {})
    assert service[1] == [("/reports.parquet", {"period": "30d", "part": "days"})]
    assert (tmp_path / "x.parquet").read_bytes() == HTML


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (NOTHING._replace(form="parquet"), "parquet is no text"),
        (NOTHING._replace(form="pdf"), "pdf is no text"),
        (NOTHING._replace(since="2026-11-01"), "both of its ends"),
        (NOTHING._replace(since="2026-11-01", until="2026-11-02", period="7d"), "say one of them"),
        (NOTHING._replace(part="minutes"), "html has no parts"),
        (NOTHING._replace(slo="gone"), "There is no objective 'gone'."),
    ],
)
def test_what_can_not_be_is_refused_with_the_remedy(
    service: tuple[Settings, list[tuple[str, dict[str, str]]]], asked: Asked, said: str
) -> None:
    with pytest.raises(Refusal, match=said):
        report(service[0], asked, {})


def _program(folder: Path, text: str) -> Path:
    path = folder / "chromium"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_pdf_is_made_by_the_browser_on_the_path_from_the_file_alone(
    service: tuple[Settings, list[tuple[str, dict[str, str]]]], tmp_path: Path
) -> None:
    said = tmp_path / "said"
    _program(
        tmp_path,
        f'for it; do echo "$it" >> {said}; case "$it" in --print-to-pdf=*) printf "%%PDF-1.7 made" > "${{it#*=}}";; '
        f'file://*) cat "${{it#file://}}" >> {said};; esac; done',
    )
    out = tmp_path / "october.pdf"
    report(service[0], NOTHING._replace(out=out), {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert out.read_bytes() == b"%PDF-1.7 made"
    lines = said.read_text()
    assert "--headless" in lines
    assert HTML.decode() in lines
    assert service[1] == [("/reports.html", {"period": "30d"})]


def test_without_a_browser_the_service_is_not_even_asked(
    service: tuple[Settings, list[tuple[str, dict[str, str]]]], tmp_path: Path
) -> None:
    with pytest.raises(Refusal, match="none is installed here") as caught:
        report(service[0], NOTHING._replace(out=tmp_path / "x.pdf"), {"PATH": str(tmp_path)})
    assert "apt-get install chromium" in str(caught.value)
    assert service[1] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [("echo broken >&2", "made no PDF: broken"), ("exit 3", "it said nothing"), ("sleep 60", "longer")],
)
def test_a_browser_that_fails_is_told_and_nothing_is_written(tmp_path: Path, text: str, said: str) -> None:
    program = _program(tmp_path, text)
    with pytest.raises(Refusal, match=said):
        pdf(program, HTML, tmp_path / "x.pdf", 1.0 if "sleep" in text else 30.0)
    assert not (tmp_path / "x.pdf").exists()


def test_a_browser_that_is_named_must_be_a_program(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="is no program"):
        browser({}, tmp_path)
    with pytest.raises(Refusal, match="is no program"):
        browser({}, tmp_path / "gone")


@pytest.mark.browser
def test_a_real_browser_makes_a_real_pdf(browser_path: str, tmp_path: Path) -> None:
    out = tmp_path / "x.pdf"
    assert pdf(Path(browser_path), HTML, out) == out.stat().st_size > 1000
    if (tool := browser({"PATH": "/usr/bin:/bin"}, None)) and Path("/usr/bin/pdftotext").exists():
        done = subprocess.run(["/usr/bin/pdftotext", str(out), "-"], capture_output=True, text=True, check=True)
        assert "Budget left: 42 %" in done.stdout
        assert tool


def test_the_answer_for_programs_is_json_as_it_came(
    service: tuple[Settings, list[tuple[str, dict[str, str]]]], tmp_path: Path
) -> None:
    report(service[0], NOTHING._replace(form="json", out=tmp_path / "x"), {})
    assert (tmp_path / "x").read_bytes() == HTML
    assert json.dumps(service[1][0][0]) == '"/api/slo/report"'
