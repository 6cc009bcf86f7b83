"""A draft from its first line to a second person's yes: open → submitted → approved → released, or discarded.

Two persons release a book. The rule stands in the transaction, not on a page: every hand that wrote in a draft or
handed it in is noted (`book_writers`), and none of them can approve it, whatever role they have by then. A change after
the approval undoes it. The draft's row is locked by everything that changes it, so an approval and a change at the same
moment come one after the other, and each sees the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from config.errors import JingkaError, Words
from sync.headquarters.books import releases
from sync.headquarters.books.errors import (
    DraftChanged,
    DraftMissing,
    DraftOutOfStep,
    DraftsFull,
    DraftUnfit,
    DraftUnreadable,
    OwnDraft,
)
from sync.headquarters.books.tables import book_drafts, book_writers
from sync.headquarters.people import audit
from sync.headquarters.storage import insert_or
from terminal.offers.book import BOOK_BYTES_MAX, Format, check_text
from terminal.offers.diff import Change, diff
from terminal.offers.explain import explain
from terminal.offers.findings import Finding
from terminal.offers.model import Book
from terminal.serving.people import Person, Role
from terminal.serving.problems import RoleMissing

TITLE_CHARS_MAX: Final = 100
# A campaign team works on a handful at once; this keeps a script that goes wrong from filling the database with books.
UNFINISHED_MAX: Final = 100
DRAFTS_PAGE_MAX: Final = 100


class DraftState(StrEnum):
    """How far a draft has come."""

    OPEN = "open"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    RELEASED = "released"
    DISCARDED = "discarded"


UNFINISHED: Final = (DraftState.OPEN, DraftState.SUBMITTED, DraftState.APPROVED)
STATE_WORDS: Final[Mapping[DraftState, Words]] = {
    DraftState.OPEN: Words("编辑中", "open"),
    DraftState.SUBMITTED: Words("待批准", "waiting for approval"),
    DraftState.APPROVED: Words("已批准", "approved"),
    DraftState.RELEASED: Words("已发布", "released"),
    DraftState.DISCARDED: Words("已放弃", "discarded"),
}


@dataclass(frozen=True, slots=True)
class DraftView:
    """A draft as people see it, without its text. `base`: the revision it was begun from, None for none."""

    id: int
    title: str
    form: Format
    base: int | None
    state: DraftState
    version: int
    author: str
    begun_at: datetime
    edited_by: str
    edited_at: datetime
    submitted_by: str | None
    submitted_at: datetime | None
    approved_by: str | None
    approved_at: datetime | None


@dataclass(frozen=True, slots=True)
class Look:
    """What a draft's text comes to: findings, and, where it is a book at all, what changes and what each offer says.

    `against` is the release it is compared with, 0 for none; `explained` pairs an offer's id with its paragraph.
    """

    findings: tuple[Finding, ...]
    against: int
    changes: tuple[Change, ...]
    explained: tuple[tuple[str, Words], ...]

    @property
    def usable(self) -> bool:
        """Whether nothing is wrong with it; doubts do not count."""
        return not any(finding.severity == "error" for finding in self.findings)


# --- reading ----------------------------------------------------------------------------------------------------------


def draft_of(connection: Connection, draft: int) -> DraftView:
    """One draft. Raises `DraftMissing`."""
    row = connection.execute(select(*_VIEWED).where(book_drafts.c.id == draft)).mappings().one_or_none()
    if row is None:
        raise DraftMissing("look up", str(draft))
    return _view(row)


def text_of(connection: Connection, draft: int) -> str:
    """A draft's text. Raises `DraftMissing`."""
    found: str | None = connection.scalar(select(book_drafts.c.text).where(book_drafts.c.id == draft))
    if found is None:
        raise DraftMissing("look up", str(draft))
    return found


def page_of_drafts(
    connection: Connection, *, states: Iterable[DraftState] = UNFINISHED, limit: int = DRAFTS_PAGE_MAX
) -> list[DraftView]:
    """The drafts in these states, the latest begun first."""
    wanted = [state.value for state in states]
    query = select(*_VIEWED).where(book_drafts.c.state.in_(wanted)).order_by(book_drafts.c.id.desc())
    return [_view(row) for row in connection.execute(query.limit(min(limit, DRAFTS_PAGE_MAX))).mappings()]


def writers_of(connection: Connection, draft: int) -> set[str]:
    """Everyone who has written in it or handed it in, by id."""
    return set(connection.scalars(select(book_writers.c.person).where(book_writers.c.draft == draft)))


def look(connection: Connection, text: str, form: Format) -> Look:
    """Check a text and compare it with the newest release. Reads; takes as long as the book is long."""
    book, findings = _read(text, form)
    against = releases.newest(connection)
    if book is None or any(finding.severity == "error" for finding in findings):
        return Look(findings, against, (), ())
    changes = diff(releases.content_of(connection, against).book, book) if against else ()
    return Look(
        findings,
        against,
        tuple(change for change in changes if (change.table, change.path) != ("", "revision")),  # ours to number
        tuple((offer.id, explain(book, offer)) for offer in book.offers),
    )


def checked(connection: Connection, draft: int) -> Book:
    """The draft's book, once nothing is wrong with it. Raises `DraftMissing`, `DraftUnfit`."""
    view = draft_of(connection, draft)
    book, findings = _read(text_of(connection, draft), view.form)
    errors = [finding for finding in findings if finding.severity == "error"]
    if book is None or errors:
        first = {"first_zh": errors[0].text("zh"), "first_en": errors[0].text("en")}
        raise DraftUnfit("check", str(draft), count=len(errors), **first)
    return book


# --- writing ----------------------------------------------------------------------------------------------------------


def begin(
    connection: Connection, title: str, *, by: Person, now: datetime, text: str | None = None, form: Format = "toml"
) -> DraftView:
    """A new draft: of `text`, else of the newest release's. Raises `DraftUnreadable`, `DraftsFull`."""
    base = releases.newest(connection) or None
    if text is None:
        form, text = releases.text_of(connection, base) if base else ("toml", "")
    _keepable(text)
    unfinished = select(func.count()).where(book_drafts.c.state.in_([state.value for state in UNFINISHED]))
    if (connection.scalar(unfinished) or 0) >= UNFINISHED_MAX:
        raise DraftsFull("begin", "draft", count=UNFINISHED_MAX)
    row = {
        "title": _title(title),
        "form": form,
        "text": text,
        "base": base,
        "state": DraftState.OPEN.value,
        "version": 1,
        "author": by.id,
        "begun_at": now,
        "edited_by": by.id,
        "edited_at": now,
    }
    draft = connection.scalar(insert(book_drafts).values(row).returning(book_drafts.c.id))
    assert draft is not None
    _note_writer(connection, draft, by)
    _audit(connection, by, "book-drafted", draft, now=now, detail=_title(title))
    return draft_of(connection, draft)


def save(
    connection: Connection,
    draft: int,
    text: str,
    *,
    version: int,
    by: Person,
    now: datetime,
    title: str | None = None,
) -> DraftView:
    """Put `text` in place of what `version` held; whatever was submitted or approved is open again.

    Raises `DraftMissing`, `DraftChanged`, `DraftOutOfStep` (released, discarded), `DraftUnreadable`.
    """
    _keepable(text)
    before = _locked(connection, draft, version, UNFINISHED)
    values = {**_UNDECIDED, "text": text, "edited_by": by.id, "edited_at": now}
    values["title"] = _title(title) if title else before.title
    _write(connection, draft, version, DraftState.OPEN, values)
    _note_writer(connection, draft, by)
    _audit(connection, by, "book-saved", draft, now=now, detail=f"version {version + 1}")
    return draft_of(connection, draft)


def submit(connection: Connection, draft: int, *, version: int, by: Person, now: datetime) -> DraftView:
    """Hand the draft in for approval. Raises `DraftMissing`, `DraftChanged`, `DraftOutOfStep`, `DraftUnfit`."""
    _locked(connection, draft, version, (DraftState.OPEN,))
    checked(connection, draft)
    _write(connection, draft, version, DraftState.SUBMITTED, {"submitted_by": by.id, "submitted_at": now})
    _note_writer(connection, draft, by)
    _audit(connection, by, "book-submitted", draft, now=now)
    return draft_of(connection, draft)


def approve(connection: Connection, draft: int, *, version: int, by: Person, now: datetime) -> DraftView:
    """Another person's yes to what `version` holds, compared with the newest release as it is now.

    Raises `RoleMissing`, `OwnDraft`, `DraftMissing`, `DraftChanged`, `DraftOutOfStep`, `DraftUnfit`.
    """
    if by.role is not Role.APPROVER:
        raise RoleMissing("approve", "role", role=Role.APPROVER.value)
    _locked(connection, draft, version, (DraftState.SUBMITTED, DraftState.APPROVED))
    refuse_writer(connection, draft, by.id)
    checked(connection, draft)
    values = {"approved_by": by.id, "approved_at": now, "approved_over": releases.newest(connection)}
    _write(connection, draft, version, DraftState.APPROVED, values)
    _audit(connection, by, "book-approved", draft, now=now, detail=f"version {version}")
    return draft_of(connection, draft)


def send_back(connection: Connection, draft: int, *, version: int, by: Person, now: datetime) -> DraftView:
    """An approver's no: the draft is open again. Raises `DraftMissing`, `DraftChanged`, `DraftOutOfStep`."""
    _locked(connection, draft, version, (DraftState.SUBMITTED, DraftState.APPROVED))
    _write(connection, draft, version, DraftState.OPEN, dict(_UNDECIDED))
    _audit(connection, by, "book-sent-back", draft, now=now)
    return draft_of(connection, draft)


def discard(connection: Connection, draft: int, *, version: int, by: Person, now: datetime) -> DraftView:
    """Give a draft up; its text stays to be read. Raises `DraftMissing`, `DraftChanged`, `DraftOutOfStep`."""
    _locked(connection, draft, version, UNFINISHED)
    _write(connection, draft, version, DraftState.DISCARDED, dict(_UNDECIDED))
    _audit(connection, by, "book-discarded", draft, now=now)
    return draft_of(connection, draft)


def lock_approved(connection: Connection, draft: int) -> RowMapping:
    """The row of an approved draft, ours until the transaction ends. Raises `DraftMissing`, `DraftOutOfStep`."""
    row = _lock(connection, draft)
    _refuse_state(draft, row, (DraftState.APPROVED,))
    return row


def mark_released(connection: Connection, draft: int, version: int) -> None:
    """The draft has become a release; nothing of it changes any more."""
    _write(connection, draft, version, DraftState.RELEASED, {})


def refuse_writer(connection: Connection, draft: int, person: str) -> None:
    """That `person` has no hand in the draft. Raises `OwnDraft`."""
    if person in writers_of(connection, draft):
        raise OwnDraft("approve", str(draft), person=person)


# --- inside -----------------------------------------------------------------------------------------------------------

_VIEWED: Final = tuple(book_drafts.c[name] for name in DraftView.__dataclass_fields__)
_UNDECIDED: Final[Mapping[str, Any]] = dict.fromkeys(
    ("submitted_by", "submitted_at", "approved_by", "approved_at", "approved_over")
)


def _read(text: str, form: Format) -> tuple[Book | None, tuple[Finding, ...]]:
    """`check_text`, with a broken signature (a signed book that somebody edited) as a finding like any other."""
    try:
        return check_text(text, form)
    except JingkaError as error:
        return None, (Finding("error", (), Words(error.what_text("zh"), error.what_text("en"))),)


def _view(row: RowMapping) -> DraftView:
    return DraftView(**{**row, "state": DraftState(row["state"])})


def _lock(connection: Connection, draft: int) -> RowMapping:
    query = select(book_drafts).where(book_drafts.c.id == draft).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise DraftMissing("look up", str(draft))
    return row


def _locked(connection: Connection, draft: int, version: int, states: Iterable[DraftState]) -> DraftView:
    """The draft, ours until the transaction ends, when it is in the version that the person saw."""
    row = _lock(connection, draft)
    _refuse_state(draft, row, states)
    if row["version"] != version:
        raise DraftChanged("save", str(draft), version=row["version"], by=row["edited_by"])
    return _view({name: row[name] for name in DraftView.__dataclass_fields__})  # type: ignore[arg-type]


def _refuse_state(draft: int, row: RowMapping, states: Iterable[DraftState]) -> None:
    state = DraftState(row["state"])
    if state not in tuple(states):
        words = STATE_WORDS[state]
        raise DraftOutOfStep("change", str(draft), state=state.value, state_zh=words.zh, state_en=words.en)


def _write(connection: Connection, draft: int, version: int, state: DraftState, values: Mapping[str, Any]) -> None:
    """The next version of a locked draft."""
    change = update(book_drafts).where(book_drafts.c.id == draft, book_drafts.c.version == version)
    done = connection.execute(change.values(**values, state=state.value, version=version + 1))
    assert done.rowcount == 1, "the row was locked in this version"


def _note_writer(connection: Connection, draft: int, by: Person) -> None:
    row = {"draft": draft, "person": by.id}
    connection.execute(insert_or(connection, book_writers).values(row).on_conflict_do_nothing())


def _audit(connection: Connection, by: Person, action: str, draft: int, *, now: datetime, detail: str = "") -> None:
    audit.note(connection, by, action, f"draft {draft}", now=now, detail=detail)


def _title(title: str) -> str:
    """One line that says what it is for; never empty."""
    plain = "".join(letter if letter.isprintable() else " " for letter in title).strip()
    return plain[:TITLE_CHARS_MAX] or "—"


def _keepable(text: str) -> None:
    """That any database can hold it. Raises `DraftUnreadable`."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise DraftUnreadable("save", "draft", reason_zh="不是 UTF-8 文字", reason_en="not UTF-8") from error
    if size > BOOK_BYTES_MAX:
        reason = {"reason_zh": f"超过 {BOOK_BYTES_MAX} 字节", "reason_en": f"over {BOOK_BYTES_MAX} bytes"}
        raise DraftUnreadable("save", "draft", **reason)
    if "\0" in text:
        raise DraftUnreadable("save", "draft", reason_zh="含有空字符", reason_en="a NUL character")
