"""The value that marks the end of a series."""

from __future__ import annotations

import struct
from typing import Final

from service.samples import STALE_BITS

STALE: Final[float] = struct.unpack("<d", struct.pack("<Q", STALE_BITS))[0]
"""A NaN with Prometheus's bits; arithmetic would change them, storing and copying doesn't."""


def is_stale(value: float) -> bool:
    """True for the staleness marker alone, not for other NaN."""
    return value != value and struct.pack("<d", value) == struct.pack("<Q", STALE_BITS)
