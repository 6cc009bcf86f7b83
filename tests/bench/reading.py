"""What a read costs beyond the card: our own time beside the same commands sent bare, in the same minutes.

The cards are virtual ones behind a real pcscd. Their own work takes microseconds, which shows our time at its worst;
so the same is measured with every answer held back for as long as a real contactless card takes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from drivers.chip_reading import ChipReading, ChipTerms
from drivers.pboc.authenticity.keys import SchemeKey, SchemeKeys
from drivers.pboc.authenticity.recover import PublicKey
from drivers.pcsc_link import CardLink
from drivers.pcsc_service import PcscService, Scard, load_scard
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.chip import Chip, VirtualChip
from drivers.virtual.demo_authority import DEMO_AUTHORITY, chip_of
from drivers.virtual.vpcd import VpcdCard
from tests.bench import arrivals, peer_emv
from tests.bench.bare_chip import Commands, bare_context, bare_visit, wait_until
from tests.bench.figures import Spread, heading, line, percentile
from tests.fakes.pcscd import READERS, PcscDaemon

READER = READERS[0]
CARD_MS = 30  # a command's answer from a contactless card; published logs say 20 to 30 ms
WARM_UP = 5
KINDS = (("contactless", "member"), ("contact", "member-2"), ("qPBOC", "model-worker"))


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often each thing is measured."""

    quick_card: int
    slow_card: int
    insertions: int
    swipes: int


FULL = Rounds(quick_card=1000, slow_card=40, insertions=60, swipes=1000)
QUICK = Rounds(quick_card=100, slow_card=5, insertions=6, swipes=100)


def measure(cache: Path, *, quick: bool) -> None:
    """Print everything: chips that answer at once, slow chips, a peer, cards put on, and swipes."""
    rounds = QUICK if quick else FULL
    with PcscDaemon.start() as pcscd:
        presenter = VpcdCard(pcscd.host, pcscd.port)
        for card_ms, count in ((0, rounds.quick_card), (CARD_MS, rounds.slow_card)):
            heading(f"read: chips through pcscd, each command answered after {card_ms} ms; {count} rounds")
            for kind, chip, terms in chips():
                visits(presenter, kind, chip, terms, count, wait_s=card_ms / 1000)
        beside_peer(presenter, cache, rounds.quick_card)
        heading(f"read: from a contactless card on the reader to its answer; {rounds.insertions} rounds")
        kind, chip, terms = next(chips())
        with lying_on(presenter, chip):
            commands = commands_of(chip, terms)
        arrivals.insertions(presenter, chip, commands, rounds.insertions)
    heading(f"read: from a swipe's last byte to the listener; {rounds.swipes} rounds")
    arrivals.swipes(rounds.swipes)


def chips() -> Iterator[tuple[str, VirtualChip, ChipTerms]]:
    """The kinds of chip, by the name they are told by, and the terms they are read under: first none is checked."""
    for kind, name in KINDS:
        yield kind, VirtualChip(DEMO_CARDS[name]), ChipTerms()
    scheme = DEMO_AUTHORITY.scheme
    key = PublicKey(scheme.modulus, scheme.octets, scheme.exponent)
    keys = SchemeKeys([SchemeKey(DEMO_AUTHORITY.rid, DEMO_AUTHORITY.index, key, date(2049, 12, 31))])
    for kind, name in KINDS:
        yield f"{kind}, checked", chip_of(DEMO_CARDS[name]), ChipTerms(keys=keys)


class SlowChip:
    """A chip that takes its time for each command."""

    def __init__(self, chip: Chip, wait_s: float) -> None:
        self._chip = chip
        self._wait_s = wait_s
        self.atr = chip.atr
        self.reset = chip.reset

    def transmit(self, command: bytes) -> bytes:
        """The chip's answer, later."""
        if self._wait_s:
            time.sleep(self._wait_s)
        return self._chip.transmit(command)


class TimedScard:
    """pyscard's module with a clock around the one call that is the exchange with the card."""

    def __init__(self, below: Scard) -> None:
        self._below = below
        self.exchange_ns = 0
        self.commands: list[list[int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)

    def SCardTransmit(self, card: Any, protocol: int, command: list[int]) -> tuple[int, list[int]]:
        began_ns = time.perf_counter_ns()
        answer = self._below.SCardTransmit(card, protocol, command)
        self.exchange_ns += time.perf_counter_ns() - began_ns
        self.commands.append(command)
        return answer


# --- chips ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Times:
    """Milliseconds of every round."""

    bare: list[float] = field(default_factory=list)  # the commands sent bare
    read: list[float] = field(default_factory=list)  # our read of the same card
    own: list[float] = field(default_factory=list)  # of it, what was not spent in the exchange
    bare_visit: list[float] = field(default_factory=list)  # with connecting and leaving
    visit: list[float] = field(default_factory=list)


def visits(presenter: VpcdCard, kind: str, chip: VirtualChip, terms: ChipTerms, rounds: int, *, wait_s: float) -> None:
    """Read one chip that stays on the reader, bare and by us in turns."""
    timed = TimedScard(load_scard())
    with lying_on(presenter, SlowChip(chip, wait_s)):
        commands = commands_of(chip, terms)
        times = Times()
        for number in range(WARM_UP + rounds):
            if number == WARM_UP:
                times = Times()
            whole_ns, sent_ns = bare_visit(READER, commands)
            times.bare_visit.append(whole_ns / 1e6)
            times.bare.append(sent_ns / 1e6)
            visit_ns, read_ns, own_ns = our_visit(timed, chip, terms)
            times.visit.append(visit_ns / 1e6)
            times.read.append(read_ns / 1e6)
            times.own.append(own_ns / 1e6)
    tell(f"{kind}, {len(commands)} commands", times)


def beside_peer(presenter: VpcdCard, cache: Path, rounds: int) -> None:
    """python-emv and we read one card that both can read."""
    heading(f"read: a contact chip that asks for nothing, beside python-emv; {rounds} rounds")
    chip = peer_emv.UndemandingChip(DEMO_CARDS["member-2"])
    directory = peer_emv.fetched(cache)
    if directory is not None:
        with lying_on(presenter, chip):
            theirs = peer_emv.visits(directory, READER, WARM_UP + rounds)[WARM_UP:]
        line("python-emv's read", Spread.of([whole for whole, _ in theirs]))
        line("  of it its own", Spread.of([own for _, own in theirs]))
    visits(presenter, "ours", chip, ChipTerms(), rounds, wait_s=0)


def our_visit(timed: TimedScard, chip: VirtualChip, terms: ChipTerms) -> tuple[int, int, int]:
    """Nanoseconds of a visit with connecting and leaving, of the read in it, and of that what was not the exchange."""
    began_ns = time.perf_counter_ns()
    with PcscService(timed, READER) as service, CardLink(service, READER) as link:
        timed.exchange_ns = 0
        timed.commands.clear()
        reached_ns = time.perf_counter_ns()
        ChipReading(link.transmit, link.protocol, contactless=chip.contactless, reader=READER, terms=terms).read()
        read_ns = time.perf_counter_ns() - reached_ns
    return time.perf_counter_ns() - began_ns, read_ns, read_ns - timed.exchange_ns


def commands_of(chip: VirtualChip, terms: ChipTerms) -> Commands:
    """What a read of the chip on the reader sends."""
    timed = TimedScard(load_scard())
    our_visit(timed, chip, terms)
    return [list(command) for command in timed.commands]


@contextmanager
def lying_on(presenter: VpcdCard, chip: Chip) -> Iterator[None]:
    """`chip` on the reader for a `with` block."""
    with bare_context() as context:
        presenter.present_chip(chip)
        wait_until(context, READER, present=True)
        try:
            yield
        finally:
            presenter.remove()
            wait_until(context, READER, present=False)


def tell(name: str, times: Times) -> None:
    """A chip's lines."""
    bare, read, own = Spread.of(times.bare), Spread.of(times.read), Spread.of(times.own)
    line(f"{name}: the commands bare", bare, f"p99 {percentile(times.bare, 99):.3f} ms")
    line("  our read", read, f"p99 {percentile(times.read, 99):.3f} ms; {read.p50 / bare.p50:.3f} of bare")
    line("  of it our own", own, f"{own.p50 / bare.p50:.4f} of the exchange")
    line("  with connecting and leaving, bare", Spread.of(times.bare_visit))
    line("  with connecting and leaving, ours", Spread.of(times.visit))
