"""Releases: gapless numbers whatever happens at once, signatures that hold, and content that never changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sync.headquarters.books import releases
from sync.headquarters.books.desk import CampaignDesk
from sync.headquarters.books.errors import DraftOutdated, ReleaseKeyMissing, ReleaseMissing, ReleaseNewest
from sync.headquarters.books.release import RELEASE_KEY_FILE
from sync.headquarters.storage import Storage
from sync.signing import DeviceKey
from terminal.offers.book import load_book
from terminal.offers.signature import BookSignatureInvalid
from tests.sync.headquarters.books.campaign import APPROVER, COLLEAGUE, DEARER, EDITOR, WINTER, desk_of, released
from tests.sync.headquarters.books.test_drafts import at_once
from tests.sync.headquarters.client import HandClock


@pytest.fixture
def desk(storage: Storage, tmp_path: Path) -> CampaignDesk:
    return desk_of(storage, tmp_path)


def approved(desk: CampaignDesk, text: str) -> int:
    draft = desk.begin(EDITOR, "草稿", text)
    draft = desk.submit(EDITOR, draft.id, draft.version)
    return desk.approve(APPROVER, draft.id, draft.version).id


def test_a_release_is_a_signed_book_that_any_till_verifies(desk: CampaignDesk, tmp_path: Path) -> None:
    import base64

    release = released(desk)
    file = tmp_path / "book.json"
    file.write_text(desk.signed(1), encoding="utf-8")
    public = base64.b64encode(DeviceKey.load(tmp_path / RELEASE_KEY_FILE).public).decode()
    book = load_book(file, public)
    assert (book.revision, book.hash) == (1, release.sha256)
    file.write_text(desk.signed(1).replace('"unit_fen": 1000', '"unit_fen": 1', 1), encoding="utf-8")
    with pytest.raises(BookSignatureInvalid):
        load_book(file, public)


def test_the_first_release_keeps_its_number_and_the_rest_follow(desk: CampaignDesk) -> None:
    assert released(desk, WINTER.replace("revision = 1", "revision = 41")).revision == 41
    assert released(desk, DEARER.replace("revision = 1", "revision = 7")).revision == 42
    assert desk.release(42).book.revision == 42
    assert "revision = 42" in desk.release(42).text


def test_numbers_have_no_gap_when_many_release_at_once(desk: CampaignDesk) -> None:
    """Each is approved over nothing; one is released, and every other is told that it has to be looked at again."""
    ready = [approved(desk, WINTER) for _ in range(4)]
    outcomes = at_once(*(lambda draft=draft: desk.publish(EDITOR, draft) for draft in ready))
    assert sorted(type(each).__name__ for each in outcomes) == [*["DraftOutdated"] * 3, "ReleaseView"]
    restoring = at_once(*(lambda: restored(desk, 1) for _ in range(4)))
    revisions = [each.revision for each in desk.overview().releases]
    assert revisions == list(range(len(revisions), 0, -1))
    assert len(revisions) == 1 + sum(1 for each in restoring if each is not None)


def restored(desk: CampaignDesk, revision: int) -> object:
    """A restoration, or None where it is the newest already."""
    try:
        return desk.restore(APPROVER, revision)
    except ReleaseNewest:
        return None


def test_one_draft_is_released_once(desk: CampaignDesk) -> None:
    draft = approved(desk, WINTER)
    outcomes = at_once(*(lambda: desk.publish(EDITOR, draft) for _ in range(3)))
    assert sorted(type(each).__name__ for each in outcomes) == ["DraftOutOfStep", "DraftOutOfStep", "ReleaseView"]


def test_what_was_approved_over_another_release_is_looked_at_again(desk: CampaignDesk) -> None:
    draft = approved(desk, WINTER)
    released(desk, DEARER)
    with pytest.raises(DraftOutdated) as refused:
        desk.publish(EDITOR, draft)
    assert refused.value.details["newest"] == 1
    desk.approve(APPROVER, draft, desk.draft(draft).draft.version)
    assert desk.publish(EDITOR, draft).revision == 2


def test_an_earlier_content_comes_back_as_a_new_revision(desk: CampaignDesk) -> None:
    released(desk, WINTER)
    released(desk, DEARER)
    with pytest.raises(ReleaseNewest):
        desk.restore(APPROVER, 2)
    again = desk.restore(APPROVER, 1, "涨价有误")
    assert (again.revision, again.restores, again.edited_by, again.approved_by) == (3, 1, "e01", "a01")
    books = [desk.release(revision).book.book for revision in (1, 3)]
    assert books[0].offers == books[1].offers
    assert desk.release(3).text == WINTER.replace("revision = 1", "revision = 3")
    assert json.loads(desk.signed(3))["revision"] == 3


def test_without_a_key_nothing_is_released(storage: Storage, tmp_path: Path) -> None:
    desk = CampaignDesk(storage, HandClock(), tmp_path / "nowhere.key")
    draft = approved(desk, WINTER)
    with pytest.raises(ReleaseKeyMissing):
        desk.publish(EDITOR, draft)
    assert desk.overview().newest == 0


def test_books_are_found_by_revision_and_hash_together(
    desk: CampaignDesk, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = released(desk)
    monkeypatch.setattr(releases, "BOOKS_CACHED_MAX", 1)
    with storage.read() as connection:
        book = releases.book_of(connection, 1, release.sha256)
        assert book is not None
        assert releases.book_of(connection, 1, release.sha256) is book
        for revision, sha256 in ((2, release.sha256), (1, "0" * 64), (1, "a\0b"), (1, "")):
            assert releases.book_of(connection, revision, sha256) is None
    other = released(desk, DEARER)
    with storage.read() as connection:  # one is kept at most; the other is read anew
        for wanted in (other, release):
            found = releases.book_of(connection, wanted.revision, wanted.sha256)
            assert found is not None
            assert found.hash == wanted.sha256


def test_a_revision_that_never_was_is_told(desk: CampaignDesk) -> None:
    for ask in (lambda: desk.release(7), lambda: desk.signed(7), lambda: desk.restore(APPROVER, 7)):
        with pytest.raises(ReleaseMissing):
            ask()


def test_a_colleague_may_press_the_button(desk: CampaignDesk) -> None:
    draft = approved(desk, WINTER)
    assert desk.publish(COLLEAGUE, draft).released_by == "e02"
