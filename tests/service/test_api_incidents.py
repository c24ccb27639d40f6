"""Every incident that can be stored is one that the API can tell."""

from __future__ import annotations

import json

from hypothesis import given

from alerts.codec import encode_incident
from alerts.model import Incident
from service import api
from tests.alerts.test_codec import INCIDENTS


@given(INCIDENTS)
def test_an_incident_is_told_as_it_is_stored(incident: Incident) -> None:
    told = api.incident(incident).model_dump(mode="json")
    assert told == json.loads(json.dumps(encode_incident(incident)))
