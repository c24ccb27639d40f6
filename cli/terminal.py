"""Texts as a terminal may show them: what it would obey is escaped, and counts agree with their nouns."""

from __future__ import annotations


def plain(text: str) -> str:
    r"""One line whose control, bidirectional and other invisible characters stand as `\u202e`: names may be hostile."""
    return text if text.isprintable() else "".join(it if it.isprintable() else _escaped(ord(it)) for it in text)


def plain_lines(text: str) -> str:
    """Several lines, each of them plain."""
    return "\n".join(map(plain, text.split("\n")))


def counted(count: int, one: str, many: str = "") -> str:
    """`1 container`, `2 containers`; `many` where an s does not make it."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
