"""What people at headquarters do about money: each a transaction, and who may."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from sync.errors import MessageMalformed
from sync.headquarters.door import plain_body
from sync.headquarters.keys import load_successions
from sync.headquarters.money import complaints, conflicts, days, recounts, settlement
from sync.headquarters.money.complaints import ComplaintView, NewComplaint, Outcome
from sync.headquarters.money.conflicts import ConflictView, Verdict
from sync.headquarters.money.errors import SettlementOpen
from sync.headquarters.money.record import terms_of
from sync.headquarters.money.review import YearReview, year_review
from sync.headquarters.money.settlement import Settlement
from sync.headquarters.money.steps import Terms
from sync.headquarters.money.terms import NewTerms, set_terms
from sync.headquarters.service import Headquarters
from sync.headquarters.storage import Storage
from sync.signing import DeviceKey, HttpRequest
from sync.wire import parse_message, timestamp
from sync.wire_days import DayAnswer, DayStatement
from terminal.serving.people import Person, Role

READS: Final = (Role.OPERATOR, Role.FINANCE, Role.AUDITOR)
CLOSES: Final = (Role.FINANCE,)
SETTLES: Final = (Role.OPERATOR, Role.FINANCE)


class MoneyDesk:
    """Callable from any thread. `key` signs settlements: headquarters' own; `former` are those before it (hex)."""

    def __init__(
        self, storage: Storage, clock: Callable[[], datetime], key: DeviceKey, former: frozenset[str] = frozenset()
    ) -> None:
        self.storage = storage
        self.clock = clock
        self._key = key
        self._keys = former | {key.public.hex()}

    def settlement(self, merchant: str, month: str) -> Settlement:
        """The settlement as it stands."""
        with self.storage.read() as connection:
            return settlement.settlement(connection, merchant, month)

    def document(self, merchant: str, month: str) -> dict[str, str]:
        """The signed form. Raises `SettlementOpen`."""
        with self.storage.read() as connection:
            found = settlement.document_of(connection, merchant, month)
        if found is None:
            raise SettlementOpen("show", merchant, month=month)
        return found

    def close(self, by: Person, merchant: str, month: str, seen: str | None = None) -> Settlement:
        """Close a month. Raises what `settlement.close` does."""
        recounts.finish(self.storage, merchant)
        with self.storage.write() as connection:
            return settlement.close(connection, merchant, month, by, self._key, now=self.clock(), seen=seen)

    def terms(self, merchant: str) -> list[Terms]:
        """What the centre owes a merchant, by offer and first day."""
        with self.storage.read() as connection:
            found = terms_of(connection, [merchant]).get(merchant, [])
        return sorted(found, key=lambda each: (each.offer, each.first_day))

    def set_terms(self, by: Person, merchant: str, wanted: NewTerms) -> list[Terms]:
        """Set what holds from a day on, and count the open months anew. Raises what `terms.set_terms` does."""
        with self.storage.write() as connection:
            terms = set_terms(connection, merchant, wanted, by, now=self.clock())
        recounts.finish(self.storage, merchant)
        return terms

    def is_recounting(self, merchant: str) -> bool:
        """Whether the open months are still being counted by terms that were set."""
        with self.storage.read() as connection:
            return recounts.is_recounting(connection, merchant)

    def finish_recounts(self) -> None:
        """What a process that ended has left half counted."""
        recounts.finish_all(self.storage)

    def unsound(self, merchant: str) -> list[str]:
        """What is wrong with a merchant's settlements; empty: nothing."""
        with self.storage.read() as connection:
            return settlement.unsound(connection, merchant, self._keys)

    def settle_conflicts(self, by: Person, verdict: Verdict) -> list[ConflictView]:
        """Decide on findings. Raises what `conflicts.settle_conflicts` does."""
        with self.storage.write() as connection:
            return conflicts.settle_conflicts(connection, verdict, by, now=self.clock())

    def note_complaint(self, by: Person, new: NewComplaint) -> ComplaintView:
        """Write a complaint down. Raises `CardNumberTyped`."""
        with self.storage.write() as connection:
            return complaints.note_complaint(connection, new, by, now=self.clock())

    def settle_complaint(self, by: Person, number: int, said: Outcome) -> ComplaintView:
        """Write down what came of it. Raises `ComplaintMissing`, `CardNumberTyped`."""
        with self.storage.write() as connection:
            return complaints.settle_complaint(connection, number, said, by, now=self.clock())

    def review(self, merchant: str, year: int) -> YearReview:
        """The yearly review."""
        with self.storage.read() as connection:
            return year_review(connection, merchant, year)


def former_keys(data_dir: Path) -> frozenset[str]:
    """The public keys (hex) that headquarters signed with before, as its own private file says.

    Raises `KeyDamaged`, `KeyExposed`.
    """
    return frozenset(each.old for each in load_successions(data_dir).successions)


class DaysOffice:
    """The terminals' side: taking in day statements."""

    def __init__(self, hq: Headquarters) -> None:
        self._hq = hq

    def take(self, request: HttpRequest, terminal: str) -> DayAnswer:
        """Keep the statement in `request`, sent to the address of `terminal`.

        Raises the errors of `Door.identify`, `MessageMalformed`, `SequenceGap`, `NonceReplayed`.
        """
        now = self._hq.clock()
        caller = self._hq.door.identify(request, terminal, now)
        statement = parse_message(DayStatement, plain_body(request))
        if statement.terminal != terminal:
            raise MessageMalformed("state a day", terminal, reason="terminal: another one's statement")
        with self._hq.storage.write() as connection:
            caller.claim.take(connection, now)
            differences = days.take_statement(connection, statement, now)
        return DayAnswer(
            day=statement.day,
            sequence=statement.sequence,
            differences=differences,
            time=timestamp(self._hq.clock()),
        )
