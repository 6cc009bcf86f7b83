"""Campaigns over the API: the whole way once, and who is turned away where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from sync.headquarters.app import create_app
from sync.headquarters.books.release import RELEASE_KEY_FILE
from sync.signing import DeviceKey
from tests.sync.headquarters.books.campaign import BROKEN, DEARER, WINTER
from tests.sync.headquarters.books.team import add_team, signed_in
from tests.sync.headquarters.client import HandClock, hq_settings, served

BOOKS = "/api/v1/books"


@dataclass
class Team:
    """Each of them signed in; nobody has no session."""

    editor: httpx.Client
    approver: httpx.Client
    operator: httpx.Client
    auditor: httpx.Client
    nobody: httpx.Client


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    """On SQLite: what the databases do is tested one storey below."""
    add_team(tmp_path)
    DeviceKey.create(tmp_path / RELEASE_KEY_FILE)
    app = create_app(hq_settings(tmp_path), HandClock())
    with (
        served(app) as client,
        signed_in(client, "e01") as editor,
        signed_in(client, "a01") as approver,
        signed_in(client, "op1") as operator,
        signed_in(client, "au1") as auditor,
    ):
        yield Team(editor, approver, operator, auditor, client)


def ask(client: httpx.Client, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    answer = client.request(method, BOOKS + path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_the_whole_way(team: Team) -> None:
    draft = ask(team.editor, "POST", "/drafts", {"title": "冬季", "text": BROKEN}, 201)
    seen = ask(team.editor, "GET", "/drafts/1")
    assert (seen["check"]["ok"], seen["writers"]) == (False, ["e01"])
    finding = seen["check"]["findings"][0]
    assert finding["severity"] == "error"
    assert finding["line"] > 1
    assert "gongren-julebu" in finding["zh"]
    problem = ask(team.editor, "POST", "/drafts/1/submit", {"version": draft["version"]}, 422)
    assert problem["code"] == "draft-unfit"
    draft = ask(team.editor, "PUT", "/drafts/1", {"text": WINTER, "version": 1})
    assert ask(team.editor, "PUT", "/drafts/1", {"text": DEARER, "version": 1}, 409)["code"] == "draft-changed"
    draft = ask(team.editor, "POST", "/drafts/1/submit", {"version": draft["version"]})
    draft = ask(team.approver, "POST", "/drafts/1/approve", {"version": draft["version"]})
    assert (draft["state"], draft["approved_by"]) == ("approved", "a01")
    made = ask(team.editor, "POST", "/drafts/1/release", {"note": "上线"}, 201)
    assert made["revision"] == 1
    stage = ask(team.editor, "POST", "/1/stages", {"merchants": ["gongren-julebu"]}, 201)
    assert stage["stopped_at"] is None
    assert ask(team.operator, "POST", "/1/stop") == {"stages": 1}
    assert ask(team.operator, "POST", "/1/stop", status=409)["code"] == "rollout-idle"
    ask(team.editor, "POST", "/1/stages", {"everywhere": True}, 201)
    second = ask(team.editor, "POST", "/drafts", {"title": "涨价", "text": DEARER}, 201)
    check = ask(team.auditor, "GET", f"/drafts/{second['id']}")["check"]
    assert [change["en"] for change in check["changes"]] == ["changed offer winter-film: price.unit_fen = 1000 → 1200"]
    second = ask(team.editor, "POST", "/drafts/2/submit", {"version": 1})
    second = ask(team.approver, "POST", "/drafts/2/send-back", {"version": second["version"]})
    second = ask(team.editor, "POST", "/drafts/2/submit", {"version": second["version"]})
    ask(team.approver, "POST", "/drafts/2/approve", {"version": second["version"]})
    ask(team.approver, "POST", "/drafts/2/release", {}, 201)
    again = ask(team.approver, "POST", "/1/restore", {"everywhere": True, "note": "回退"}, 201)
    assert (again["revision"], again["restores"]) == (3, 1)
    books = ask(team.auditor, "GET", "")
    assert (books["newest"], [each["revision"] for each in books["releases"]]) == (3, [3, 2, 1])
    assert [(each["revision"], each["target"]["everywhere"]) for each in books["running"]] == [(3, True)]
    assert ask(team.auditor, "GET", "/3")["stages"][0]["started_by"] == "a01"
    assert team.auditor.get(f"{BOOKS}/3/signed").json()["revision"] == 3


def test_a_text_is_checked_without_being_saved(team: Team) -> None:
    check = ask(team.editor, "POST", "/check", {"text": DEARER})
    assert (check["ok"], check["against"], check["changes"]) == (True, 0, [])
    assert "十元电影票" in check["offers"]["winter-film"]["zh"]
    assert ask(team.editor, "POST", "/check", {"text": "{", "form": "json"})["ok"] is False
    assert ask(team.editor, "GET", "")["drafts"] == []


CHANGES: dict[str, tuple[str, str, Any]] = {
    "begin": ("POST", "/drafts", {"title": "x"}),
    "save": ("PUT", "/drafts/1", {"text": "", "version": 1}),
    "submit": ("POST", "/drafts/1/submit", {"version": 1}),
    "approve": ("POST", "/drafts/1/approve", {"version": 1}),
    "send back": ("POST", "/drafts/1/send-back", {"version": 1}),
    "discard": ("POST", "/drafts/1/discard", {"version": 1}),
    "release": ("POST", "/drafts/1/release", {}),
    "roll out": ("POST", "/1/stages", {"everywhere": True}),
    "restore": ("POST", "/1/restore", {}),
}


def test_an_auditor_changes_nothing_and_a_stranger_sees_nothing(team: Team) -> None:
    ask(team.editor, "POST", "/drafts", {"title": "冬季", "text": WINTER}, 201)
    for method, path, body in CHANGES.values():
        assert ask(team.auditor, method, path, body, 403)["code"] == "role-missing"
        assert ask(team.nobody, method, path, body, 401)["code"] == "sign-in-required"
    assert ask(team.auditor, "POST", "/1/stop", status=403)["code"] == "role-missing"
    for path in ("", "/1", "/1/signed", "/drafts/1"):
        assert ask(team.nobody, "GET", path, status=401)["code"] == "sign-in-required"
    for path in ("/approve", "/send-back"):
        assert ask(team.editor, "POST", f"/drafts/1{path}", {"version": 1}, 403)["code"] == "role-missing"


def test_what_is_not_there_is_told(team: Team) -> None:
    assert ask(team.auditor, "GET", "/7", status=404)["code"] == "release-missing"
    assert ask(team.auditor, "GET", "/drafts/7", status=404)["code"] == "draft-missing"
    assert ask(team.editor, "POST", "/7/stages", {"everywhere": True}, 404)["code"] == "release-missing"


ODD: dict[str, tuple[str, str, Any]] = {
    "no title": ("POST", "/drafts", {}),
    "another form": ("POST", "/drafts", {"title": "x", "form": "yaml"}),
    "half a character": ("POST", "/drafts", {"title": "x", "text": "\ud800"}),
    "a NUL": ("POST", "/drafts", {"title": "x\0", "text": "\0"}),
    "an empty target": ("POST", "/1/stages", {}),
    "an unknown field": ("POST", "/1/stages", {"everywhere": True, "x": 1}),
    "a huge number": ("GET", f"/drafts/{2**70}", None),
    "no number": ("GET", "/x", None),
}


def test_odd_requests_are_refused_politely(team: Team) -> None:
    json_type = {"content-type": "application/json"}
    for name, (method, path, body) in ODD.items():
        content = None if body is None else json.dumps(body).encode()
        answer = team.editor.request(method, BOOKS + path, content=content, headers=json_type)
        assert answer.status_code in (400, 422), f"{name}: {answer.text}"
