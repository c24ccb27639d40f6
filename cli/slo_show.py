"""`midwatch slo list` and `show`: objectives as the service judged them last."""

from __future__ import annotations

import json as json_
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from cli.service_client import UNKNOWN, ask
from cli.terminal import plain
from service.settings import Settings
from slo.text import duration


def list_objectives(settings: Settings, service: str | None, state: str | None, json: bool) -> None:
    """Print every objective on one line, or all of it as JSON."""
    query = urlencode({name: value for name, value in (("service", service), ("state", state)) if value})
    found = ask(settings, "GET", f"/api/slo/objectives?{query}")
    if json:
        print(json_.dumps(found, indent=2))
        return
    for line in table(found["judgements"]):
        print(plain(line))


def show(settings: Settings, slo: str, service: str, where: str, json: bool) -> None:
    """Print all there is to say of one objective."""
    query = {"slo": slo, "service": service, "where": where}
    found = ask(settings, "GET", f"/api/slo/objective?{urlencode(query)}")
    if json:
        print(json_.dumps(found, indent=2))
        return
    for line in lines(found):
        print(plain(line))


def table(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line for each objective, in columns."""
    if not found:
        yield "No such objective."
        return
    head = ("SERVICE", "OBJECTIVE", "STATE", "SLI", "TARGET", "LEFT", "BURN", "RUNS OUT")
    rows = [head, *(_row(it) for it in found)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _row(it: Mapping[str, Any]) -> tuple[str, ...]:
    scope = ",".join(f"{name}={value}" for name, value in it["scope"].items())
    fast = next(iter(it["rows"]), None)
    known = it["state"] not in UNKNOWN
    return (
        it["service"] + (f"[{scope}]" if scope else ""),
        it["slo"],
        it["state"],
        _percent(it["sli"], 3),
        it["target"],
        _percent(it["budget_remaining"]) if known else "-",
        _times(fast["long_burn"], measured=fast["measured"]) if fast is not None and known else "-",
        (_runs_out(it) if known else None) or "-",
    )


def lines(it: Mapping[str, Any]) -> Iterator[str]:
    """One objective for people."""
    scope = "".join(f" {name}={value}" for name, value in it["scope"].items())
    yield f"{it['service']}{scope} · {it['slo']}: {it['title']}"
    yield f"  {it['state']}: {it['reason']}"
    rolling = "rolling" if it["calendar"] is None else f"of {duration(it['period_ms'])}, by the calendar"
    yield f"  target {it['target']} over {duration(it['window_ms'])}, {rolling}; {it['method']}"
    yield f"  counts {it['indicator']}"
    bad, total = (f"{it[name] / it['parts']:.10g} {it[f'{name}_unit']}" for name in ("bad", "total"))
    counts = "" if it["members"] else f": {bad} bad of {total}"
    yield f"  SLI {_percent(it['sli'], 4)}{counts}; {_percent(it['coverage'])} of the time observed"
    out = _runs_out(it) or "not at the present burn"
    known = f"{_percent(it['budget_remaining'])}; runs out {out}" if it["state"] not in UNKNOWN else "not known"
    yield f"  budget left {known}"
    if it["note"]:
        yield f"  {it['note']}"
    for row in it["rows"]:
        yield f"  {_burning(row)}"


def _runs_out(it: Mapping[str, Any]) -> str | None:
    """When the budget is gone; None where it holds, or is not known."""
    spent = it["budget_remaining"] is not None and it["budget_remaining"] <= 0
    return "already spent" if spent else it["exhausted_at"]


def _burning(row: Mapping[str, Any]) -> str:
    long, short = (_times(row[f"{name}_burn"], measured=row["measured"]) for name in ("long", "short"))
    windows = f"{duration(row['long_ms'])} {long}"
    if row["op"] is None:
        windows += f", {duration(row['short_ms'])} {short}; fires above {row['factor']:g}x"
    else:
        windows += f"; fires where {row['op']} {row['factor']:g}x"
    said = "fires" if row["fired"] else "quiet" if row["measured"] else "not known"
    few = ", too few events for a page" if row["guarded"] else ""
    return f"{row['road']:<6} {row['row']:<10} {said}: {windows}{few}"


def _percent(share: float | None, places: int = 2) -> str:
    return "none" if share is None else f"{100 * share:.{places}f} %"


def _times(burn: float | None, *, measured: bool = True) -> str:
    return f"{burn:.2f}x" if burn is not None else "no traffic" if measured else "no data"
