"""A draft from its first line to a second person's yes, and every way around the second person that does not exist."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from config.errors import JingkaError
from sync.headquarters.books import drafts
from sync.headquarters.books.desk import CampaignDesk
from sync.headquarters.books.drafts import DraftState
from sync.headquarters.books.errors import (
    DraftChanged,
    DraftMissing,
    DraftOutOfStep,
    DraftsFull,
    DraftUnfit,
    DraftUnreadable,
    OwnDraft,
)
from sync.headquarters.books.tables import book_drafts
from sync.headquarters.people.audit import page_of_audit
from sync.headquarters.storage import Storage
from terminal.offers.book import BOOK_BYTES_MAX
from terminal.serving.people import Person, Role
from terminal.serving.problems import RoleMissing
from tests.sync.headquarters.books.campaign import (
    APPROVER,
    AUDITOR,
    BROKEN,
    COLLEAGUE,
    DEARER,
    EDITOR,
    OPERATOR,
    WINTER,
    desk_of,
    released,
)


@pytest.fixture
def desk(storage: Storage, tmp_path: Path) -> CampaignDesk:
    return desk_of(storage, tmp_path)


def test_from_draft_to_release_every_step_is_noted(desk: CampaignDesk, storage: Storage) -> None:
    release = released(desk)
    assert (release.revision, release.edited_by, release.approved_by) == (1, "e01", "a01")
    with storage.read() as connection:
        steps = [(row.person, row.action, row.subject) for row in reversed(page_of_audit(connection))]
    assert steps == [
        ("e01", "book-drafted", "draft 1"),
        ("e01", "book-submitted", "draft 1"),
        ("a01", "book-approved", "draft 1"),
        ("e01", "book-released", "book 1"),
    ]


def test_a_draft_begins_with_the_newest_releases_text(desk: CampaignDesk) -> None:
    released(desk)
    draft = desk.draft(desk.begin(EDITOR, "涨价").id)
    assert (draft.draft.base, draft.text) == (1, WINTER)
    assert (draft.look.usable, draft.look.changes) == (True, ())
    saved = desk.save(EDITOR, draft.draft.id, DEARER, draft.draft.version)
    (change,) = desk.draft(saved.id).look.changes
    assert change.text("en") == "changed offer winter-film: price.unit_fen = 1000 → 1200"


def test_findings_name_their_line_and_what_was_meant(desk: CampaignDesk) -> None:
    draft = desk.begin(EDITOR, "笔误", BROKEN)
    (finding, *_) = desk.draft(draft.id).look.findings
    assert finding.line is not None
    assert "gongren-julebo" in BROKEN.splitlines()[finding.line]  # the list begins on the line before
    assert finding.nearest == "gongren-julebu"
    with pytest.raises(DraftUnfit, match="gongren-julebu"):
        desk.submit(EDITOR, draft.id, draft.version)


def test_offers_are_explained_in_both_languages(desk: CampaignDesk) -> None:
    draft = desk.begin(EDITOR, "冬季活动", WINTER)
    explained = dict(desk.draft(draft.id).look.explained)
    assert "10-yuan film ticket" in explained["winter-film"].en
    assert "十元电影票" in explained["winter-film"].zh


def test_nobody_writes_over_anothers_change(desk: CampaignDesk) -> None:
    draft = desk.begin(EDITOR, "冬季活动", WINTER)
    desk.save(COLLEAGUE, draft.id, DEARER, draft.version)
    with pytest.raises(DraftChanged) as refused:
        desk.save(EDITOR, draft.id, WINTER, draft.version)
    assert (refused.value.details["by"], refused.value.details["version"]) == ("e02", 2)
    assert desk.draft(draft.id).text == DEARER


def test_two_who_save_at_once_do_not_both_win(desk: CampaignDesk) -> None:
    draft = desk.begin(EDITOR, "冬季活动", WINTER)
    outcomes = at_once(
        *(lambda who=who: desk.save(who, draft.id, who.id, draft.version) for who in (EDITOR, COLLEAGUE))
    )
    assert sorted(type(each).__name__ for each in outcomes) == ["DraftChanged", "DraftView"]
    (won,) = (each for each in outcomes if not isinstance(each, Exception))
    assert desk.draft(draft.id).text == won.edited_by


WHOEVER = {"who wrote it": EDITOR, "who handed it in": COLLEAGUE}


@pytest.mark.parametrize("writer", WHOEVER.values(), ids=WHOEVER.keys())
def test_no_hand_that_was_in_it_approves_it(desk: CampaignDesk, writer: Person) -> None:
    draft = desk.begin(EDITOR, "冬季活动", WINTER)
    draft = desk.submit(COLLEAGUE, draft.id, draft.version)
    promoted = Person(writer.id, writer.name, Role.APPROVER)
    with pytest.raises(OwnDraft):
        desk.approve(promoted, draft.id, draft.version)
    assert desk.approve(APPROVER, draft.id, draft.version).approved_by == "a01"


def test_the_database_itself_holds_two_persons(desk: CampaignDesk, storage: Storage) -> None:
    draft = desk.begin(EDITOR, "冬季活动", WINTER)
    alone = update(book_drafts).where(book_drafts.c.id == draft.id).values(approved_by="e01")
    with pytest.raises(IntegrityError), storage.write() as connection:
        connection.execute(alone)


def test_an_approver_who_writes_at_the_same_moment_has_not_approved_their_own(
    desk: CampaignDesk, storage: Storage
) -> None:
    """The one person who is both, by a change of role in between: whatever comes first, they never stand alone."""
    both = Person("x01", "两可", Role.APPROVER)
    as_editor = Person("x01", "两可", Role.EDITOR)
    for _ in range(5):
        draft = desk.begin(EDITOR, "冬季活动", WINTER)
        draft = desk.submit(EDITOR, draft.id, draft.version)
        at_once(
            lambda draft=draft: desk.approve(both, draft.id, draft.version),
            lambda draft=draft: desk.save(as_editor, draft.id, DEARER, draft.version),
        )
        now = desk.draft(draft.id)
        assert not (now.draft.state is DraftState.APPROVED and "x01" in now.writers)
        if now.draft.state is DraftState.APPROVED:
            assert now.text == WINTER
        desk.discard(EDITOR, draft.id, now.draft.version)
    with storage.read() as connection:
        assert set(connection.scalars(select(book_drafts.c.state))) == {"discarded"}


def test_a_change_after_the_approval_undoes_it(desk: CampaignDesk) -> None:
    draft = desk.begin(EDITOR, "冬季活动", WINTER)
    draft = desk.submit(EDITOR, draft.id, draft.version)
    draft = desk.approve(APPROVER, draft.id, draft.version)
    draft = desk.save(EDITOR, draft.id, DEARER, draft.version)
    assert (draft.state, draft.approved_by, draft.submitted_by) == (DraftState.OPEN, None, None)
    with pytest.raises(DraftOutOfStep):
        desk.publish(EDITOR, draft.id)


def test_an_approver_approves_what_they_saw(desk: CampaignDesk) -> None:
    draft = desk.begin(EDITOR, "冬季活动", WINTER)
    seen = desk.submit(EDITOR, draft.id, draft.version)
    changed = desk.save(EDITOR, draft.id, DEARER, seen.version)
    desk.submit(EDITOR, draft.id, changed.version)
    with pytest.raises(DraftChanged):
        desk.approve(APPROVER, draft.id, seen.version)


def test_what_was_sent_back_or_discarded_is_not_released(desk: CampaignDesk) -> None:
    draft = desk.begin(EDITOR, "冬季活动", WINTER)
    draft = desk.submit(EDITOR, draft.id, draft.version)
    draft = desk.send_back(APPROVER, draft.id, draft.version)
    assert draft.state is DraftState.OPEN
    draft = desk.discard(EDITOR, draft.id, draft.version)
    for step in (desk.submit, desk.discard):
        with pytest.raises(DraftOutOfStep):
            step(EDITOR, draft.id, draft.version)
    with pytest.raises(DraftOutOfStep):
        desk.approve(APPROVER, draft.id, draft.version)


def test_each_role_does_its_own_part(desk: CampaignDesk) -> None:
    draft = desk.begin(EDITOR, "冬季活动", WINTER)
    for person in (APPROVER, OPERATOR, AUDITOR):
        with pytest.raises(RoleMissing):
            desk.save(person, draft.id, DEARER, draft.version)
    draft = desk.submit(EDITOR, draft.id, draft.version)
    for person in (COLLEAGUE, OPERATOR, AUDITOR):
        with pytest.raises(RoleMissing):
            desk.approve(person, draft.id, draft.version)
    desk.approve(APPROVER, draft.id, draft.version)
    with pytest.raises(RoleMissing):
        desk.publish(OPERATOR, draft.id)


ODD_TEXTS = {"NUL": "a\0b", "half a character": "\ud800", "too long": "#" * (BOOK_BYTES_MAX + 1)}


def test_what_no_database_holds_is_told(desk: CampaignDesk) -> None:
    for text in ODD_TEXTS.values():
        with pytest.raises(DraftUnreadable):
            desk.begin(EDITOR, "怪", text)


def test_unfinished_drafts_are_bounded(desk: CampaignDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "UNFINISHED_MAX", 2)
    kept = [desk.begin(EDITOR, "草稿", "") for _ in range(2)]
    with pytest.raises(DraftsFull):
        desk.begin(EDITOR, "草稿", "")
    desk.discard(EDITOR, kept[0].id, kept[0].version)
    assert desk.begin(EDITOR, "草稿", "").version == 1


def test_a_draft_that_is_not_there_is_told(desk: CampaignDesk) -> None:
    for ask in (lambda: desk.draft(7), lambda: desk.save(EDITOR, 7, "", 1)):
        with pytest.raises(DraftMissing):
            ask()


def test_a_signed_book_that_somebody_edited_is_a_finding(desk: CampaignDesk) -> None:
    release = released(desk)
    forged = desk.signed(release.revision).replace("1000", "1200", 1)
    draft = desk.begin(EDITOR, "改过的", forged, "json")
    (finding,) = desk.draft(draft.id).look.findings
    assert "not as signed" in finding.text("en")


def at_once(*calls: object) -> list[object]:
    """What each call gives or raises, all of them begun at the same moment."""
    start = threading.Barrier(len(calls))
    outcomes: list[object] = []

    def run(call: object) -> None:
        start.wait(10)
        try:
            outcomes.append(call())  # type: ignore[operator]
        except JingkaError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(outcomes) == len(calls), "a call did not end, or ended in another error"
    return outcomes
