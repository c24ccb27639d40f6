"""The state machine of alerts and incidents: pure, deterministic, one page and one resolve per incident."""

from __future__ import annotations

from collections.abc import Sequence

from alerts.model import AlertBook, Change, Finding, Silence


def step(
    book: AlertBook,
    findings: Sequence[Finding],
    silences: Sequence[Silence],
    now_ms: int,
    gone: frozenset[str] = frozenset(),
) -> tuple[AlertBook, list[Change]]:
    """The book after these findings, and what changed; `gone` are keys of subjects that are no longer watched."""
    raise NotImplementedError
