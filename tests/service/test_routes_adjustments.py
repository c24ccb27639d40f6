"""`/api/slo/adjustments`: made, told, silenced and revoked over HTTP, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI

from alerts.model import Finding, Subject
from alerts.step import step
from service import desk
from service.app import create_app
from service.main import running, system_clock
from service.parts import Parts
from service.settings import Settings
from tests.service.asgi import ask
from tests.slo.openslo.support import GOOD

PATH = "/api/slo/adjustments"
HOUR = 3_600_000
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with running(Settings(), tmp_path, system_clock) as found:
        yield found


@pytest.fixture
def app(parts: Parts) -> FastAPI:
    return create_app(parts)


def post(app: FastAPI, path: str = PATH, **fields: Any) -> httpx.Response:
    given = {"reason": "new disks", "created_by": "ann", "services": ["shop/*"]} | fields if path == PATH else fields
    return ask(app, "POST", path, {"content-type": "application/json"}, json.dumps(given).encode())


def listed(app: FastAPI, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(app, "GET", f"{PATH}{query}").json()
    return found


def silences(app: FastAPI) -> list[dict[str, Any]]:
    return [it for it in ask(app, "GET", "/api/silences").json() if it["status"]["state"] == "active"]


def test_a_maintenance_is_made_told_and_revoked_and_stays_in_the_book(app: FastAPI, parts: Parts) -> None:
    now = parts.clock()
    made = post(app, since_ms=now - HOUR, until_ms=now + HOUR).json()
    assert (made["kind"], made["state"], made["services"], made["created_by"]) == (
        "maintenance", "active", ["shop/*"], "ann",
    )  # fmt: skip
    assert made["next"] == {"since_ms": now - HOUR, "until_ms": now + HOUR}
    assert made["when"].endswith(" UTC for 2 h")
    assert listed(app) == [made]
    assert silences(app) == []
    gone = post(app, f"{PATH}/{made['id']}/revoke", by="bob", why="not needed").json()
    assert (gone["state"], gone["revoked"]["by"], gone["revoked"]["why"], gone["next"]) == (
        "revoked", "bob", "not needed", None,
    )  # fmt: skip
    assert listed(app) == []
    assert listed(app, "?all=true") == [gone]
    again = post(app, f"{PATH}/{made['id']}/revoke", by="eve", why="again")
    assert (again.status_code, "that stands" in again.text) == (404, True)


def test_the_page_tells_all_that_was_ever_made_as_text(app: FastAPI, parts: Parts) -> None:
    assert "Nothing was ever taken out" in ask(app, "GET", "/adjustments").text
    made = post(app, until_ms=parts.clock() + HOUR, reason=HOSTILE, services=[HOSTILE], silence=True).json()
    page = ask(app, "GET", "/adjustments").text
    assert HOSTILE not in page
    assert "&lt;img src=x onerror" in page
    assert f'action="{PATH}/{made["id"]}/revoke"' in page
    assert "pages are silenced meanwhile" in page
    post(app, f"{PATH}/{made['id']}/revoke", by="bob", why=HOSTILE)
    page = ask(app, "GET", "/adjustments").text
    assert (HOSTILE in page, "/revoke" in page) == (False, False)
    assert "by bob: &lt;img" in page


def test_how_many_objectives_it_covers_is_told_before_they_are_missed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    with running(Settings(slos=(str(tmp_path / "a.yaml"),)), tmp_path, system_clock) as parts:
        parts.evaluator.tick()
        app, until = create_app(parts), parts.clock() + HOUR
        assert post(app, until_ms=until, services=["shop"]).json()["covers"] == 1
        typo = post(app, until_ms=until, services=["shpo"]).json()
        assert typo["covers"] == 0
        page = re.sub(r"<[^>]+>", "", ask(app, "GET", "/adjustments").text)
        assert "services shop · 1 objective\n" in page
        assert "services shpo ·  no objective that is judged now" in page
        assert post(app, f"{PATH}/{typo['id']}/revoke", by="bob", why="done").json()["covers"] is None
        assert "shpo ·" not in re.sub(r"<[^>]+>", "", ask(app, "GET", "/adjustments").text)


def test_what_comes_again_is_told_with_its_next_time(app: FastAPI, parts: Parts) -> None:
    again = {"every": "week", "on": ["sat"], "at": "02:00", "zone": "Europe/Berlin", "length_ms": 2 * HOUR}
    made = post(app, recurrence=again).json()
    assert made["recurrence"] == {**again, "interval": 1}
    assert made["when"] == "every week on sat at 02:00 for 2 h, Europe/Berlin"
    assert made["next"]["until_ms"] - made["next"]["since_ms"] == 2 * HOUR
    assert parts.clock() < made["next"]["until_ms"] <= parts.clock() + 8 * 24 * HOUR
    old = post(app, since_ms=HOUR, until_ms=2 * HOUR).json()
    assert (old["state"], old["next"]) == ("past", None)


def test_pages_are_silenced_with_it_and_not_after_it_was_revoked(app: FastAPI, parts: Parts) -> None:
    now = parts.clock()
    made = post(app, until_ms=now + HOUR, services=["shop/*", "web"], slos=["api"], silence=True).json()
    (silence,) = silences(app)
    assert [(it["name"], it["value"], it["isRegex"]) for it in silence["matchers"]] == [
        ("slo", "api", False), ("service", "(?:shop/.*|web)", True),
    ]  # fmt: skip
    assert (silence["createdBy"], silence["comment"]) == ("ann", "new disks (taken out of the budget)")
    assert ask(app, "DELETE", f"/api/silences/{silence['id']}").status_code == 204
    parts.evaluator.tick()
    assert silences(app) == [], "a silence that was ended by hand stays so"
    coming = post(app, since_ms=now + 60_000_000, until_ms=now + 70_000_000, silence=True).json()
    assert silences(app) == [], "it begins with the time that is taken out"
    assert post(app, f"{PATH}/{coming['id']}/revoke", by="bob", why="done").status_code == 200
    other = post(app, until_ms=now + HOUR, silence=True).json()
    assert len(silences(app)) == 1
    for number in (made["id"], other["id"]):
        assert post(app, f"{PATH}/{number}/revoke", by="bob", why="done").status_code == 200
    assert silences(app) == []


def incident(parts: Parts, resolved: bool) -> str:
    now = parts.clock()
    subject = Subject("shop/api")
    burning = Finding("slo-burn", subject, (("slo", "api"),), "page", True, now - HOUR, "burns")
    book, (opened,) = step(desk.AlertBook(()), [burning], [], now - HOUR)
    found = opened.incident
    if resolved:
        quiet = Finding("slo-burn", subject, (("slo", "api"),), "page", False, now - HOUR // 2, "quiet")
        _, (ended,) = step(book, [quiet], [], now - HOUR // 2)
        found = ended.incident
    parts.store.database.write(lambda it: desk.write_incidents(it, [found]))
    return found.id


def test_an_incident_is_taken_out_by_its_id_and_by_the_form_of_its_page(app: FastAPI, parts: Parts) -> None:
    number = incident(parts, resolved=True)
    made = post(app, incident=number, services=[], reason="a test of ours").json()
    found = parts.source.incident(number)
    assert found is not None
    assert (made["kind"], made["services"], made["incident"]) == ("incident", ["shop/api"], number)
    assert (made["since_ms"], made["until_ms"]) == (found.opened_ms, found.resolved_ms)
    page = ask(app, "GET", f"/incidents/{number}").text
    assert f'action="{PATH}"' not in page, "once is enough"
    assert f'action="{PATH}/{made["id"]}/revoke"' in page
    assert "Taken out of the budget. ann: a test of ours" in page
    fields = {"by": "bob", "why": "it counts", "return_to": f"/incidents/{number}"}
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = ask(app, "POST", f"{PATH}/{made['id']}/revoke", headers, urlencode(fields).encode())
    assert (answer.status_code, answer.headers["location"]) == (303, f"/incidents/{number}")
    page = ask(app, "GET", f"/incidents/{number}").text
    assert f'action="{PATH}"' in page
    fields = {"incident": number, "reason": HOSTILE, "created_by": "ann", "return_to": f"/incidents/{number}"}
    answer = ask(app, "POST", PATH, headers, urlencode(fields).encode())
    assert (answer.status_code, answer.headers["location"]) == (303, f"/incidents/{number}")
    assert [it["reason"] for it in listed(app)] == [HOSTILE]
    assert HOSTILE not in ask(app, "GET", f"/incidents/{number}").text


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"until_ms": 1}, 400, "ends before it begins"),
        ({"until_ms": 2**60}, 400, "until_ms is too large"),
        ({"until_ms": "soon"}, 400, "until_ms is not a whole number"),
        ({"reason": " ", "until_ms": 2**41}, 400, "reason is empty"),
        ({"services": ["x" * 300], "until_ms": 2**41}, 400, "is no pattern"),
        ({"services": ["a"] * 51}, 400, "services has too many items"),
        ({"services": [], "until_ms": 2**41}, 400, "names no objective"),
        ({"because": "x"}, 400, "because is not known here"),
        ({"incident": "none"}, 404, "no incident"),
        ({"recurrence": {"every": "day", "at": "24:00", "length_ms": HOUR}}, 400, "recurrence.at has not its form"),
        (
            {"recurrence": {"every": "day", "at": "02:00", "zone": "../../etc/passwd", "length_ms": HOUR}},
            400, "is no time zone",
        ),
        ({"recurrence": {"every": "week", "on": ["x"], "at": "02:00", "length_ms": HOUR}}, 400, "is no day of a week"),
        ({"services": ["*a*b*c*d*"], "until_ms": 2**41, "silence": True}, 400, "silence: the pattern of service"),
        ({"since_ms": 1, "until_ms": 2, "silence": True}, 400, "needs no silence"),
    ],
)  # fmt: skip
def test_what_can_not_be_obeyed_is_refused(
    app: FastAPI, parts: Parts, fields: dict[str, Any], status: int, said: str
) -> None:
    if fields.get("until_ms") == 2**41:
        fields = {**fields, "until_ms": parts.clock() + HOUR}
    answer = post(app, **fields)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text
    assert listed(app, "?all=true") == []


def test_an_open_incident_needs_an_end(app: FastAPI, parts: Parts) -> None:
    number = incident(parts, resolved=False)
    assert "still open" in post(app, incident=number, services=[]).json()["error"]
    assert post(app, incident=number, services=[], until_ms=parts.clock()).status_code == 200


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "application/json", "origin": "http://evil.example"}, b"{}", 403),
        ({"content-type": "application/json"}, b"[" * 20_000, 413),
        ({"content-type": "application/json"}, b"[" * 10_000, 400),
        ({"content-type": "application/json"}, b"\xff\x00", 400),
        ({}, b"%ff=%00&reason=%ff", 400),
    ],
)
def test_hostile_bodies_change_nothing(app: FastAPI, headers: dict[str, str], body: bytes, status: int) -> None:
    assert ask(app, "POST", PATH, headers, body).status_code == status
    assert listed(app, "?all=true") == []


def test_the_openapi_document_tells_bodies_and_answers(app: FastAPI) -> None:
    told = ask(app, "GET", "/api/openapi.json").json()
    create = told["paths"][PATH]["post"]
    assert set(create["requestBody"]["content"]["application/json"]["schema"]["properties"]) >= {"slos", "recurrence"}
    assert create["responses"]["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/AdjustmentModel"
    }
    names = set(told["components"]["schemas"])
    assert {"AdjustmentModel", "RecurrenceModel", "TimeModel", "RevokedModel"} <= names


def window(app: FastAPI, **fields: str) -> httpx.Response:
    given = {"services": "shop/*", "created_by": "ann", "reason": "new disks", "zone": "Europe/Berlin"} | fields
    how = {"content-type": "application/x-www-form-urlencoded"}
    return ask(app, "POST", "/adjustments", how, urlencode(given).encode())


def test_a_window_is_made_by_the_form_of_the_page(app: FastAPI) -> None:
    page = ask(app, "GET", "/adjustments").text
    assert 'action="/adjustments"' in page
    sent = window(
        app, begin="2027-03-28T02:30", end="2027-03-28T04:30", slos="api, other\nthird", nodes="", silence="yes"
    )
    assert (sent.status_code, sent.headers["location"]) == (303, "/adjustments")
    (made,) = listed(app)
    assert (made["since_ms"], made["until_ms"]) == (1_806_197_400_000, 1_806_201_000_000), "on the zone's clock"
    assert (made["services"], made["slos"], made["nodes"]) == (["shop/*"], ["api", "other", "third"], [])
    assert (made["created_by"], made["reason"], made["silence"], made["kind"]) == (
        "ann",
        "new disks",
        True,
        "maintenance",
    )


def test_a_window_that_comes_again_is_made_by_the_form(app: FastAPI) -> None:
    again = {"every": "month", "on": "1-sun,last", "at": "02:00", "minutes": "90", "interval": "2"}
    assert window(app, **again).status_code == 303
    assert listed(app)[0]["recurrence"] == {
        "every": "month", "on": ["1-sun", "last"], "at": "02:00", "zone": "Europe/Berlin", "length_ms": 5_400_000,
        "interval": 2,
    }  # fmt: skip
    assert window(app, every="day", at="02:00:00", minutes="1", interval="", zone="").status_code == 303
    assert listed(app)[0]["when"] == "every day at 02:00 for 1 min, UTC"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "it has no end"),
        ({"end": "2020-01-01T00:00"}, "it ends before it begins"),
        ({"end": "soon"}, "is no time; write one such as"),
        ({"end": "2099-12-31T00:00"}, "make several of it"),
        ({"end": "9999-12-31T23:59", "zone": "Pacific/Apia"}, "not from 1970 to 2099"),
        ({"begin": "0001-01-01T00:00", "end": "2026-01-01T00:00", "zone": "Pacific/Kiritimati"}, "too small"),
        ({"zone": "Mars/Base"}, "is no time zone"),
        ({"zone": "../../etc/passwd"}, "is no time zone"),
        ({"services": " , ", "nodes": ""}, "it names no objective"),
        ({"services": ",".join("abcdefgh" * 10)}, "services has too many items"),
        ({"every": "day"}, "at is empty"),
        ({"every": "day", "at": "25:00", "minutes": "5"}, "recurrence.at has not its form"),
        ({"every": "day", "at": "02:00", "minutes": "²"}, "is no whole number"),
        ({"every": "week", "at": "02:00", "minutes": "5"}, "on is empty"),
        ({"every": "year", "at": "02:00", "minutes": "5"}, "recurrence.every is none of its words"),
        ({"every": "day", "at": "02:00", "minutes": "99999"}, "from 1 min to 7 d long"),
        ({"created_by": " "}, "created_by is empty"),
        ({"reason": ""}, "reason is empty"),
    ],
)
def test_a_form_that_can_not_be_obeyed_comes_back_as_it_was_sent(
    app: FastAPI, fields: dict[str, str], said: str
) -> None:
    answer = window(app, **{"nodes": HOSTILE, "reason": HOSTILE, **fields})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")
    assert said in answer.text.partition("</details>")[0].replace("&#39;", "'")
    assert (HOSTILE in answer.text, "&lt;img src=x" in answer.text, "<details" in answer.text) == (False, True, True)
    assert listed(app) == []


def test_no_other_site_sends_the_form(app: FastAPI) -> None:
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        how = {"content-type": "application/x-www-form-urlencoded", **headers}
        assert ask(app, "POST", "/adjustments", how, b"services=a&created_by=b&reason=c").status_code == 403
    assert ask(app, "POST", "/adjustments", {}, b"reason=" + b"x" * 20_000).status_code == 413
