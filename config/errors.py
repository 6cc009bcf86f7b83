"""The one error tree of the house, and the words it speaks.

Every fault that a person may meet is one of these classes. Each holds the operation, its subject, what happened and the
next step (zh and en), and a retry class that tells the machinery what to do without reading the text:

- `retry`: the same call may succeed later (a line that is down, a card that was pulled);
- `park`:  set this one thing aside with its reason and go on with the next;
- `stop`:  nothing of this kind may go on until a person has acted (a damaged ledger, a wrong setting).

The tree, kept honest by `tests/config/test_errors.py` and redrawn by `python -m tests.config.error_tree`:

JingkaError
├── SettingsInvalid (config.settings)
├── SettingsMissing (config.settings)
├── CardError (drivers.card)
│   ├── CardRefused (drivers.card)
│   ├── CardRemoved (drivers.card)
│   ├── DeviceCard (drivers.card)
│   ├── MalformedCard (drivers.card)
│   │   ├── StripeUnread (drivers.magstripe)
│   │   └── WrongTrack (drivers.magstripe)
│   ├── NotACard (drivers.card)
│   ├── UseTheChip (drivers.chip_first)
│   ├── CommandForbidden (drivers.pboc.exchange)
│   ├── CardSilent (drivers.pcsc_service)
│   ├── CardTooSlow (drivers.pcsc_visit)
│   └── RadioFailed (drivers.pn532.commands)
├── ReaderError (drivers.card)
│   ├── ReaderBusy (drivers.card)
│   │   ├── PortBusy (drivers.port)
│   │   └── InputBusy (drivers.wedge.device)
│   ├── ReaderForbidden (drivers.card)
│   │   └── InputForbidden (drivers.wedge.device)
│   ├── ReaderMissing (drivers.card)
│   ├── ReaderNoise (drivers.card)
│   │   ├── FrameCheckFailed (drivers.framing.faults)
│   │   ├── FrameCutOff (drivers.framing.faults)
│   │   ├── FrameParity (drivers.framing.faults)
│   │   ├── FrameTooLong (drivers.framing.faults)
│   │   ├── FrameUnreadable (drivers.framing.faults)
│   │   ├── ModuleNoise (drivers.pn532.link)
│   │   └── OnlyNoise (drivers.swipes)
│   ├── ReaderServiceDown (drivers.card)
│   ├── NothingHeard (drivers.detect)
│   ├── NothingRecognised (drivers.detect)
│   ├── FrameUnknown (drivers.framing.faults)
│   ├── CardReset (drivers.pcsc_service)
│   ├── ReaderStuck (drivers.pcsc_visit)
│   ├── ModuleAnswerUnknown (drivers.pn532.commands)
│   ├── ModuleRefused (drivers.pn532.link)
│   ├── ModuleSilent (drivers.pn532.link)
│   ├── PortSettingsRefused (drivers.port)
│   ├── ReaderCrashed (drivers.supervision)
│   ├── PortUnread (drivers.virtual.pty)
│   └── InputDeviceWrong (drivers.wedge.device)
├── SchemeKeysError (drivers.pboc.authenticity.keys)
│   ├── SchemeKeyMismatch (drivers.pboc.authenticity.keys)
│   ├── SchemeKeyTwice (drivers.pboc.authenticity.keys)
│   ├── SchemeKeysDamaged (drivers.pboc.authenticity.keys)
│   └── SchemeKeysMissing (drivers.pboc.authenticity.keys)
├── TranscriptDamaged (drivers.transcript)
├── SyncError (sync.errors)
│   ├── AddressInvalid (sync.errors)
│   ├── AgentFailed (sync.errors)
│   ├── AlreadyEnrolled (sync.errors)
│   ├── AnswerUnverified (sync.errors)
│   ├── BodyTooLarge (sync.errors)
│   ├── ChainForked (sync.errors)
│   ├── ClockSkewed (sync.errors)
│   ├── CodeMistyped (sync.errors)
│   ├── CodeRefused (sync.errors)
│   ├── EncodingUnknown (sync.errors)
│   ├── EnrolmentDamaged (sync.errors)
│   ├── HeadquartersBusy (sync.errors)
│   ├── HeadquartersFailing (sync.errors)
│   ├── HeadquartersRefused (sync.errors)
│   ├── HeadquartersUntrusted (sync.errors)
│   ├── KeyDamaged (sync.errors)
│   ├── KeyExists (sync.errors)
│   ├── KeyExposed (sync.errors)
│   ├── KeyMissing (sync.errors)
│   ├── LeaseFrozen (sync.errors)
│   ├── LeaseOutdated (sync.errors)
│   ├── LineDown (sync.errors)
│   ├── MessageMalformed (sync.errors)
│   ├── NonceReplayed (sync.errors)
│   ├── NonceStoreFull (sync.errors)
│   ├── NotEnrolled (sync.errors)
│   ├── OutboxBroken (sync.errors)
│   ├── ReceiptInvalid (sync.errors)
│   ├── SequenceGap (sync.errors)
│   ├── SignatureInvalid (sync.errors)
│   ├── SignatureMissing (sync.errors)
│   ├── TerminalRefused (sync.errors)
│   ├── TerminalRevoked (sync.errors)
│   ├── TerminalUnknown (sync.errors)
│   ├── UsageSetDamaged (sync.errors)
│   ├── UsageSetNotKept (sync.errors)
│   ├── ReleaseSuccessionBroken (sync.release_keys)
│   ├── BookDamaged (sync.released_book)
│   ├── BookNotMeant (sync.released_book)
│   ├── BookOlder (sync.released_book)
│   ├── ReleaseKeyChanged (sync.released_book)
│   └── ReleasedBookDamaged (sync.released_book)
├── HeadquartersError (sync.headquarters.errors)
│   ├── BookNotReleased (sync.headquarters.books.errors)
│   ├── DraftChanged (sync.headquarters.books.errors)
│   ├── DraftMissing (sync.headquarters.books.errors)
│   ├── DraftOutOfStep (sync.headquarters.books.errors)
│   ├── DraftOutdated (sync.headquarters.books.errors)
│   ├── DraftUnfit (sync.headquarters.books.errors)
│   ├── DraftUnreadable (sync.headquarters.books.errors)
│   ├── DraftsFull (sync.headquarters.books.errors)
│   ├── OwnDraft (sync.headquarters.books.errors)
│   ├── ReleaseKeyMissing (sync.headquarters.books.errors)
│   ├── ReleaseMissing (sync.headquarters.books.errors)
│   ├── ReleaseNewest (sync.headquarters.books.errors)
│   ├── RolloutBackwards (sync.headquarters.books.errors)
│   ├── RolloutIdle (sync.headquarters.books.errors)
│   ├── TargetInvalid (sync.headquarters.books.errors)
│   ├── NothingToDecide (sync.headquarters.errors)
│   ├── PeriodTooLong (sync.headquarters.errors)
│   ├── PortUnavailable (sync.headquarters.errors)
│   ├── StorageNewer (sync.headquarters.errors)
│   ├── StorageUnavailable (sync.headquarters.errors)
│   ├── StorageUnsupported (sync.headquarters.errors)
│   ├── SuccessionsFull (sync.headquarters.errors)
│   ├── TerminalMissing (sync.headquarters.errors)
│   ├── TerminalTaken (sync.headquarters.errors)
│   ├── TooManyAttempts (sync.headquarters.errors)
│   ├── WorkersNeedPostgresql (sync.headquarters.errors)
│   ├── ComplaintMissing (sync.headquarters.money.errors)
│   ├── ConflictMissing (sync.headquarters.money.errors)
│   ├── EarlierMonthOpen (sync.headquarters.money.errors)
│   ├── MonthNotOver (sync.headquarters.money.errors)
│   ├── NothingToCharge (sync.headquarters.money.errors)
│   ├── SettlementChanged (sync.headquarters.money.errors)
│   ├── SettlementOpen (sync.headquarters.money.errors)
│   ├── TermsSettled (sync.headquarters.money.errors)
│   ├── TooManyTerms (sync.headquarters.money.terms)
│   ├── LeaseRunning (sync.headquarters.pools.errors)
│   ├── PoolMissing (sync.headquarters.pools.errors)
│   ├── TerminalInQuarantine (sync.headquarters.pools.errors)
│   ├── MembersError (sync.headquarters.roll.errors)
│   │   ├── HashingKeyForeign (sync.headquarters.roll.errors)
│   │   ├── HashingKeyMissing (sync.headquarters.roll.errors)
│   │   ├── ImportMissing (sync.headquarters.roll.errors)
│   │   ├── ImportSettled (sync.headquarters.roll.errors)
│   │   ├── MemberKnown (sync.headquarters.roll.errors)
│   │   ├── MemberMissing (sync.headquarters.roll.errors)
│   │   ├── SecondPersonNeeded (sync.headquarters.roll.errors)
│   │   ├── SnapshotMissing (sync.headquarters.roll.errors)
│   │   ├── StandingRefused (sync.headquarters.roll.errors)
│   │   └── ValidityRefused (sync.headquarters.roll.errors)
│   └── VoucherDeskError (sync.headquarters.vouchers.errors)
│       ├── RegisterReplaced (sync.headquarters.vouchers.errors)
│       ├── VoucherCodeMistyped (sync.headquarters.vouchers.errors)
│       ├── VoucherListMissing (sync.headquarters.vouchers.errors)
│       ├── VoucherListOutdated (sync.headquarters.vouchers.errors)
│       ├── VoucherListSettled (sync.headquarters.vouchers.errors)
│       ├── VoucherOfferMissing (sync.headquarters.vouchers.errors)
│       └── VoucherUnregistered (sync.headquarters.vouchers.errors)
├── BookNotTaken (terminal.book_in_force)
├── PortNotChosen (terminal.commands.detect)
├── DiskNearlyFull (terminal.commands.inspect)
├── LedgerNotWhole (terminal.commands.inspect)
├── DaemonSilent (terminal.commands.queue)
├── ReaderAlreadySet (terminal.commands.settings_file)
├── SettingsNotWritten (terminal.commands.settings_file)
├── CardMeanwhile (terminal.counter)
├── ManualEntryOff (terminal.counter)
├── PresentationGone (terminal.counter)
├── EnrolledElsewhere (terminal.daemon)
├── DemoNotReady (terminal.demo)
├── ReaderChoiceUnknown (terminal.demo)
├── DemoCardUnknown (terminal.demo_cards)
├── QuoteExpired (terminal.held_quotes)
├── QuoteMoved (terminal.held_quotes)
├── SaleRefused (terminal.held_quotes)
├── LedgerError (terminal.ledger.errors)
│   ├── CardNumberTyped (terminal.ledger.errors)
│   ├── EntryInvalid (terminal.ledger.errors)
│   ├── HoldLate (terminal.ledger.errors)
│   ├── LedgerBusy (terminal.ledger.errors)
│   ├── LedgerMissing (terminal.ledger.errors)
│   ├── LedgerStopped (terminal.ledger.errors)
│   │   ├── LedgerDamaged (terminal.ledger.errors)
│   │   ├── LedgerDisk (terminal.ledger.errors)
│   │   ├── LedgerForked (terminal.ledger.errors)
│   │   ├── LedgerFull (terminal.ledger.errors)
│   │   ├── LedgerLocked (terminal.ledger.errors)
│   │   └── LedgerNewer (terminal.ledger.errors)
│   ├── LimitMoved (terminal.ledger.errors)
│   ├── RedemptionConflict (terminal.ledger.errors)
│   └── RedemptionUnknown (terminal.ledger.errors)
├── MembershipError (terminal.membership.token)
│   ├── CardListError (terminal.membership.card_list)
│   │   └── CardListInvalid (terminal.membership.card_list)
│   ├── IssuerRangeInvalid (terminal.membership.desk)
│   ├── RollError (terminal.membership.roll)
│   │   ├── RollNotWritten (terminal.membership.build)
│   │   ├── RollTooLarge (terminal.membership.build)
│   │   ├── RollDamaged (terminal.membership.roll)
│   │   ├── RollKeyMismatch (terminal.membership.roll)
│   │   └── RollMissing (terminal.membership.roll)
│   └── ProgrammeKeyError (terminal.membership.token)
│       ├── ProgrammeKeyExists (terminal.membership.token)
│       ├── ProgrammeKeyExposed (terminal.membership.token)
│       ├── ProgrammeKeyMalformed (terminal.membership.token)
│       └── ProgrammeKeyMissing (terminal.membership.token)
├── BookInvalid (terminal.offers.book)
├── BookMissing (terminal.offers.book)
├── BookSignatureInvalid (terminal.offers.signature)
├── BookUnsigned (terminal.offers.signature)
├── CardNotAccepted (terminal.presentation)
├── RedemptionIdInvalid (terminal.redemption_id)
├── DayAhead (terminal.reports.day_close)
├── DayNotClosed (terminal.reports.day_close)
├── PeopleInvalid (terminal.serving.people)
├── PeopleMissing (terminal.serving.people)
├── PersonKnown (terminal.serving.people)
├── PinUnusable (terminal.serving.people)
├── WebError (terminal.serving.problems)
│   ├── PinLocked (terminal.serving.lockouts)
│   ├── PinWrong (terminal.serving.people)
│   ├── ForeignRequest (terminal.serving.problems)
│   ├── RequestTooLarge (terminal.serving.problems)
│   ├── RoleMissing (terminal.serving.problems)
│   ├── SignInRequired (terminal.serving.problems)
│   ├── TooManyStreams (terminal.serving.problems)
│   ├── WrongHost (terminal.serving.problems)
│   └── PosReferenceInvalid (terminal.web.counter_page)
├── ExpiryMistyped (terminal.typed_card)
├── NumberMistyped (terminal.typed_card)
└── VouchersError (terminal.vouchers.register)
    ├── VouchersNotWritten (terminal.vouchers.build)
    ├── VouchersTooMany (terminal.vouchers.build)
    ├── VouchersDamaged (terminal.vouchers.register)
    ├── VouchersKeyMismatch (terminal.vouchers.register)
    ├── VouchersMissing (terminal.vouchers.register)
    └── VoucherListError (terminal.vouchers.voucher_list)
        ├── VoucherListExists (terminal.vouchers.issue)
        ├── VoucherListNotWritten (terminal.vouchers.issue)
        └── VoucherListInvalid (terminal.vouchers.voucher_list)
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Literal

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")  # zh first: it is the default everywhere


class Retry(StrEnum):
    """What the caller's machinery does with an error, without reading its text."""

    RETRY = "retry"
    PARK = "park"
    STOP = "stop"


class _Lenient(string.Formatter):
    """Fills `{name}` with `?` when the number is missing: a message about a fault must not be a second fault."""

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> Any:
        return kwargs.get(str(key), "?")


_FORMATTER = _Lenient()


@dataclass(frozen=True, slots=True)
class Words:
    """One sentence in both languages, with `{name}` places for numbers."""

    zh: str
    en: str

    def text(self, language: Language, **numbers: object) -> str:
        """The sentence in `language` with its places filled; a missing number shows as `?`."""
        return _FORMATTER.vformat(self.zh if language == "zh" else self.en, (), numbers)


class JingkaError(Exception):
    """The root: what was being done, to what, what happened, what to do next, and how machinery should react.

    `details` fill the places of `what` and `hint` and travel to pages and problem documents, so they must never hold a
    card number: pass a `Pan` (it masks itself) or nothing.
    """

    code: ClassVar[str] = "error"
    retry: ClassVar[Retry] = Retry.STOP
    what: ClassVar[Words] = Words("操作失败", "the operation failed")
    hint: ClassVar[Words] = Words("请联系技术支持", "call support")

    def __init__(self, operation: str, subject: str, **details: object) -> None:
        self.operation = operation
        self.subject = subject
        self.details = details
        super().__init__(operation, subject)

    def what_text(self, language: Language) -> str:
        """What happened, for a person."""
        return self.what.text(language, subject=self.subject, **self.details)

    def hint_text(self, language: Language) -> str:
        """The person's next step."""
        return self.hint.text(language, subject=self.subject, **self.details)

    def __str__(self) -> str:
        return f"{self.operation} {self.subject}: {self.what_text('en')} ({self.hint_text('en')})"
