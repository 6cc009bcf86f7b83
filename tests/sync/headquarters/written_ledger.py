"""A terminal's ledger in memory, entry by entry, as headquarters receives it: real canonical bytes, a real chain."""

from __future__ import annotations

import copy
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from sync.headquarters import fleet
from sync.headquarters.storage import Storage
from sync.wire import EntryBatch, EntryMessage
from terminal.ledger.entry import GENESIS, Entry, EntryKind, canonical, entry_hash, instant

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)  # noon in Shanghai
MERCHANT = "北京工人俱乐部电影城"
SITE = "虎坊路"


def redemption_id(number: int) -> str:
    """The UUIDv7 of the sale `number`; ids grow with it (RFC 9562 section 5.7)."""
    return str(uuid.UUID(int=(number << 80) | (7 << 76) | (2 << 62) | number))


def sale(**changes: Any) -> dict[str, Any]:
    """The body of an authorisation: two winter tickets at 10 yuan instead of 40."""
    body: dict[str, Any] = {
        "business_day": "2026-01-05",
        "merchant": MERCHANT,
        "site": SITE,
        "token": "v1:" + "ab" * 32,
        "person": "v1:" + "cd" * 32,
        "masked": "••••0021",
        "member_class": "ordinary",
        "standing": "active",
        "entry_mode": "contact",
        "reader": "virtual",
        "authenticity": "none",
        "offer": "winter-film",
        "offer_name": {"zh": "冬季看电影", "en": "Winter film"},
        "revision": 1,
        "book_hash": "ef" * 32,
        "lines": [{"category": "film-ticket", "quantity": 2}],
        "fees": [],
        "list_fen": 8000,
        "pay_fen": 2000,
        "units": 2,
        "claims": [{"key": "winter-film/card", "amount": 2, "max": 2}],
        "proofs": {},
        "granted": "local",
    }
    return body | changes


class WrittenLedger:
    """Writes entries one after another; `messages` are all of them."""

    def __init__(self, terminal: str = "bj-0001") -> None:
        self.terminal = terminal
        self.messages: list[EntryMessage] = []
        self._hash = GENESIS

    @property
    def next_sequence(self) -> int:
        return len(self.messages) + 1

    def authorise(self, number: int, **changes: Any) -> EntryMessage:
        return self.write(EntryKind.AUTHORISED, number, sale(**changes))

    def complete(self, number: int) -> EntryMessage:
        return self.write(EntryKind.COMPLETED, number, {"pos_reference": "123456789012"})

    def cancel(self, number: int) -> EntryMessage:
        gives_back = [{"key": "winter-film/card", "amount": 2}]
        return self.write(EntryKind.CANCELLED, number, {"reason": "POS refused", "gives_back": gives_back})

    def void(self, number: int, units: int = 2) -> EntryMessage:
        gives_back = [{"key": "winter-film/card", "amount": units}]
        body = {"reason": "mistake", "units": units, "list_fen": 4000 * units, "pay_fen": 1000 * units}
        return self.write(EntryKind.VOIDED, number, {**body, "gives_back": gives_back})

    def write(self, kind: EntryKind, number: int, body: dict[str, Any], **fields: Any) -> EntryMessage:
        """Any entry; `fields` replace those of a good one."""
        entry: dict[str, Any] = {
            "v": 1,
            "terminal": self.terminal,
            "sequence": self.next_sequence,
            "previous": self._hash.hex(),
            "kind": kind,
            "redemption": redemption_id(number),
            "at": instant(NOON + timedelta(seconds=self.next_sequence)),
            "monotonic_ms": 1000 * self.next_sequence,
            "boot": "boot-1",
            "hq_time": None,
            "cashier": "c01",
            "body": body,
        }
        return self.write_raw(canonical(Entry(**(entry | fields))).decode())

    def write_raw(self, text: str) -> EntryMessage:
        """Any text at all, well chained."""
        self._hash = entry_hash(self._hash, text.encode())
        message = EntryMessage(sequence=self.next_sequence, hash=self._hash.hex(), body=text)
        self.messages.append(message)
        return message

    def batch(self, first: int = 1, last: int | None = None) -> EntryBatch:
        """The entries from `first` to `last`, both included."""
        return EntryBatch(terminal=self.terminal, entries=tuple(self.messages[first - 1 : last]))

    def fork(self) -> WrittenLedger:
        """A copy that goes its own way from here: a restored backup, a cloned disk."""
        return copy.deepcopy(self)


def known_ledger(storage: Storage, terminal: str, public_key: str | None = None) -> WrittenLedger:
    """The empty ledger of a terminal that headquarters knows (by any key unless one is given, in hex)."""
    with storage.write() as connection:
        added = fleet.add(
            connection,
            terminal=terminal,
            merchant=MERCHANT,
            site=SITE,
            public_key=public_key or uuid.uuid5(uuid.NAMESPACE_OID, terminal).hex * 2,
            version="0.1.0",
            now=NOON,
        )
    assert added
    return WrittenLedger(terminal)
