"""A campaign from headquarters to a till that is selling: real processes, a sale across the change, a tampered book."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync.headquarters.books.desk import CampaignDesk
from sync.headquarters.books.stages import Target
from sync.headquarters.service import utc_now
from sync.headquarters.storage import open_storage
from tests.fakes.installation import Installation, eventually
from tests.sync.headquarters.books.campaign import APPROVER, EDITOR, desk_of

NEW_PRICE_FEN = 1500
EVERYWHERE = Target(everywhere=True)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    with Installation(tmp_path / "site") as installation:
        yield installation.start()


@pytest.fixture
def desk(site: Installation) -> Iterator[CampaignDesk]:
    """The campaign team, beside the service that serves."""
    storage = open_storage("", site.headquarters_dir)
    yield desk_of(storage, site.headquarters_dir, utc_now)
    storage.close()


def release(desk: CampaignDesk, book: dict[str, Any]) -> int:
    """By two persons, and everywhere."""
    draft = desk.begin(EDITOR, "冬季", json.dumps(book), "json")
    draft = desk.submit(EDITOR, draft.id, draft.version)
    desk.approve(APPROVER, draft.id, draft.version)
    revision = desk.publish(EDITOR, draft.id).revision
    desk.roll_out(EDITOR, revision, EVERYWHERE)
    return revision


def wait_for_revision(site: Installation, revision: int) -> None:
    eventually(lambda: site.health()["book"]["revision"] == revision, f"revision {revision} is in force")


def test_a_campaign_reaches_a_till_that_is_selling(site: Installation, desk: CampaignDesk) -> None:
    book = json.loads((site.root / "book.json").read_text("utf-8"))
    first = release(desk, book)  # what the till has already: nothing changes, and everything sold is known
    eventually(lambda: desk.release(first).reach.has == 1, "the till has it")
    wait_for_revision(site, first)
    began = site.quote(site.present("member"), 2).json()
    assert began["pay"] == 2000

    film = next(offer for offer in book["offers"] if offer["id"] == "winter-film")
    film["price"] = {"kind": "fixed_unit", "unit_fen": NEW_PRICE_FEN}
    second = release(desk, book)
    assert second == first + 1
    wait_for_revision(site, second)
    sold = site.redeem(began["quote"])
    assert (sold.status_code, sold.json()["pay"]) == (201, 2000)
    assert site.quote(site.present("member-2"), 2).json()["pay"] == 2 * NEW_PRICE_FEN
    site.buy(site.presented() or {}, 1)
    site.wait_acknowledged()
    assert site.operator.get("/api/v1/conflicts").json()["conflicts"] == []

    site.headquarters.stop()
    site.terminal.stop()
    (path,) = (site.terminal_dir / "books").glob(f"{second}-*.json")
    path.write_text(path.read_text("utf-8").replace(f'"unit_fen": {NEW_PRICE_FEN}', '"unit_fen": 1'), encoding="utf-8")
    site.terminal.start()
    assert (site.health()["status"], site.health()["book"]) == ("degraded", {"revision": None})
    site.headquarters.start()
    wait_for_revision(site, second)
    assert site.quote(site.present("model-worker"), 1).json()["pay"] == NEW_PRICE_FEN

    third = desk.restore(APPROVER, first, everywhere=True).revision
    wait_for_revision(site, third)
    assert site.quote(site.present("hardship"), 1).json()["pay"] == 1000
