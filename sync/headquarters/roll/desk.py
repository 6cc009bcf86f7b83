"""What people at headquarters do with the roll, from what they type to what they are shown.

A card number that is typed becomes a token at once and is nowhere else; everything here blocks on the database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sync.headquarters import reports
from sync.headquarters.reports import RedemptionView
from sync.headquarters.roll import imports, members, rules, versions
from sync.headquarters.roll.errors import HashingKeyMissing, MemberMissing
from sync.headquarters.roll.imports import ImportView, RejectedLine
from sync.headquarters.roll.members import MemberView, Spell
from sync.headquarters.roll.rules import Action
from sync.headquarters.roll.versions import RollState
from sync.headquarters.storage import Storage
from terminal.membership.official_lists import ListKind
from terminal.membership.standing import MemberClass
from terminal.membership.token import ProgrammeKey, card_token, person_token
from terminal.serving.people import Person
from terminal.typed_card import typed_read

REDEMPTIONS_SHOWN_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Dossier:
    """All about one card: how it stands and stood, its holder's other cards, what was sold with any of them."""

    member: MemberView
    history: list[Spell]
    cards: list[MemberView]
    redemptions: list[RedemptionView]


@dataclass(frozen=True, slots=True)
class NewCard:
    """A card to be added. `person` is the holder's id as the union writes it, empty when not known."""

    member_class: MemberClass
    person: str
    temporary: bool


class RollDesk:
    """Callable from any thread. `key` None: everything that needs a card number raises `HashingKeyMissing`."""

    def __init__(
        self,
        storage: Storage,
        key: ProgrammeKey | None,
        *,
        clock: Callable[[], datetime],
        jump_percent_max: float,
        on_import: Callable[[], None] = lambda: None,
    ) -> None:
        self._storage = storage
        self._key = key
        self._clock = clock
        self._jump_percent_max = jump_percent_max
        self._on_import = on_import

    @property
    def key(self) -> ProgrammeKey:
        """The programme's key. Raises `HashingKeyMissing`."""
        if self._key is None:
            raise HashingKeyMissing("hash", "card")
        return self._key

    def token_of(self, number: str) -> str:
        """The token of a typed card number. Raises `NumberMistyped`, `HashingKeyMissing`."""
        return card_token(typed_read(number, "").pan, self.key)

    def state(self) -> RollState:
        """Where the roll stands."""
        with self._storage.read() as connection:
            return versions.state_of(connection)

    # --- members ------------------------------------------------------------------------------------------------------

    def dossier(self, token: str) -> Dossier:
        """All about the card with this token. Raises `MemberMissing`."""
        with self._storage.read() as connection:
            state = versions.state_of(connection)
            if not token.startswith(f"v{state.key_version}:"):
                raise MemberMissing("find", "card")
            member = members.find(connection, token)
            cards = members.cards_of(connection, member)
            tokens = [each.token for each in (member, *cards)]
            sold = reports.redemptions_of_cards(connection, tokens, REDEMPTIONS_SHOWN_MAX)
            return Dossier(member, members.history(connection, member), cards, sold)

    def overdue(self) -> list[MemberView]:
        """Suspensions that were not confirmed in time: a person decides each."""
        with self._storage.read() as connection:
            state = versions.state_of(connection)
            return members.overdue(connection, state.key_version or 0, self._clock())

    def change(self, token: str, action: Action, by: Person) -> MemberView:
        """Raises `MemberMissing`, `StandingRefused`, `ValidityRefused`, `HashingKeyForeign`, `HashingKeyMissing`."""
        key = self.key
        with self._storage.write() as connection:
            return members.change(connection, key, token, action, by=by, now=self._clock())

    def replace(self, token: str, new: str, by: Person) -> MemberView:
        """The card `token` is lost, `new` takes its place; the new one. Raises as `change`, and `MemberKnown`."""
        key = self.key
        with self._storage.write() as connection:
            return members.replace(connection, key, token, new, by=by, now=self._clock())

    def add(self, token: str, card: NewCard, by: Person) -> MemberView:
        """Put a card on the roll by hand. Raises `MemberKnown`, `HashingKeyForeign`, `HashingKeyMissing`."""
        key, now = self.key, self._clock()
        made = (
            rules.temporary(card.member_class, now)
            if card.temporary
            else rules.issued_now(card.member_class, None, now)
        )
        holder = person_token(card.person, key) if card.person.strip() else None
        with self._storage.write() as connection:
            return members.add(connection, key, token, made, person=holder, by=by, now=now)

    # --- lists --------------------------------------------------------------------------------------------------------

    def imports(self) -> list[ImportView]:
        """The lists, latest first."""
        with self._storage.read() as connection:
            return imports.latest(connection)

    def list_of(self, number: int) -> tuple[ImportView, list[RejectedLine]]:
        """A list and the lines of it that were set aside. Raises `ImportMissing`."""
        with self._storage.read() as connection:
            return imports.find(connection, number), imports.rejected(connection, number)

    def preview(self, content: bytes, kind: ListKind, by: Person) -> ImportView:
        """What a list that came with a request would do. Raises `CardListError`, `HashingKeyForeign`."""
        return imports.preview_upload(
            self._storage,
            content,
            kind,
            self.key,
            by=by,
            now=self._clock(),
            jump_percent_max=self._jump_percent_max,
        )

    def preview_file(self, path: Path, kind: ListKind, by: Person, progress: Callable[[int], None]) -> ImportView:
        """What the list in a file would do; `progress` is told the octets done. Raises as `preview`."""
        return imports.preview_file(
            self._storage,
            path,
            kind,
            self.key,
            by=by,
            now=self._clock(),
            jump_percent_max=self._jump_percent_max,
            progress=progress,
        )

    def confirm(self, number: int, by: Person) -> ImportView:
        """Raises `ImportMissing`, `ImportSettled`, `SecondPersonNeeded`, `HashingKeyForeign`."""
        view = imports.confirm(self._storage, number, self.key, by=by, now=self._clock())
        self._on_import()
        return view

    def discard(self, number: int, by: Person) -> ImportView:
        """Raises `ImportMissing`, `ImportSettled`."""
        return imports.discard(self._storage, number, by=by, now=self._clock())
