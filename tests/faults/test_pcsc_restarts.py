"""pcscd restarted fifty times under presentations: each is read or told why, none twice, none as another card."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from config.errors import JingkaError, Words
from drivers.card import CardRead, CardRemoved, ReaderServiceDown, Step, luhn_valid
from drivers.pcsc import PcscReader
from drivers.reader import ReaderState, ReaderStatus
from drivers.supervision import Supervisor
from drivers.virtual.card import ChipKind, ChipProof, VirtualCard
from drivers.virtual.chip import VirtualChip
from drivers.virtual.vpcd import VpcdCard
from tests.fakes.listener import RecordingListener
from tests.fakes.pcscd import READERS, PcscDaemon
from tests.fakes.recovery import report_recoveries

RESTARTS = 50
SEED = 20_260_101
HASH_KEY = bytes(32)
EARLY_S = 0.25, 0.6  # a card comes this long before the restart: not yet seen by pcscd, being read, or just read
COMMAND_S = 0.02  # as a real card takes for one command: so a restart falls into readings, not only between them
KINDS = (ChipKind.CONTACT, ChipKind.CONTACTLESS, ChipKind.QPBOC)
EARLY, LATE = READERS  # the readers of the cards before and after the restart
PATIENCE_S = 5.0


def numbered_card(number: int) -> VirtualCard:
    """One of many test cards, each with a number of its own."""
    digits = f"621094{number:012d}"
    check = next(last for last in "0123456789" if luhn_valid(digits + last))
    title = Words(f"测试卡 {number}", f"test card {number}")
    return VirtualCard(f"card-{number}", title, digits + check, chip=KINDS[number % 3], proof=ChipProof.NONE)


class UnhurriedChip(VirtualChip):
    """Takes its time for each command."""

    def transmit(self, command: bytes) -> bytes:
        time.sleep(COMMAND_S)
        return super().transmit(command)


class History(RecordingListener):
    """What became of the cards, by reader, since the last round began."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: Counter[str] = Counter()  # cards that a reader said it had
        self.answered: Counter[str] = Counter()

    def next_round(self) -> None:
        with self._changed:
            self.begun.clear()
            self.answered.clear()

    def card_read(self, read: CardRead) -> None:
        with self._changed:
            self.answered[read.reader] += 1
            super().card_read(read)

    def card_failed(self, reader: str, error: JingkaError, steps: tuple[Step, ...] = ()) -> None:
        with self._changed:
            self.answered[reader] += 1
            super().card_failed(reader, error, steps)

    def reader_changed(self, status: ReaderStatus) -> None:
        with self._changed:
            self.begun[status.name] += status.state is ReaderState.CARD
            super().reader_changed(status)

    def reads_of(self, card: VirtualCard) -> list[str]:
        """The readers that read `card`."""
        token = card.pan.keyed_hash(HASH_KEY)
        with self._changed:
            return [read.reader for read in self.reads if read.pan.keyed_hash(HASH_KEY) == token]


def restart_at_once(pcscd: PcscDaemon, told: History) -> None:
    pcscd.stop()


def restart_after_a_crash(pcscd: PcscDaemon, told: History) -> None:
    pcscd.kill()


def stop_until_noticed(pcscd: PcscDaemon, told: History) -> None:
    noticed = told.events.count("state:service-down")
    pcscd.stop()
    told.wait_for(lambda told: told.events.count("state:service-down") > noticed)


ENDINGS: tuple[Callable[[PcscDaemon, History], None], ...] = (
    restart_at_once,
    restart_after_a_crash,
    stop_until_noticed,
)


def restart_under_cards(pcscd: PcscDaemon, told: History, number: int, choice: random.Random) -> float:
    """One round: a card before the restart, another after it; how long the reading of the latter took, seconds.

    A card that no reader had seen before the restart lies there still, and is read after it. (The virtual one left with
    the driver, so it is laid there anew.)
    """
    before, after = numbered_card(2 * number), numbered_card(2 * number + 1)
    early, late = VpcdCard(pcscd.host, pcscd.port), VpcdCard(pcscd.host, pcscd.port + 1)
    told.next_round()
    early.present_chip(UnhurriedChip(before))
    time.sleep(choice.uniform(*EARLY_S))  # the fault's own moment, not a wait for luck
    ENDINGS[number % len(ENDINGS)](pcscd, told)
    pcscd.resume()
    unseen = not told.begun[EARLY]
    back = time.monotonic()
    late.present(after)
    if unseen:
        early.present(before)
    told.wait_for(lambda told: bool(told.reads_of(after)))  # type: ignore[attr-defined]
    took_s = time.monotonic() - back
    told.wait_for(lambda told: not unseen or bool(told.reads_of(before)))  # type: ignore[attr-defined]
    assert told.reads_of(after) == [LATE]
    assert told.reads_of(before) in ([], [EARLY])
    assert told.answered[EARLY] == told.begun[EARLY] > 0, "a card was neither read nor told, or twice"
    early.remove()
    late.remove()
    if unseen:
        told.wait_for_state(EARLY, ReaderState.READY)  # pcscd takes 0.4 s to see a card go, and as long for the next
    return took_s


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def settle_at(count: Callable[[], int], goal: int, what: str) -> None:
    """Return once `count()` has come down to `goal`."""
    deadline = time.monotonic() + PATIENCE_S
    while count() > goal:
        assert time.monotonic() < deadline, f"{count() - goal} {what} left over"
        time.sleep(0.05)


def test_fifty_restarts_lose_double_and_mix_up_no_card_and_leave_nothing_behind() -> None:
    choice = random.Random(SEED)
    told = History()
    with PcscDaemon.start() as pcscd:
        threads, files, clients = threading.active_count(), open_files(), pcscd.open_files
        supervisor = Supervisor([PcscReader()], told)
        supervisor.start()
        try:
            told.wait_for_state(LATE, ReaderState.READY)
            recoveries = [restart_under_cards(pcscd, told, number, choice) for number in range(RESTARTS)]
        finally:
            leftover = supervisor.stop()
        assert leftover == ()
        settle_at(threading.active_count, threads, "threads")
        settle_at(open_files, files, "files")
        settle_at(lambda: pcscd.open_files, clients, "connections to pcscd")
    assert max(Counter(read.pan.keyed_hash(HASH_KEY) for read in told.reads).values()) == 1
    assert {type(error) for _, error in told.failures} <= {CardRemoved, ReaderServiceDown}
    print(f"{RESTARTS} cards before a restart: {len(told.reads) - RESTARTS} read, {len(told.failures)} told why")
    report_recoveries(recoveries, "restarts of pcscd")
