"""What is sent, damaged in every way that reaches new code: `python -m tests.fuzz.fuzz_wire otlp -max_total_time=60`.

By hand; needs `pip install atheris`. Targets: otlp, json, logs, traces, write1, write2, snappy, zstd. A body may only
be taken or refused; what both readers take must be the same samples.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["service"]):
    from service import wire_jit
    from service.decode import IngestRefused, Limits, inflate
    from service.deltas import Turn
    from service.ingest import decode_logs, decode_metrics, decode_traces
    from service.quota import OverQuota
    from service.remote_write import Version, decode, unpacked
    from service.wire_otlp import OtlpReader
    from service.wire_write import WriteReader
    from tests.service import test_wire_fast as wire

LIMITS = Limits(decompressed_bytes=1 << 20, points=5_000, series=5_000)
READERS = wire.fast(LIMITS)


def _turn() -> Turn:
    return Turn({}, threading.Lock())


def otlp(body: bytes) -> None:
    """Both readers of OTLP metrics."""
    found = OtlpReader(READERS).read(body, None, "a", _turn())
    if found is not None:
        theirs = decode_metrics(body, None, None, LIMITS, turn=_turn())
        assert wire.rows(found) == wire.rows(theirs)


def write(version: Version) -> Callable[[bytes], None]:
    """Both readers of remote write."""

    def run(body: bytes) -> None:
        found = WriteReader(READERS).read(body, version, "a", {})
        if found is not None:
            assert wire.rows(found.batch) == wire.rows(decode(body, version, LIMITS).batch)

    return run


TARGETS: dict[str, Callable[[bytes], object]] = {
    "otlp": otlp,
    "json": lambda body: decode_metrics(body, None, None, LIMITS, "json"),
    "logs": lambda body: decode_logs(body, None, None, LIMITS),
    "traces": lambda body: decode_traces(body, None, None, LIMITS),
    "write1": write("1.0"),
    "write2": write("2.0"),
    "snappy": lambda body: unpacked(body, "snappy", LIMITS),
    "zstd": lambda body: inflate(body, "zstd", LIMITS),
}


def main() -> None:
    """Fuzz the target that is named first; all other words are libFuzzer's."""
    target = TARGETS[sys.argv.pop(1)]
    wire_jit.warm(threading.Event())

    def one(body: bytes) -> None:
        try:
            target(body)
        except (IngestRefused, OverQuota):
            return

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
