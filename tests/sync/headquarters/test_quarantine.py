"""Two stories of one terminal: kept apart, shown, decided on by a person, and noted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from config.places import PEOPLE_FILE
from drivers.reader import ReaderState
from sync.headquarters import app, fleet, quarantine
from sync.headquarters.errors import NothingToDecide
from sync.headquarters.people.tables import audit
from sync.headquarters.projection import Finding, FlagCode
from sync.headquarters.quarantine import ForkDecision
from sync.headquarters.storage import Storage
from sync.headquarters.tables import flags
from terminal.serving.locale import SERVING_LOCALE, catalogue_keys, load_catalogue
from terminal.serving.people import Person, Role
from tests.sync.headquarters.client import add_operator, sign_in
from tests.sync.headquarters.database import ARRIVAL, push, redemption, terminal_row
from tests.sync.headquarters.scene import Scene
from tests.sync.headquarters.written_ledger import WrittenLedger

LI = Person("op1", "李敏", Role.OPERATOR)


def fork(storage: Storage, ledger: WrittenLedger) -> WrittenLedger:
    """Headquarters has sale 1; the copy sold 2 and 3, cancelled 3, and settled a sale that nobody began."""
    ledger.authorise(1)
    copy = ledger.fork()
    ledger.complete(1)
    push(storage, ledger.batch())
    copy.authorise(2)
    copy.authorise(3)
    copy.cancel(3)
    copy.complete(9)
    copy.write_raw("{}")
    push(storage, copy.batch(first=2))
    assert terminal_row(storage).state == "quarantined"
    return copy


def decide(storage: Storage, decision: ForkDecision, hashes: list[str] | None = None, **options: Any) -> int:
    with storage.write() as connection:
        return quarantine.decide(connection, "bj-0001", hashes, decision, by=LI, now=ARRIVAL, **options)


def test_what_the_other_story_says_is_shown(storage: Storage, ledger: WrittenLedger) -> None:
    fork(storage, ledger)
    with storage.read() as connection:
        found = quarantine.page_of_forked(connection, "bj-0001")
        assert quarantine.undecided(connection, "bj-0001") == 5
    assert [(each.sequence, each.kind) for each in found] == [
        (2, "authorised"),
        (3, "authorised"),
        (4, "cancelled"),
        (5, "completed"),
        (6, None),
    ]
    assert (found[0].offer, found[0].units, found[0].pay, found[0].masked) == ("winter-film", 2, 2000, "••••0021")


def test_adopted_entries_count_and_are_judged(storage: Storage, ledger: WrittenLedger) -> None:
    fork(storage, ledger)
    seen: list[int] = []

    def judge(connection: Any, place: Any, entries: Any, folded: Any, now: Any) -> list[Finding]:
        seen.extend(entry.sequence for entry in entries)
        return [Finding(2, FlagCode.OVER_LIMIT)]

    assert decide(storage, ForkDecision.ADOPTED, judges=(judge,)) == 5
    assert (redemption(storage, 2).state, redemption(storage, 3).state) == ("authorised", "cancelled")
    assert redemption(storage, 1).state == "completed"  # headquarters' own story stays
    assert seen == [2, 3, 4, 5]
    with storage.read() as connection:
        told = {tuple(row) for row in connection.execute(select(flags.c.sequence, flags.c.code))}
        assert quarantine.undecided(connection, "bj-0001") == 0
    assert told >= {(2, "over-limit"), (5, "without-authorisation"), (6, "unreadable")}


def test_one_by_one_and_the_rest_dismissed(storage: Storage, ledger: WrittenLedger) -> None:
    copy = fork(storage, ledger)
    assert decide(storage, ForkDecision.ADOPTED, [copy.messages[1].hash]) == 1
    assert decide(storage, ForkDecision.DISMISSED) == 4
    assert redemption(storage, 2) is not None
    assert redemption(storage, 3) is None
    with pytest.raises(NothingToDecide):
        decide(storage, ForkDecision.ADOPTED)
    with storage.read() as connection:
        noted = connection.execute(select(audit.c.action, audit.c.subject, audit.c.detail).order_by(audit.c.id)).all()
    assert [tuple(row) for row in noted] == [
        ("fork-adopted", "bj-0001", "1: 2-2"),
        ("fork-dismissed", "bj-0001", "4: 3-6"),
    ]


def test_more_than_one_transaction_s_worth_takes_several(
    storage: Storage, ledger: WrittenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "DECIDED_AT_ONCE_MAX", 2)
    fork(storage, ledger)
    assert [decide(storage, ForkDecision.DISMISSED) for _ in range(3)] == [2, 2, 1]


def test_ending_a_quarantine_revokes_the_terminal(storage: Storage, ledger: WrittenLedger) -> None:
    with storage.write() as connection, pytest.raises(NothingToDecide):
        quarantine.retire(connection, "bj-0001", by=LI, now=ARRIVAL)
    fork(storage, ledger)
    with storage.write() as connection:
        quarantine.retire(connection, "bj-0001", by=LI, now=ARRIVAL)
    assert terminal_row(storage).state == "revoked"


# --- pages and API ----------------------------------------------------------------------------------------------------


@pytest.fixture
def forked(scene: Scene) -> Scene:
    (scene.data_dir / PEOPLE_FILE).unlink()  # made empty at the start; a new file is read without a restart
    add_operator(scene.data_dir)
    fork(scene.storage, scene.ledger)
    sign_in(scene.terminal.client)
    return scene


def test_the_page_decides_and_says_so(forked: Scene) -> None:
    client = forked.terminal.client
    page = client.get("/terminals/bj-0001").text
    hashes = re.findall(r'name="hash" value="([0-9a-f]{64})"', page)
    assert len(hashes) == 5
    origin = {"origin": str(client.base_url).rstrip("/")}
    form = {"hash": hashes[:1], "decision": "adopted"}
    assert client.post("/terminals/bj-0001/forked", data=form, headers=origin).status_code == 303
    assert client.post("/terminals/bj-0001/forked", data=form, headers=origin).status_code == 409
    assert client.post("/terminals/bj-0001/retire", headers=origin).status_code == 303
    log = client.get("/audit", params={"subject": "bj-0001", "person": ""}).text
    assert "结束隔离" in log
    assert "采纳另一版本的记录" in log


def test_the_api_decides_and_lists(forked: Scene) -> None:
    client = forked.terminal.client
    base = "/api/v1/terminals/bj-0001"
    assert client.get(base).json()["state"] == "quarantined"
    assert client.get(f"{base}/forked").json()["undecided"] == 5
    assert client.post(f"{base}/forked", json={"decision": "dismissed"}).json() == {"decided": 5}
    assert client.post(f"{base}/forked", json={"decision": "dismissed"}).status_code == 409
    assert client.post(f"{base}/rotate-key").status_code == 204
    assert client.post(f"{base}/retire").status_code == 204
    assert client.get("/api/v1/terminals/nobody").status_code == 404
    rows = client.get("/api/v1/audit", params={"limit": 2}).json()
    assert [row["action"] for row in rows["rows"]] == ["terminal-retired", "key-asked"]
    older = client.get("/api/v1/audit", params={"before": rows["next"], "action": "fork-dismissed"}).json()
    assert [row["person"] for row in older["rows"]] == ["op1"]
    assert client.get("/api/v1/audit", params={"person": "nobody"}).json() == {"rows": [], "next": None}


def test_a_terminal_s_page_stands_in_both_languages(forked: Scene) -> None:
    with forked.storage.write() as connection:
        fleet.revoke(connection, "bj-0001", by=LI, now=ARRIVAL)
    for language in ("zh", "en"):
        forked.terminal.client.cookies.set("jingka_language", language)
        for path in ("/terminals/bj-0001", "/audit", "/"):
            assert forked.terminal.client.get(path).status_code == 200


def test_every_state_of_a_reader_has_its_words() -> None:
    known = load_catalogue(SERVING_LOCALE, Path(app.__file__).parent / "locale")
    assert {f"reader.{state}" for state in ReaderState} == set(catalogue_keys(known, "reader."))
