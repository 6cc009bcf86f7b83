"""How the whole terminal stands at one moment, for `/healthz`, the status page and the support dump."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from config.errors import JingkaError
from config.settings import TerminalSettings
from drivers.outcomes import Outcomes
from drivers.supervision import Supervisor
from sync.agent import Agent
from sync.elsewhere import UsageElsewhere
from sync.grants import UsageFeed
from sync.holds import Holds
from terminal.counter import Counter
from terminal.ledger.clock import SystemClock
from terminal.ledger.ledger import Ledger
from terminal.membership.desk import MembershipDesk
from terminal.vouchers.desk import VoucherDesk
from terminal.vouchers.register import VouchersMissing
from terminal.web.parts import GrantsNow, StatusNow, UnspentSlice, VouchersNow

if TYPE_CHECKING:
    from sync.wire import Condition

DISTRIBUTION = "jingka-terminal"


def condition_told(now: StatusNow, boot: str) -> Condition:
    """What headquarters is told of this terminal with each heartbeat."""
    from sync.wire import LABEL_CHARS_MAX, READERS_MAX, Condition, ReaderCondition

    return Condition(
        version=now.version,
        boot=boot,
        book=None if now.book_revision is None else str(now.book_revision),
        roll=now.roll_revision or None,
        vouchers=(now.vouchers.version or None) if now.vouchers else None,
        oldest_s=now.headquarters.oldest_s if now.headquarters else None,
        readers=tuple(
            ReaderCondition(name=reader.name[:LABEL_CHARS_MAX], state=reader.state.value)
            for reader in now.readers[:READERS_MAX]
        ),
    )


class Status:
    """Asks every part; a part that cannot answer becomes one of the faults."""

    def __init__(
        self,
        settings: TerminalSettings,
        *,
        counter: Counter,
        desk: MembershipDesk,
        ledger: Ledger,
        agent: Agent,
        supervisor: Supervisor,
        outcomes: Outcomes,
        clock: SystemClock,
        keys_fault: JingkaError | None,
        vouchers: VoucherDesk,
        elsewhere: UsageElsewhere,
        holds: Holds,
    ) -> None:
        self._settings = settings
        self._counter = counter
        self._desk = desk
        self._ledger = ledger
        self._agent = agent
        self._supervisor = supervisor
        self._outcomes = outcomes
        self._clock = clock
        self._keys_fault = keys_fault
        self._vouchers = vouchers
        self._elsewhere = elsewhere
        self._holds = holds
        self._version = version(DISTRIBUTION)

    def now(self) -> StatusNow:
        """Everything at this moment; reads a few pages of the roll and asks the ledger, well under a millisecond."""
        faults: list[JingkaError] = [] if self._keys_fault is None else [self._keys_fault]
        revision, offers, cards, roll_revision = None, 0, None, ""
        try:
            book = self._counter.book
            revision, offers = book.revision, len(book.offers)
            if self._counter.book_fault is not None:
                faults.append(self._counter.book_fault)
        except JingkaError as error:
            faults.append(error)
        try:
            condition = self._desk.check()
            cards, roll_revision = condition.roll.count, condition.roll.revision
        except JingkaError as error:
            faults.append(error)
        register = None
        try:
            register = self._vouchers.check()
        except JingkaError as error:
            if self._vouchers.expected or not isinstance(error, VouchersMissing):
                faults.append(error)
        if self._elsewhere.fault is not None:
            faults.append(self._elsewhere.fault)
        faults += self._agent.feed_faults().values()
        terminal = self._settings.terminal
        return StatusNow(
            terminal=terminal.name,
            merchant=terminal.merchant,
            site=terminal.site,
            version=self._version,
            readers=self._supervisor.statuses(),
            headquarters=self._agent.status() if self._settings.headquarters.url else None,
            ledger=self._ledger.health(),
            book_revision=revision,
            book_offers=offers,
            roll_cards=cards,
            roll_revision=roll_revision,
            vouchers=VouchersNow(register.count, register.version, register.built) if register else None,
            jumped_ms=self._clock.jumped_ms,
            faults=tuple(faults),
            reads=self._outcomes.history(),
            grants=self._grants() if self._settings.headquarters.url else None,
        )

    def _grants(self) -> GrantsNow | None:
        """What may be spent and what is known of other shops; None: headquarters never granted or told anything."""
        try:
            standing = self._ledger.allowances.standing()
        except JingkaError:
            return None  # the ledger's own part of the page says why
        lease, told = standing.lease, self._elsewhere.now
        left_ms = lease.left_ms(self._clock.boot(), self._clock.monotonic_ms())
        unspent = tuple(
            UnspentSlice(offer, limit, self._counter.name_of(offer), left)
            for (offer, limit), left in standing.unspent().items()
        )
        return GrantsNow(
            leased=lease.known,
            left_s=left_ms // 1000,
            ended=lease.ended,
            unspent=unspent,
            usage_keys=len(told),
            usage_as_of=self._usage_as_of(),
            holds=self._holds.last,
        )

    def _usage_as_of(self) -> datetime | None:
        """Up to when what others used is known: the last contact, as long as every change since came through."""
        told = self._elsewhere.now.told
        if not told:
            return None
        contact = None if UsageFeed.name in self._agent.feed_faults() else self._agent.status().last_contact
        return contact or datetime.fromisoformat(told)
