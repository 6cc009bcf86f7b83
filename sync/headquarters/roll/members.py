"""Members one by one: finding them, changing how their cards stand, and what stood when.

Tokens are text (`v1:…`) outside and 32 bytes in the database. Nothing here sees a card number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, insert, select, update

from sync.headquarters.people import audit
from sync.headquarters.roll import rules, versions
from sync.headquarters.roll.errors import MemberKnown, MemberMissing
from sync.headquarters.roll.rules import Action, Card
from sync.headquarters.roll.tables import member_history, members
from sync.headquarters.storage import Storage, among, insert_or
from terminal.membership.standing import MemberClass, Standing
from terminal.membership.token import ProgrammeKey, token_parts
from terminal.serving.people import Person

HISTORY_SHOWN_MAX: Final = 200  # of one card; it changes a few times in its life
CARDS_SHOWN_MAX: Final = 20  # of one person
OVERDUE_SHOWN_MAX: Final = 200  # suspensions that nobody confirmed: a list that people work off
SWEEP_MAX: Final = 1000  # cards that the clock moves on in one transaction
CLOCK: Final = "clock"


@dataclass(frozen=True, slots=True)
class Spell:
    """How a card stood from `since` until `until` (None: still), and who had said so."""

    standing: Standing
    since: datetime
    until: datetime | None
    by: str


@dataclass(frozen=True, slots=True)
class MemberView:
    """A card and its holder as people see them.

    `due_at` is when an activation takes effect, a temporary card ends, or by when a suspension must be confirmed.
    """

    token: str
    standing: Standing
    member_class: MemberClass
    issued: date | None
    person: str | None
    valid_until: date | None
    due_at: datetime | None
    replaced_by: str | None
    since: datetime
    by: str
    version: int
    actions: tuple[Action, ...]


def hash_of(token: str) -> bytes:
    """The 32 bytes under which the database knows a token."""
    return token_parts(token)[1]


def find(connection: Connection, token: str) -> MemberView:
    """The card with this token. Raises `MemberMissing`."""
    return _view(_row(connection, token), _version_of(token))


def cards_of(connection: Connection, view: MemberView) -> list[MemberView]:
    """The other cards of the same person, latest first."""
    if view.person is None:
        return []
    query = select(members).where(members.c.person == hash_of(view.person), members.c.token != hash_of(view.token))
    found = connection.execute(query.order_by(members.c.since.desc()).limit(CARDS_SHOWN_MAX)).mappings()
    return [_view(row, _version_of(view.token)) for row in found]


def history(connection: Connection, view: MemberView) -> list[Spell]:
    """How the card has stood, latest first; the first is how it stands."""
    query = select(member_history).where(member_history.c.token == hash_of(view.token))
    order = (member_history.c.until.desc(), member_history.c.version.desc())
    found = connection.execute(query.order_by(*order).limit(HISTORY_SHOWN_MAX)).mappings()
    earlier = [Spell(Standing(row["standing"]), row["since"], row["until"], row["by"]) for row in found]
    return [Spell(view.standing, view.since, None, view.by), *earlier]


def standings_at(connection: Connection, wanted: Iterable[tuple[str, datetime]]) -> list[Standing | None]:
    """How each (token, moment) stood, in order; None: headquarters did not know the card then.

    Two queries, however many are asked for.
    """
    asked = [(hash_of(token), moment) for token, moment in wanted]
    columns = (members.c.token, members.c.standing, members.c.since)
    tokens = {token for token, _ in asked}
    now = {
        row.token: row for row in connection.execute(select(*columns).where(among(connection, members.c.token, tokens)))
    }
    before = {token for token, moment in asked if token in now and now[token].since > moment}
    spells: dict[bytes, list[Any]] = {}
    if before:
        query = select(member_history).where(member_history.c.token.in_(before))
        for row in connection.execute(query.order_by(member_history.c.until, member_history.c.version)):
            spells.setdefault(row.token, []).append(row)

    def at(token: bytes, moment: datetime) -> Standing | None:
        if token not in now:
            return None
        if now[token].since <= moment:
            return Standing(now[token].standing)
        spell = next((each for each in spells.get(token, ()) if each.since <= moment < each.until), None)
        return None if spell is None else Standing(spell.standing)

    return [at(token, moment) for token, moment in asked]


def overdue(connection: Connection, key_version: int, now: datetime) -> list[MemberView]:
    """Cards whose loss was told by telephone and not confirmed in time, the longest waiting first."""
    waits = (members.c.due_at <= now, members.c.standing == Standing.SUSPENDED.value)
    query = select(members).where(*waits).order_by(members.c.due_at).limit(OVERDUE_SHOWN_MAX)
    return [_view(row, key_version) for row in connection.execute(query).mappings()]


def change(
    connection: Connection, key: ProgrammeKey, token: str, action: Action, *, by: Person, now: datetime
) -> MemberView:
    """Do `action` to the card. Raises `MemberMissing`, `StandingRefused`, `ValidityRefused`, `HashingKeyForeign`."""
    version = versions.take(connection, key, 1, now) + 1
    row = _row(connection, token)
    card = rules.changed(_card(row), action, now)
    _write(connection, row, card, version=version, by=by.id, now=now)
    audit.note(connection, by, f"member-{action.value}", token, now=now, detail=card.standing.value)
    return find(connection, token)


def add(
    connection: Connection,
    key: ProgrammeKey,
    token: str,
    card: Card,
    *,
    person: str | None,
    by: Person,
    now: datetime,
) -> MemberView:
    """Put a new card on the roll; `person` is its holder's token. Raises `MemberKnown`, `HashingKeyForeign`."""
    version = versions.take(connection, key, 1, now) + 1
    holder = None if person is None else hash_of(person)
    _insert(connection, token, card, person=holder, version=version, by=by.id, now=now)
    audit.note(connection, by, "member-add", token, now=now, detail=card.standing.value)
    return find(connection, token)


def replace(
    connection: Connection, key: ProgrammeKey, token: str, new: str, *, by: Person, now: datetime
) -> MemberView:
    """The card is lost, and the one with the token `new` is issued in its place; the new one.

    It carries on as the same person, so what was used up stays used up; a card without a person's token hands on its
    own. Raises `MemberMissing`, `MemberKnown`, `StandingRefused`, `HashingKeyForeign`.
    """
    before = versions.take(connection, key, 2, now)
    row = _row(connection, token)
    card = _card(row)
    if card.standing is Standing.WITHDRAWN or row["replaced_by"] is not None:
        raise rules.refused_replacement(card.standing)
    if card.card is not Standing.LOST:
        card = rules.changed(card, Action.LOSE, now)
    fresh = rules.issued_now(card.member_class, None, now)
    _insert(connection, new, fresh, person=row["person"] or row["token"], version=before + 2, by=by.id, now=now)
    _write(connection, row, card, version=before + 1, by=by.id, now=now, replaced_by=hash_of(new))
    audit.note(connection, by, "member-replace", token, now=now, detail=new)
    return find(connection, new)


def sweep_due(storage: Storage, now: datetime) -> int:
    """Let the clock act: activations take effect, temporary cards end. How many cards moved (at most `SWEEP_MAX`)."""
    # Suspensions stand in the same index, but wait for a person.
    waits = (members.c.due_at <= now, members.c.card.in_((Standing.INACTIVE.value, Standing.ACTIVE.value)))
    with storage.read() as connection:
        if connection.scalar(select(members.c.token).where(*waits).limit(1)) is None:
            return 0
    with storage.write() as connection:
        before = versions.take(connection, None, 0, now)
        rows = connection.execute(select(members).where(*waits).limit(SWEEP_MAX)).mappings().all()
        versions.take(connection, None, len(rows), now)
        for version, row in enumerate(rows, start=before + 1):
            card = rules.elapsed(_card(row), now)
            assert card is not None, "a card that waits for the clock"
            _write(connection, row, card, version=version, by=CLOCK, now=now)
    return len(rows)


def _row(connection: Connection, token: str) -> RowMapping:
    row = connection.execute(select(members).where(members.c.token == hash_of(token))).mappings().one_or_none()
    if row is None:
        raise MemberMissing("find", "card")
    return row


def _write(
    connection: Connection,
    row: RowMapping,
    card: Card,
    *,
    version: int,
    by: str,
    now: datetime,
    replaced_by: bytes | None = None,
) -> None:
    """Bring a row up to date, and keep how it stood when that changes."""
    values: dict[str, Any] = {**_columns(card), "version": version, "changed_at": now}
    if replaced_by is not None:
        values["replaced_by"] = replaced_by
    if card.standing.value != row["standing"]:
        spell = {name: row[name] for name in ("token", "standing", "since", "by")}
        connection.execute(insert(member_history).values(**spell, until=now, version=version))
        values |= {"since": now, "by": by}
    connection.execute(update(members).where(members.c.token == row["token"]).values(values))


def _insert(
    connection: Connection, token: str, card: Card, *, person: bytes | None, version: int, by: str, now: datetime
) -> None:
    row = {
        **_columns(card),
        "token": hash_of(token),
        "person": person,
        "by_hand": True,
        "since": now,
        "by": by,
        "version": version,
        "changed_at": now,
    }
    made = insert_or(connection, members).values(row).on_conflict_do_nothing().returning(members.c.token)
    if connection.scalar(made) is None:
        raise MemberKnown("add", "card")


def _columns(card: Card) -> dict[str, Any]:
    return {
        "standing": card.standing.value,
        "card": None if card.card is None else card.card.value,
        "member": card.member,
        "member_class": card.member_class.value,
        "issued": card.issued,
        "valid_until": card.valid_until,
        "due_at": card.due_at,
        "by_person": card.by_person,
    }


def _card(row: RowMapping) -> Card:
    return Card(
        card=None if row["card"] is None else Standing(row["card"]),
        member=row["member"],
        member_class=MemberClass(row["member_class"]),
        issued=row["issued"],
        valid_until=row["valid_until"],
        due_at=row["due_at"],
        by_person=row["by_person"],
    )


def _view(row: RowMapping, key_version: int) -> MemberView:
    card = _card(row)

    def told(digest: bytes | None) -> str | None:
        return None if digest is None else f"v{key_version}:{digest.hex()}"

    return MemberView(
        token=f"v{key_version}:{row['token'].hex()}",
        standing=card.standing,
        member_class=card.member_class,
        issued=card.issued,
        person=told(row["person"]),
        valid_until=card.valid_until,
        due_at=card.due_at,
        replaced_by=told(row["replaced_by"]),
        since=row["since"],
        by=row["by"],
        version=row["version"],
        actions=card.actions,
    )


def _version_of(token: str) -> int:
    return token_parts(token)[0]
