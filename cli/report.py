"""`midwatch report`: a report of an objective, a service or all, in a file or on standard output."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args
from urllib.parse import urlencode

from cli.browser import browser, pdf
from cli.errors import Refusal
from cli.service_client import stream
from cli.terminal import counted, plain
from service.settings import Settings

Format = Literal["html", "csv", "json", "parquet", "pdf"]
WAIT_SECONDS: Final = 120.0
MOST_BYTES: Final = 256 << 20
_BINARY: Final = ("parquet", "pdf")


class Asked(NamedTuple):
    """What the command line says."""

    slo: str | None
    service: str | None
    where: str | None
    period: str | None
    since: str | None
    until: str | None
    zone: str | None
    part: str | None
    form: Format | None
    out: Path | None
    browser: Path | None


def report(settings: Settings, asked: Asked, environ: Mapping[str, str]) -> None:
    """Ask the service, and write what it says. Refuses what can't be asked or written."""
    form = _form(asked)
    if asked.out is None and form in _BINARY:
        raise Refusal(f"{form} is no text", f"name a file: -o report.{form}")
    if asked.part is not None and form not in ("csv", "parquet"):
        raise Refusal(f"{form} has no parts", "leave --part out, or write --format csv")
    if asked.period is not None and (asked.since is not None or asked.until is not None):
        raise Refusal("--period and --from with --until both say the period", "say one of them")
    if (asked.since is None) != (asked.until is None):
        raise Refusal("a period needs both of its ends", "write --from and --until, or --period last-week")
    program = browser(environ, asked.browser) if form == "pdf" else None
    data = _fetched(settings, _path(asked, form))
    if program is not None and asked.out is not None:
        size = pdf(program, data, asked.out)
    elif asked.out is not None:
        asked.out.write_bytes(data)
        size = len(data)
    else:
        sys.stdout.buffer.write(data)
        return
    print(plain(f"{asked.out}: {counted(size, 'byte')}"), file=sys.stderr)


def _form(asked: Asked) -> Format:
    """The format that is asked for, or that the file's name tells; HTML where neither does."""
    if asked.form is not None:
        return asked.form
    suffix = "" if asked.out is None else asked.out.suffix.removeprefix(".").lower()
    return next((it for it in get_args(Format) if it == suffix), "html")


def _path(asked: Asked, form: Format) -> str:
    given = {
        "slo": asked.slo, "service": asked.service, "where": asked.where, "period": asked.period, "from": asked.since,
        "to": asked.until, "zone": asked.zone, "part": asked.part,
    }  # fmt: skip
    if asked.period is None and asked.since is None:
        given["period"] = "30d"
    query = urlencode({name: value for name, value in given.items() if value is not None})
    return f"/api/slo/report?{query}" if form == "json" else f"/reports.{'html' if form == 'pdf' else form}?{query}"


def _fetched(settings: Settings, path: str) -> bytes:
    found: list[bytes] = []
    size = 0
    with stream(settings, "GET", path, WAIT_SECONDS) as parts:
        for part in parts:
            size += len(part)
            if size > MOST_BYTES:
                raise Refusal("the report is larger than 256 MiB", "ask for less")
            found.append(part)
    return b"".join(found)
