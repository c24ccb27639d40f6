"""Fewer heaps: glibc gives each thread one of its own, and an agent has a thread per followed log."""

from __future__ import annotations

import ctypes
import logging

LOG = logging.getLogger(__name__)

_M_ARENA_MAX = -8
"""From glibc's `malloc.h`."""


def few_arenas(most: int = 2) -> bool:
    """Has the C library keep at most so many heaps; False where it is not glibc."""
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, most))
    except (OSError, AttributeError):
        LOG.debug("this C library has no mallopt: memory is as it comes")
        return False
