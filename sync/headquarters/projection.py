"""From the entries of one batch to redemptions and findings. Pure; the rules are the ledger's own (`apply`).

Headquarters refuses no fact. An entry that breaks a rule stays in the terminal's ledger here like any other; a finding
says what is wrong with it, and nothing behind it waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from pydantic import TypeAdapter

from sync.errors import MessageMalformed
from sync.wire import EntryMessage, parse_timestamp
from terminal.ledger.entry import Entry, EntryKind, parse_entry
from terminal.ledger.errors import EntryInvalid, RedemptionConflict
from terminal.ledger.project import Redemption, apply

# Ten thousand million yuan: no sale, and small enough that the sum of all redemptions there can be fits a BIGINT.
AMOUNT_MAX: Final = 10**12
DETAIL_CHARS_MAX: Final = 200

_RECORD: Final = TypeAdapter(Redemption)


class FlagCode(StrEnum):
    """What headquarters finds fault with; a closed list, each with its words on the pages."""

    UNREADABLE = "unreadable"  # no entry of a form known here: kept raw, for a person or a later version
    MISPLACED = "misplaced"  # names another terminal, number or predecessor than the place it stands in
    WITHOUT_AUTHORISATION = "without-authorisation"  # a step of a redemption that was never authorised
    OUT_OF_STEP = "out-of-step"  # a step that does not follow from the state before
    FOREIGN_REDEMPTION = "foreign-redemption"  # the redemption is another terminal's
    OTHER_MERCHANT = "other-merchant"  # sold for a merchant or site that the terminal was not enrolled for
    OVER_LIMIT = "over-limit"  # more was given citywide than a limit allows
    NOT_MEMBER_THEN = "not-member-then"  # by the roll, the card was no active member's at the time
    UNKNOWN_OFFER = "unknown-offer"  # the book or the offer was never released for this terminal
    WRONG_CLOCK = "wrong-clock"  # a time that cannot be
    AFTER_LEASE = "after-lease"  # more of a pool was spent than had been granted


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of one entry; `detail` is for a person and holds no personal data."""

    sequence: int
    code: FlagCode
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Whose ledger it is: the terminal, and the merchant and site it was enrolled for."""

    terminal: str
    merchant: str
    site: str


@dataclass(frozen=True, slots=True)
class Owned:
    """A redemption that headquarters has, and the terminal that it belongs to."""

    terminal: str
    redemption: Redemption


@dataclass(slots=True)
class Change:
    """A redemption after the steps `sequences` of a batch."""

    redemption: Redemption
    sequences: list[int]

    @property
    def row(self) -> dict[str, Any]:
        """The redemption's columns; made anew each time."""
        return row_of(self.redemption)


@dataclass(slots=True)
class Folded:
    """What a batch makes of redemptions (by id), and what it finds fault with."""

    changes: dict[str, Change] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def find(self, sequence: int, code: FlagCode, detail: object = "") -> None:
        """Note a fault. `detail` comes from a terminal, so it is cut, and rid of what PostgreSQL's text cannot hold."""
        self.findings.append(Finding(sequence, code, str(detail).replace("\0", "")[:DETAIL_CHARS_MAX]))


def read_entry(message: EntryMessage) -> Entry | EntryInvalid:
    """The entry in a message, or why there is none."""
    return read_entry_bytes(message.body.encode())


def read_entry_bytes(body: bytes) -> Entry | EntryInvalid:
    """The entry in these bytes, or why there is none."""
    try:
        return parse_entry(body)
    except EntryInvalid as error:
        return error


def fold(
    place: Place,
    previous: str,
    messages: Sequence[EntryMessage],
    read: Sequence[Entry | EntryInvalid],
    known: Mapping[str, Owned],
) -> Folded:
    """Take the entries of a batch, in order, into the redemptions that are `known` before it.

    `messages` continue the chain after the hash `previous` (hex); `read` are the entries in them.
    """
    folded = Folded()
    for message, entry in zip(messages, read, strict=True):
        if isinstance(entry, EntryInvalid):
            folded.find(message.sequence, FlagCode.UNREADABLE, entry.details.get("reason", ""))
        elif (entry.terminal, entry.sequence, entry.previous) != (place.terminal, message.sequence, previous):
            folded.find(message.sequence, FlagCode.MISPLACED, f"{entry.sequence} {entry.terminal}")
        else:
            _take(place, entry, known.get(entry.redemption), folded)
        previous = message.hash
    return folded


def fold_apart(place: Place, read: Sequence[tuple[int, Entry | EntryInvalid]], known: Mapping[str, Owned]) -> Folded:
    """As `fold`, for entries (with their numbers, in order) that stand outside the chain."""
    folded = Folded()
    for sequence, entry in read:
        if isinstance(entry, EntryInvalid):
            folded.find(sequence, FlagCode.UNREADABLE, entry.details.get("reason", ""))
        elif entry.terminal != place.terminal:
            folded.find(sequence, FlagCode.MISPLACED, f"{entry.sequence} {entry.terminal}")
        else:
            _take(place, entry, known.get(entry.redemption), folded)
    return folded


def _take(place: Place, entry: Entry, before: Owned | None, folded: Folded) -> None:
    """Apply one readable entry."""
    if before is not None and before.terminal != place.terminal:
        folded.find(entry.sequence, FlagCode.FOREIGN_REDEMPTION, entry.redemption)
        return
    change = folded.changes.get(entry.redemption)
    state = change.redemption if change else before.redemption if before else None
    try:
        after = apply(state, entry)
        if state is None:
            check_storable(after)  # a later step only lowers what the authorisation brought
    except (EntryInvalid, MessageMalformed) as error:
        folded.find(entry.sequence, FlagCode.UNREADABLE, error.details.get("reason", ""))
        return
    except RedemptionConflict as error:
        alone = state is None and entry.kind is not EntryKind.AUTHORISED
        code = FlagCode.WITHOUT_AUTHORISATION if alone else FlagCode.OUT_OF_STEP
        folded.find(entry.sequence, code, f"{entry.redemption} {error.details['reason']}")
        return
    if change:
        change.redemption = after
        change.sequences.append(entry.sequence)
    else:
        folded.changes[entry.redemption] = Change(after, [entry.sequence])
    if state is None and (after.merchant, after.site) != (place.merchant, place.site):
        folded.find(entry.sequence, FlagCode.OTHER_MERCHANT, f"{after.merchant} {after.site}")


_TEXTS: Final = ("merchant", "site", "offer", "masked", "cashier", "granted")
_NUMBERS: Final = ("units", "voided_units", "list_fen", "pay_fen", "voided_list_fen", "voided_pay_fen")


def check_storable(redemption: Redemption) -> None:
    """Find what the database could not hold here, not in the middle of a transaction.

    Raises `EntryInvalid` and, for a time in no calendar, `MessageMalformed`.
    """
    for name in _TEXTS:
        if "\0" in getattr(redemption, name):  # PostgreSQL's text holds every character but this one
            raise EntryInvalid("store", "redemption", reason=f"{name}: a NUL character")
    for name in _NUMBERS:
        if getattr(redemption, name) > AMOUNT_MAX:
            raise EntryInvalid("store", "redemption", reason=f"{name}: beyond {AMOUNT_MAX}")
    parse_timestamp(redemption.authorised_at)


ROW_COLUMNS: Final = (
    "id",
    "sequence",
    "state",
    *_TEXTS,
    *_NUMBERS,
    "member",
    "business_day",
    "authorised_at",
    "record",
)


def row_of(redemption: Redemption) -> dict[str, Any]:
    """The columns (`ROW_COLUMNS`, in that order) that a redemption that passed `check_storable` fills by itself."""
    return {
        "id": redemption.id,
        "sequence": redemption.sequence,
        "state": redemption.state.value,
        "merchant": redemption.merchant,
        "site": redemption.site,
        "offer": redemption.offer,
        "masked": redemption.masked,
        "cashier": redemption.cashier,
        "granted": redemption.granted,
        "units": redemption.units,
        "voided_units": redemption.voided_units,
        "list_fen": redemption.list_fen,
        "pay_fen": redemption.pay_fen,
        "voided_list_fen": redemption.voided_list_fen,
        "voided_pay_fen": redemption.voided_pay_fen,
        "member": redemption.token,
        "business_day": redemption.business_day,
        "authorised_at": parse_timestamp(redemption.authorised_at),
        "record": _RECORD.dump_json(redemption).decode(),
    }


def redemption_of(record: str) -> Redemption:
    """The redemption as `row_of` put it into its `record`."""
    return _RECORD.validate_json(record)
