"""The built browser code: which files it has, under which address, and what pages may load."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"
"""What `/static/` serves; `dist/` holds the built files, whose names carry a hash of their content."""
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""The header `Content-Security-Policy` of every page; nothing inline, nothing from elsewhere."""


@dataclass(frozen=True)
class Assets:
    """Addresses of the built files; None where the browser code was not built."""

    script: str | None
    theme: str | None
    style: str | None

    @property
    def built(self) -> bool:
        """False in a checkout whose browser code was not built: pages are then plain."""
        return None not in (self.script, self.theme, self.style)


@cache
def assets(static: Path = STATIC) -> Assets:
    """The addresses of the built files, read once."""
    try:
        manifest = json.loads((static / "dist" / "manifest.json").read_text())
    except FileNotFoundError:
        return Assets(None, None, None)
    return Assets(*(f"/static/dist/{manifest[name]}" for name in ("main.js", "theme.js", "main.css")))


@cache
def style_text(static: Path = STATIC) -> str:
    """The built style itself, for files that stand alone; "" where it was not built."""
    found = assets(static).style
    return "" if found is None else (static / found.removeprefix("/static/")).read_text(encoding="utf-8")
