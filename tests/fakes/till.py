"""A whole till for tests of its pages and API: the real counter, rules, ledger and hub; only the desk is a fake.

The winter campaign's first evening, at a cinema that also takes in laundry and sells park passes, so that one card
meets every kind of form.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

from config.errors import JingkaError, Retry
from config.settings import CounterSection
from config.zone import SHANGHAI
from drivers.card import Authenticity, AuthenticityReason, CardError, CardRead, EntryMode, Expiry, NotACard, Pan
from drivers.outcomes import ReadHistory
from drivers.reader import ReaderState, ReaderStatus
from terminal.counter import Counter
from terminal.ledger.ledger import Ledger
from terminal.membership.desk import Identification, MembershipDesk
from terminal.membership.standing import Member, MemberClass, Standing
from terminal.offers.book import LoadedBook, parse_book
from terminal.offers.model import Where
from terminal.offers.sale import Place
from terminal.presentation import ACCEPTED_BY_DEFAULT
from terminal.reports.day_close import DayCloses
from terminal.rights import Holder
from terminal.serving.hub import Hub
from terminal.serving.people import People
from terminal.usage import Elsewhere
from terminal.vouchers.desk import VoucherDesk
from terminal.web.parts import GrantsNow, StatusNow, VouchersNow, WebParts
from tests.fakes.clock import SteppedClock

BOOK = Path(__file__).parents[2] / "config" / "books" / "winter-2012.toml"
CINEMA = Place("gongren-julebu", "main", "t01")
READER = "virtual"
COUNTER = CounterSection(manual_entry=True)
FIRST_EVENING = datetime(2012, 12, 25, 2, 30, tzinfo=UTC)  # 10:30 in Beijing, within the parks' hours


class NoSuchCard(CardError):
    """The demonstration has no card of this name."""

    code = "no-such-card"
    retry = Retry.PARK


@dataclass(frozen=True)
class HeldCard:
    """A card in a drawer, and what the desk knows of it."""

    pan: str
    standing: Standing
    member_class: MemberClass = MemberClass.ORDINARY
    entry_mode: EntryMode = EntryMode.CONTACTLESS
    authenticity: Authenticity = Authenticity.UNVERIFIED
    reason: AuthenticityReason | None = None
    device_hint: bool = False


CARDS: Mapping[str, HeldCard] = {
    "member": HeldCard("6210947000000021", Standing.ACTIVE),
    "model-worker": HeldCard("6217790001000000030", Standing.ACTIVE, MemberClass.MODEL_WORKER, EntryMode.CONTACT),
    "suspended": HeldCard("6212345678901265", Standing.SUSPENDED, entry_mode=EntryMode.STRIPE),
    "expired": HeldCard("6212345678900000003", Standing.EXPIRED),
    "stranger": HeldCard("6231200100000000217", Standing.UNKNOWN),
    "other-bank": HeldCard("6250946000000016", Standing.OTHER_ISSUER),
    "telephone": HeldCard("6210947000000104", Standing.UNKNOWN, device_hint=True),
    "proved": HeldCard("6210947000000112", Standing.ACTIVE, authenticity=Authenticity.DDA),
    "doubtful": HeldCard(
        "6210947000000120",
        Standing.ACTIVE,
        entry_mode=EntryMode.CONTACT,
        authenticity=Authenticity.FAILED,
        reason=AuthenticityReason.SIGNATURE,
    ),
    "fallen-back": HeldCard(
        "6210947000000138", Standing.ACTIVE, entry_mode=EntryMode.FALLBACK, authenticity=Authenticity.STRIPE
    ),
}


class FakeDesk:
    """Knows the cards of the drawer; `fault` is raised instead while it is set."""

    def __init__(self) -> None:
        self.fault: JingkaError | None = None

    def identify(self, read: CardRead, today: date) -> Identification:
        if self.fault is not None:
            raise self.fault
        card = next(card for card in CARDS.values() if Pan(card.pan) == read.pan)
        token = "v1:" + read.pan.keyed_hash(b"a key for tests only").hex()
        genuine = read.authenticity is Authenticity.DDA
        member = Member(token, token, card.standing, card.member_class, None, genuine)
        return Identification(member, read.pan.masked, None, None, card.standing is Standing.EXPIRED)


@dataclass(frozen=True)
class FakeSync:
    """How sync stands, as told."""

    enrolled: bool = True
    online: bool = True
    waiting: int = 0
    oldest_s: int | None = None
    last_contact: datetime | None = FIRST_EVENING
    skew_ms: int | None = 40
    last_error: JingkaError | None = None


@dataclass
class Till:
    """The parts of one till, and the hands that play with it."""

    counter: Counter
    ledger: Ledger
    desk: FakeDesk
    hub: Hub
    clock: SteppedClock
    sync: FakeSync | None = field(default_factory=FakeSync)
    readers: tuple[ReaderStatus, ...] = (ReaderStatus(READER, "virtual", ReaderState.READY, 0),)
    faults: tuple[JingkaError, ...] = ()
    reads: ReadHistory = field(default_factory=ReadHistory)
    grants: GrantsNow | None = None
    vouchers: VouchersNow | None = None

    def present(self, name: str) -> None:
        """Hold a card of the drawer to the reader."""
        card = CARDS[name]
        self.counter.card_read(
            CardRead(
                pan=Pan(card.pan),
                expiry=Expiry(2030, 12),
                entry_mode=card.entry_mode,
                reader=READER,
                authenticity=card.authenticity,
                service_code=None,
                finished_ns=time.monotonic_ns(),
                read_ms=1.0,
                authenticity_reason=card.reason,
                device_hint=card.device_hint,
            )
        )

    def fail(self) -> None:
        """Hold something to the reader that is no card."""
        self.counter.card_failed(READER, NotACard("read card", READER, reason_zh="6A82", reason_en="6A82"))

    def status(self) -> StatusNow:
        book = self.counter.book
        return StatusNow(
            terminal=CINEMA.terminal,
            merchant="北京工人俱乐部电影城",
            site="大厅",
            version="0.1.0",
            readers=self.readers,
            headquarters=self.sync,
            ledger=self.ledger.health(),
            book_revision=book.revision,
            book_offers=len(book.offers),
            roll_cards=5_000_000,
            roll_revision="2012-12-24",
            jumped_ms=0,
            faults=self.faults,
            reads=self.reads,
            grants=self.grants,
            vouchers=self.vouchers,
        )

    def today(self) -> date:
        return self.clock.wall().astimezone(SHANGHAI).date()

    def parts(self, people: People, *, demo: bool = False) -> WebParts:
        """What the web application is joined to."""
        return WebParts(
            counter=self.counter,
            people=people,
            hub=self.hub,
            status=self.status,
            language="zh",
            session_idle_s=600,
            today=self.today,
            closes=DayCloses(self.ledger.path.with_name("day-closes.json"), self.ledger, self.clock.wall),
            on_close=lambda: None,
            demo=FakeDrawer(self) if demo else None,
        )


class FakeDrawer:
    """The demonstration's cards over a till."""

    def __init__(self, till: Till) -> None:
        self._till = till

    def names(self) -> list[dict[str, str]]:
        return [{"name": name, "zh": name, "en": name} for name in CARDS]

    async def present(self, name: str) -> None:
        if name not in CARDS:
            raise NoSuchCard("present card", name[:64])
        self._till.present(name)

    async def remove(self) -> None:
        self._till.counter.clear()


def winter_book() -> LoadedBook:
    """The winter campaign, with laundry and park passes sold at the cinema too."""
    book = parse_book(BOOK.read_bytes(), "toml")
    here = {"winter-film", "winter-laundry", "park-pass"}
    offers = tuple(
        offer.model_copy(update={"where": Where(merchants=(*offer.where.merchants, CINEMA.merchant))})
        if offer.id in here and CINEMA.merchant not in offer.where.merchants
        else offer
        for offer in book.offers
    )
    return LoadedBook.of(book.model_copy(update={"offers": offers}))


def open_till(
    directory: Path,
    *,
    section: CounterSection = COUNTER,
    accept: frozenset[Authenticity] = ACCEPTED_BY_DEFAULT,
    book: LoadedBook | None = None,
    slices: Mapping[str, int] | None = None,
    vouchers: VoucherDesk | None = None,
    place: Place = CINEMA,
    now: datetime = FIRST_EVENING,
    roll: MembershipDesk | None = None,
    holder: Holder | None = None,
    elsewhere: Elsewhere | None = None,
    clock: SteppedClock | None = None,
) -> Till:
    """A till with an empty ledger; `close` its ledger afterwards. `roll`: a real desk instead of the fake one."""
    clock = clock or SteppedClock(now=now)
    ledger = Ledger.open(directory / "ledger.sqlite", place.terminal, clock)
    desk, hub = FakeDesk(), Hub()
    counter = Counter(
        place=place,
        desk=roll or desk,  # type: ignore[arg-type]
        book=book or winter_book(),
        ledger=ledger,
        clock=clock,
        events=hub,
        times=section,
        slices=slices or {"winter-film/pool": 200},
        keep_proof=lambda proof: f"kept-{len(proof)}",
        on_entry=lambda: None,
        accept=accept,
        vouchers=vouchers,
        holder=holder,
        elsewhere=elsewhere,
    )
    return Till(counter, ledger, desk, hub, clock)


def away(till: Till, error: JingkaError, waiting: int = 7, oldest_s: int = 754) -> None:
    """Headquarters does not answer, and entries wait."""
    till.sync = replace(FakeSync(), online=False, waiting=waiting, oldest_s=oldest_s, last_error=error)
