"""A browser of this machine makes a PDF of an HTML file, without a window."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cli.errors import Refusal

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WAIT_SECONDS: Final = 120.0
_FLAGS: Final = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-extensions", "--no-pdf-header-footer",
)  # fmt: skip


def browser(environ: Mapping[str, str], given: Path | None = None) -> Path:
    """The browser to use: the one that is given, or one of NAMES on the path. Refuses where there is none."""
    if given is not None:
        if not os.access(given, os.X_OK) or given.is_dir():
            raise Refusal(f"{given} is no program", "name the browser itself, such as /usr/bin/chromium")
        return given
    found = next((path for name in NAMES if (path := shutil.which(name, path=environ.get("PATH")))), None)
    if found is None:
        raise Refusal(
            "a PDF needs Chromium or Chrome, and none is installed here",
            "install one (apt-get install chromium), name it with --browser, or write --format html and print that",
        )
    return Path(found)


def pdf(program: Path, html: bytes, to: Path, wait_seconds: float = WAIT_SECONDS) -> int:
    """Print a page to a PDF file; its size in bytes. Refuses where the browser fails or takes too long.

    The page has no script. As root a browser can't shut itself in, so that it is told not to.
    """
    with tempfile.TemporaryDirectory(prefix="midwatch-report-") as folder:
        page, made = Path(folder) / "report.html", Path(folder) / "report.pdf"
        page.write_bytes(html)
        bare = ["--no-sandbox"] if os.geteuid() == 0 else []
        command = [str(program), *_FLAGS, *bare, f"--user-data-dir={folder}/profile", f"--print-to-pdf={made}"]
        said = _run([*command, page.as_uri()], wait_seconds)
        if not made.is_file() or not made.read_bytes()[:5] == b"%PDF-":
            raise Refusal(f"{program} made no PDF: {said or 'it said nothing'}", "write --format html and print that")
        data = made.read_bytes()
    to.write_bytes(data)
    return len(data)


def _run(command: list[str], wait_seconds: float) -> str:
    """The last line that it said."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=wait_seconds, check=False)
    except subprocess.TimeoutExpired:
        raise Refusal(
            f"{command[0]} took longer than {wait_seconds:g} s", "write --format html and print that"
        ) from None
    except OSError as fault:
        raise Refusal(f"{command[0]} does not start: {fault.strerror}", "name another one with --browser") from fault
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:200] if lines else ""
