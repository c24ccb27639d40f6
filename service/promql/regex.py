"""Regular expressions of queries: RE2's, so that none takes more than linear time; whole texts, `.` takes line ends."""

from __future__ import annotations

from typing import Any, Final

import re2

from service.promql.errors import BadQuery

_MAX_BYTES: Final = 4 << 20


def anchored(pattern: str) -> Any:
    """A compiled expression, to be used by `fullmatch`; raises BadQuery where RE2 refuses it or it grows too large.

    It is not put between `^(` and `)$`: an expression such as `a)|(b` would get out of that.
    """
    options = re2.Options()
    options.max_mem = _MAX_BYTES
    options.log_errors = False
    options.dot_nl = True
    try:
        return re2.compile(pattern, options)
    except re2.error as fault:
        raise BadQuery(f"invalid regular expression {pattern!r}: {fault}") from None
