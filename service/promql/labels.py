"""Small work on label sets and on numbers as Prometheus writes them."""

from __future__ import annotations

import hashlib
import math
import re
from typing import Final

from service.promql.model import Labels

_RUNS: Final = re.compile(r"[0-9]+|[^0-9]+")


def number_text(value: float) -> str:
    """A number in the fewest digits that mean it, without an exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" in text:
        text = _plain(text)
    return text.removesuffix(".0")


def _plain(text: str) -> str:
    """A number without its exponent."""
    mantissa, _, exponent = text.partition("e")
    sign = "-" if mantissa[0] == "-" else ""
    whole, _, part = mantissa.lstrip("-").partition(".")
    shift = int(exponent)
    if shift >= 0:
        return sign + whole + part[:shift].ljust(shift, "0") + ("." + part[shift:] if part[shift:] else "")
    return f"{sign}0.{'0' * (-shift - 1)}{whole}{part}"


def valid_label(name: str) -> bool:
    """Whether a text can name a label: any UTF-8 but nothing, as in Prometheus 3."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def label_share(labels: Labels) -> float:
    """A number in [0, 1) that stands for a set of labels: what limit_ratio picks by."""
    text = "\xff".join(f"{name}\xfe{labels[name]}" for name in sorted(labels))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / float(1 << 53)


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """A key that sorts texts as people do: runs of digits by their number."""
    return [(0, int(it), it) if it.isdigit() else (1, 0, it) for it in _RUNS.findall(text)]
