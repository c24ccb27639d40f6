"""A bounded answer of a server that may be hostile."""

from __future__ import annotations

import http.client

_PIECE = 65_536


def bounded_body(response: http.client.HTTPResponse, most: int) -> bytes:
    """The body's first `most` bytes at most; raises http.client.HTTPException where its framing is broken.

    The standard library's `read(most)` takes a chunk of size -1 for one that reaches to the end of the connection,
    whatever `most` is: here every read is of one buffer.
    """
    parts, left = list[bytes](), most
    while left > 0:
        try:
            part = response.read1(min(left, _PIECE))
        except ValueError as fault:
            raise http.client.IncompleteRead(b"".join(parts)) from fault
        if not part:
            # The library calls an answer of known length over only once it was read beyond that.
            if response.length == 0:
                response.close()
            break
        parts.append(part[:left])
        left -= len(part)
    return b"".join(parts)
