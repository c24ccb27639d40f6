"""The book survives JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.codec import decode, decode_incident, encode, encode_incident
from alerts.model import EVERYBODY, AlertBook, AlertState, Evidence, Incident, Subject

TEXT = st.text(max_size=20)
LABELS = st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple)
TIMES = st.integers(0, 2**53)
ROADS = st.sampled_from(["page", "ticket"])
SUBJECTS = st.builds(Subject, TEXT, LABELS)
ALERTS = st.builds(
    AlertState,
    key=TEXT,
    alert=TEXT,
    subject=SUBJECTS,
    labels=LABELS,
    road=ROADS,
    status=st.sampled_from(["firing", "resolved"]),
    started_ms=TIMES,
    last_true_ms=TIMES,
    ended_ms=st.none() | TIMES,
    summary=TEXT,
    evidence=st.lists(st.builds(Evidence, TEXT, TEXT), max_size=3).map(tuple),
    frozen=st.booleans(),
    gone_since_ms=st.none() | TIMES,
    receivers=st.lists(TEXT, max_size=2).map(tuple),
    end_told=st.booleans(),
)
INCIDENTS = st.builds(
    Incident,
    id=TEXT,
    subject=SUBJECTS,
    road=ROADS,
    status=st.sampled_from(["open", "resolved"]),
    opened_ms=TIMES,
    resolved_ms=st.none() | TIMES,
    notified=st.booleans(),
    alerts=st.lists(ALERTS, max_size=3).map(tuple),
    acknowledged_ms=st.none() | TIMES,
    acknowledged_by=st.none() | TEXT,
    told=st.lists(TEXT, max_size=2).map(tuple),
)


@given(st.lists(INCIDENTS, max_size=3))
def test_a_book_comes_back_from_json_unchanged(incidents: list[Incident]) -> None:
    book = AlertBook(tuple(incidents))
    assert decode(json.loads(json.dumps(encode(book)))) == book
    assert all(decode_incident(json.loads(json.dumps(encode_incident(it)))) == it for it in incidents)


def test_who_was_told_before_names_were_noted_was_everybody() -> None:
    incident = Incident("i", Subject("s"), "page", "open", 1, None, True, ())
    data = {name: value for name, value in encode_incident(incident).items() if name != "told"}
    assert decode_incident(data).told == (EVERYBODY,)
    assert decode_incident(data | {"notified": False}).told == ()


def test_a_book_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 2"):
        decode({"version": 2, "incidents": []})
