"""One till of a city that is played out: the real counter, ledger, rules, grants and upload; time and line are played.

Power goes, disks are copied and put back, clocks are moved. What the till itself believes about time is its own clock;
`city_ms` is the true time.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from config.errors import JingkaError
from config.settings import CounterSection
from drivers.card import Authenticity, CardRead, EntryMode, Expiry, Pan, luhn_valid
from sync.agent import Agent
from sync.elsewhere import UsageElsewhere
from sync.feeds import Feeds
from sync.grants import Leases, UsageFeed, Wants
from sync.holds import Holds
from sync.line import Exchange
from sync.upload import Upload
from terminal.counter import Counter
from terminal.held_quotes import QuoteMoved, QuoteRequest, SaleRefused
from terminal.ledger.clock import SystemClock, _Mark
from terminal.ledger.errors import LedgerStopped
from terminal.ledger.ledger import Ledger
from terminal.membership.desk import Identification
from terminal.membership.standing import Member, MemberClass, Standing
from terminal.offers.book import LoadedBook
from terminal.offers.sale import Place, SaleLine
from tests.simulation.road import Road, RoadLine, RoadSource, enrolment_of
from tests.simulation.story import Story, Ticket

EPOCH = datetime(2012, 12, 25, 0, 0, tzinfo=UTC)  # 08:00 in Beijing, the campaign's first day
OFFER = "winter-film"
LIST_FEN = 8000
SYNC_TURNS_MAX = 50
READER = "virtual"

Answer = TypeVar("Answer")


class TillClock(SystemClock):
    """A PC's clocks: the wall clock may be wrong, the monotonic one counts from the last start of the machine."""

    def __init__(self, city_ms: Callable[[], int], boot: str, wrong_ms: int) -> None:
        self._city_ms = city_ms
        self._started_ms = city_ms() - 60_000
        self.wrong_ms = wrong_ms
        self._boot = boot
        self._start = _Mark(self.wall(), self.monotonic_ms())
        self._headquarters = None

    def wall(self) -> datetime:
        return EPOCH + timedelta(milliseconds=self._city_ms() + self.wrong_ms)

    def monotonic_ms(self) -> int:
        return self._city_ms() - self._started_ms


class Inline(Executor):
    """Does the work at once, on the caller's thread: so a run has one order."""

    def submit(self, work: Callable[..., Answer], /, *args: Any, **named: Any) -> Future[Answer]:
        done: Future[Answer] = Future()
        try:
            done.set_result(work(*args, **named))
        except Exception as error:  # noqa: BLE001 - an executor hands every exception on
            done.set_exception(error)
        return done

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing runs."""


class UnsignedUpload(Upload):
    """The real upload; who signs what is not played."""

    def _verify(self, exchange: Exchange) -> None:
        """Every answer is headquarters'."""


class RoadAgent(Agent):
    """The real agent, asked for its turns instead of running by itself."""

    road: Road
    merchant: str = ""
    site: str = ""

    def _open(self) -> Upload:
        enrolment = enrolment_of(self.road.terminal, self.merchant, self.site)
        upload = UnsignedUpload(self._outbox, RoadLine(self.road).as_line(), enrolment, self._clock)
        self._following = Feeds(tuple(self._feeds), lambda: self._clock.monotonic_ms() / 1000)  # type: ignore[attr-defined]
        self._source = RoadSource(self.road).as_source()
        return upload

    def goodbye(self) -> None:
        """As when its thread is asked to stop."""
        self._leave()

    def turns(self) -> bool:
        """Until nothing waits and nothing is new; whether the line held."""
        for _ in range(SYNC_TURNS_MAX):
            wait_s, _ = self._turn()
            if wait_s != 0.0:
                break
        return self.online


class Silent:
    """Nobody looks at pages."""

    def publish(self, event: str, data: object) -> None:
        """Heard by nobody."""


class MemberDesk:
    """Everybody in the city is an active member; the number tells which."""

    def identify(self, read: CardRead, today: date) -> Identification:
        token = "v1:" + read.pan.keyed_hash(b"a key for tests only").hex()
        member = Member(token, token, Standing.ACTIVE, MemberClass.ORDINARY, None, True)
        return Identification(member, read.pan.masked, None, None, False)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a customer came for."""

    member: int
    units: int


def card_of(member: int) -> Pan:
    """A test number for each member."""
    body = f"621094700{member:06}"
    return next(Pan(body + digit) for digit in "0123456789" if luhn_valid(body + digit))


class Till:
    """`new_id` mints redemption ids; `loop` runs the counter's coroutines."""

    def __init__(
        self,
        place: Place,
        directory: Path,
        book: LoadedBook,
        road: Road,
        *,
        story: Story,
        city_ms: Callable[[], int],
        chance: random.Random,
        loop: asyncio.AbstractEventLoop,
        new_id: Callable[[], str],
    ) -> None:
        self.place = place
        self.directory = directory
        self.road = road
        self.retired = False  # its disk was put back: a person took it out of use
        self.restored = False
        self._book = book
        self._story = story
        self._city_ms = city_ms
        self._chance = chance
        self._loop = loop
        self._new_id = new_id
        self._boots = 0
        self._wrong_ms = 0
        self._backup: Path | None = None
        directory.mkdir(parents=True)
        self._start(new_boot=True)

    # --- what a cashier does ------------------------------------------------------------------------------------------

    def serve(self, wish: Wish) -> str | None:
        """A customer's whole sale up to the authorisation; the redemption's id when tickets were handed over."""
        if self.retired:
            return None
        for units in dict.fromkeys((wish.units, 1)):
            try:
                redemption = self._loop.run_until_complete(self._sell(wish.member, units))
            except (SaleRefused, QuoteMoved) as refused:
                reasons = refused.refusals if isinstance(refused, SaleRefused) else ()
                code = reasons[0].code.value if reasons else "quote-moved"
                limits = {str(each.numbers.get("limit")) for each in reasons}
                self._story.refused[f"{code} {','.join(sorted(limits))}"] += 1
                wanted_pool = code == "needs-hq" or "pool" in limits
                if wanted_pool and units == 1:
                    self._story.unserved += 1
                continue
            except LedgerStopped as stopped:
                self._story.say(self.place.terminal, f"stopped: {stopped.code}")
                self._story.refused[stopped.code] += 1
                return None
            return redemption
        return None

    async def _sell(self, member: int, units: int) -> str:
        self.counter.clear()
        self.counter.card_read(
            CardRead(
                pan=card_of(member),
                expiry=Expiry(2030, 12),
                entry_mode=EntryMode.CONTACT,
                reader=READER,
                authenticity=Authenticity.DDA,
                service_code=None,
                finished_ns=0,
                read_ms=1.0,
            )
        )
        shown = self.counter.presentation
        assert shown is not None
        line = SaleLine("film-ticket", units, LIST_FEN, {"format": "2d"})
        quoted = await self.counter.quote(QuoteRequest(shown.id, OFFER, (line,), {}))
        if quoted.quote.refusals:
            raise SaleRefused("quote", OFFER, quoted.quote.refusals)
        redemption = self._new_id()
        done = await self.counter.authorise(redemption, quoted.id, "c01")
        if self._chance.random() < 0.1:  # a double click, a page that asks again
            again = await self.counter.authorise(redemption, quoted.id, "c01")
            assert (again.id, again.sequence, again.repeat) == (done.id, done.sequence, True)
        self._story.sold(Ticket(redemption, member, self.place.terminal, units, done.granted))
        return redemption

    def complete(self, redemption: str) -> None:
        """The POS took the money."""
        self._step(redemption, lambda: self.counter.complete(redemption, "c01", None))

    def cancel(self, redemption: str) -> None:
        """It did not."""
        self._step(redemption, lambda: self.counter.cancel(redemption, "c01", "declined"), "cancelled")

    def void(self, redemption: str, units: int) -> None:
        """A mistake found later."""
        self._step(redemption, lambda: self.counter.void(redemption, "m01", "mistake", units), "voided")

    def _step(self, redemption: str, call: Callable[[], Any], back: str = "") -> None:
        if self.retired or self.ledger.redemption(redemption) is None:
            return
        before = _units(self.ledger, redemption)
        try:
            self._loop.run_until_complete(call())
        except JingkaError as error:
            self._story.counts[f"step refused: {error.code}"] += 1
            return
        after = _units(self.ledger, redemption)
        if back and after != before:
            self._story.given_back(redemption, before - after, back)

    # --- what happens to a machine ------------------------------------------------------------------------------------

    def sync(self) -> bool:
        """The agent's turns, as long as something is to be done; whether the line held."""
        if self.retired:
            return False
        online = self.agent.turns()
        fault = self.agent.feed_faults().get("leases")
        if fault is not None and fault.code == "lease-frozen":
            self._story.counts["frozen"] += 1
        return online

    def crash(self) -> None:
        """The daemon is killed and starts again; the machine goes on."""
        if self.retired:
            return
        self._story.say(self.place.terminal, "the daemon was killed")
        self._stop()
        self._start(new_boot=False)

    def reboot(self) -> None:
        """The power went."""
        if self.retired:
            return
        self._story.say(self.place.terminal, "started anew")
        self._stop()
        self._start(new_boot=True)

    def shut_down(self) -> None:
        """The shop closes: the machine is switched off as it should be, and on again in the morning."""
        if self.retired:
            return
        self._story.say(self.place.terminal, "switched off for the night")
        self.agent.goodbye()
        self._stop()
        self._start(new_boot=True)

    def set_clock(self, wrong_ms: int) -> None:
        """Somebody moved the wall clock."""
        self._story.say(self.place.terminal, f"its clock is wrong by {wrong_ms // 1000} s")
        self._wrong_ms = self.clock.wrong_ms = wrong_ms

    def back_up(self) -> None:
        """A copy of the disk, made as a careful owner does."""
        if self.retired:
            return
        self._stop()
        self._backup = self.directory.with_name(self.directory.name + "-backup")
        shutil.rmtree(self._backup, ignore_errors=True)
        shutil.copytree(self.directory, self._backup)
        self._start(new_boot=False)

    def restore(self) -> None:
        """The disk died; the copy takes its place."""
        if self._backup is None or self.retired:
            return
        self._stop()
        shutil.rmtree(self.directory)
        shutil.copytree(self._backup, self.directory)
        self.restored = True
        self._start(new_boot=True)
        kept = 0
        for ticket in self._story.tickets.values():
            if ticket.terminal == self.place.terminal:
                ticket.lost = self.ledger.redemption(ticket.redemption) is None
                kept += not ticket.lost
        self._story.say(self.place.terminal, f"its disk was put back, {kept} sales are on it")

    def close(self) -> None:
        """The end of the run."""
        self._stop()

    def _stop(self) -> None:
        self.holds.close()
        self.ledger.close()

    def _start(self, *, new_boot: bool) -> None:
        if new_boot:
            self._boots += 1
            self.clock = TillClock(self._city_ms, f"{self.place.terminal}-boot-{self._boots}", self._wrong_ms)
        try:
            self.ledger = Ledger.open(self.directory / "ledger.sqlite", self.place.terminal, self.clock)
        except LedgerStopped as stopped:  # told by headquarters that its disk is an old one; a person is called
            if not self.restored:
                raise
            self._story.say(self.place.terminal, f"does not sell any more: {stopped.code}")
            self.retired = True
            return
        wants, elsewhere = Wants(), UsageElsewhere(self.directory)
        self.agent = RoadAgent(
            ledger=self.ledger,
            data_dir=self.directory,
            url="http://hq.example",
            clock=self.clock,
            jitter=self._chance.random,
            feeds=(
                Leases(self.ledger.allowances, self.clock, wants),
                UsageFeed(elsewhere, lambda: self.clock.monotonic_ms() / 1000),
            ),
        )
        self.agent.road = self.road
        self.agent.merchant, self.agent.site = self.place.merchant, self.place.site
        self.holds = Holds(
            data_dir=self.directory, url="http://hq.example", clock=self.clock, online=lambda: self.agent.online
        )
        self.holds._thread.shutdown()
        self.holds._thread = Inline()  # type: ignore[assignment]
        self.holds._source = RoadSource(self.road).as_source()
        self.counter = Counter(
            place=self.place,
            desk=MemberDesk(),  # type: ignore[arg-type]
            book=self._book,
            ledger=self.ledger,
            clock=self.clock,
            events=Silent(),
            times=CounterSection(),
            slices={},
            keep_proof=lambda proof: proof,
            on_entry=lambda: None,
            elsewhere=elsewhere,
            holder=self.holds,
            want=wants.note,
        )


def _units(ledger: Ledger, redemption: str) -> int:
    """What of a redemption stands."""
    found = ledger.redemption(redemption)
    if found is None or found.state.value == "cancelled":
        return 0
    return found.units - found.voided_units
