"""A voucher withdrawn at headquarters is refused at the till within ten seconds: real processes, real heartbeats."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.places import vouchers_file
from drivers.virtual.card import DEMO_CARDS
from sync.headquarters.books.stages import Target
from sync.headquarters.service import utc_now
from sync.headquarters.storage import open_storage
from terminal.demo import TERMINAL
from tests.fakes.installation import FILM_LIST_FEN, Installation, eventually
from tests.fakes.vouchers import code_of
from tests.sync.headquarters.books.campaign import APPROVER, EDITOR, desk_of

REACH_S_MAX = 10.0
OFFER = "winter-film"
BEARER, BOUND, LATER = (code_of(f"DY{number:04d}") for number in range(3))
HEADER = "code,offer,card,person,last_day,merchants,revoked"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    """Headquarters with the programme's key, and a till that speaks every three seconds."""
    environment = {
        "JINGKA_HQ__PROGRAMME_KEY": str(tmp_path / "site" / "programme-key.toml"),
        "JINGKA_HEADQUARTERS__HEARTBEAT_S": "3.0",
    }
    with Installation(tmp_path / "site", environment=environment) as installation:
        yield installation.start()


def ask_for_vouchers(site: Installation) -> None:
    """From now on the film wants a voucher of the register; the till has that book."""
    book = json.loads((site.root / "book.json").read_text("utf-8"))
    film = next(offer for offer in book["offers"] if offer["id"] == OFFER)
    label = {"zh": "电影券", "en": "film voucher"}
    film["proof"] = [{"kind": "voucher", "name": "voucher", "label": label, "registered": True}]
    storage = open_storage("", site.headquarters_dir)
    desk = desk_of(storage, site.headquarters_dir, utc_now)
    draft = desk.begin(EDITOR, "电影券", json.dumps(book), "json")
    draft = desk.submit(EDITOR, draft.id, draft.version)
    desk.approve(APPROVER, draft.id, draft.version)
    revision = desk.publish(EDITOR, draft.id).revision
    desk.roll_out(EDITOR, revision, Target(everywhere=True))
    storage.close()
    eventually(lambda: site.health()["book"]["revision"] == revision, "the till has the book")


def bring(site: Installation, *rows: str) -> dict[str, Any]:
    brought = site.editor.post("/api/v1/vouchers/lists", content="\n".join([HEADER, *rows]))
    assert brought.status_code == 201, brought.text
    number = brought.json()["summary"]["id"]
    done = site.editor.post(f"/api/v1/vouchers/lists/{number}/confirm")
    assert done.status_code == 200, done.text
    return dict(brought.json())


def refused(site: Installation, code: str) -> list[str]:
    """Why this voucher is not taken for one ticket with the card on the reader; nothing: it is."""
    presented = site.presented() or site.present("member")
    line = {
        "category": "film-ticket",
        "quantity": 1,
        "list_price": FILM_LIST_FEN,
        "attributes": {"format": "2d"},
    }
    wanted = {"presentation": presented["id"], "offer": OFFER, "lines": [line], "proofs": {"voucher": code}}
    answer = site.cashier.post("/api/v1/quotes", json=wanted)
    assert answer.status_code == 200, answer.text
    return [each["code"] for each in answer.json()["refusals"]]


def test_a_withdrawal_reaches_the_till_in_under_ten_seconds(site: Installation) -> None:
    ask_for_vouchers(site)
    assert refused(site, BEARER) == ["needs-hq"]
    bring(site, f"{BEARER},{OFFER},,,,,", f"{BOUND},{OFFER},{DEMO_CARDS['member-2'].digits},,,,")
    eventually(lambda: refused(site, BEARER) == [], "the voucher is good at the till")
    assert refused(site, BOUND) == ["voucher-other-card"]
    assert refused(site, LATER) == ["voucher-unknown"]

    began = time.monotonic()
    gone = site.operator.post("/api/v1/vouchers/withdraw", json={"code": BEARER})
    assert gone.json()["revoked"] is True
    eventually(lambda: refused(site, BEARER) == ["voucher-unknown"], "the voucher is refused")
    assert time.monotonic() - began < REACH_S_MAX

    register = vouchers_file(None, site.terminal_dir)
    written_at = register.stat().st_mtime_ns
    site.terminal.stop()
    site.terminal.start()
    assert "voucher-unknown" in refused(site, BEARER)  # at once, whatever the pool says before a first word
    terminal = f"/api/v1/terminals/{TERMINAL}"
    version = eventually(lambda: site.operator.get(terminal).json()["vouchers"], "headquarters knows what the till has")
    assert version.startswith("2.")
    assert register.stat().st_mtime_ns == written_at

    secrets = [BEARER.encode(), DEMO_CARDS["member-2"].digits.encode()]
    written = [path for path in site.root.rglob("*") if path.is_file()]
    assert [path for path in written if any(secret in path.read_bytes() for secret in secrets)] == []
