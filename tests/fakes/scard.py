"""pyscard's low-level calls with faults to order: for the codes that a real pcscd gives only on a bad day."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from typing import Any

from drivers.pcsc_service import PLUG_EVENTS, Code, State
from drivers.virtual.chip import Chip

WAIT_S = 5.0
LOOK_S = 0.01  # how long a look without news takes: quick for tests, and never a hot loop


class FakeScard:
    """Some readers, a chip on each or none, and a row of codes that the next calls of a name answer instead."""

    def __init__(self, *readers: str) -> None:
        self.calls: list[str] = []
        self._lock = threading.Condition()
        self._bits = dict.fromkeys(readers, int(State.EMPTY))
        self._chips: dict[str, Chip] = {}
        self._faults: defaultdict[str, deque[int]] = defaultdict(deque)
        self.free = threading.Event()  # cleared: another program has a transaction, and a connection waits for its end
        self.free.set()
        self.alive = threading.Event()  # cleared: pcscd hangs, and so does every look at the readers
        self.alive.set()

    def fail(self, call: str, *codes: int) -> None:
        """The next calls of `call` answer `codes`, one each; 0 lets one pass."""
        self._faults[call].extend(codes)

    def insert(self, reader: str, chip: Chip, extra_bits: int = 0) -> None:
        """A card comes onto the reader."""
        with self._lock:
            self._chips[reader] = chip
            self._change(reader, State.PRESENT | extra_bits)

    def pull(self, reader: str) -> None:
        """The card leaves the reader."""
        with self._lock:
            self._chips.pop(reader, None)
            self._change(reader, State.EMPTY)

    def set_bits(self, reader: str, bits: int) -> None:
        """The reader's state as pcscd would tell it, its event count kept."""
        with self._lock:
            self._bits[reader] = (self._bits[reader] & ~0xFFFF) | bits
            self._lock.notify_all()

    def unplug(self, reader: str) -> None:
        """The reader goes."""
        with self._lock:
            del self._bits[reader]
            self._lock.notify_all()

    def plug(self, reader: str) -> None:
        """A reader comes."""
        with self._lock:
            self._bits[reader] = State.EMPTY
            self._lock.notify_all()

    def count(self, call: str) -> int:
        """How often `call` was made."""
        return self.calls.count(call)

    def wait_for_looks(self, count: int) -> None:
        """Return after `count` more looks at the readers have begun."""
        with self._lock:
            goal = self.count("look") + count
            assert self._lock.wait_for(lambda: self.count("look") >= goal, WAIT_S), "nobody looks"

    def wait_for_call(self, call: str) -> None:
        """Return once `call` was made."""
        with self._lock:
            assert self._lock.wait_for(lambda: call in self.calls, WAIT_S), f"no {call}"

    def _change(self, reader: str, bits: int) -> None:
        events = (self._bits[reader] >> 16) + 1
        self._bits[reader] = events << 16 | bits
        self._lock.notify_all()

    def _answer(self, call: str) -> int:
        with self._lock:
            self.calls.append(call)
            self._lock.notify_all()
        faults = self._faults[call]
        return faults.popleft() if faults else Code.SUCCESS

    def SCardEstablishContext(self, scope: int, /) -> tuple[int, Any]:
        return self._answer("establish"), object()

    def SCardReleaseContext(self, context: Any, /) -> int:
        return self._answer("release")

    def SCardListReaders(self, context: Any, groups: list[str], /) -> tuple[int, list[str]]:
        code = self._answer("list")
        with self._lock:
            return (code, list(self._bits)) if self._bits or code else (Code.NO_READERS_AVAILABLE, [])

    def SCardGetStatusChange(
        self, context: Any, timeout_ms: int, states: list[tuple[str, int]], /
    ) -> tuple[int, list[tuple[str, int, list[int]]]]:
        code = self._answer("look")
        assert self.alive.wait(WAIT_S), "the test never let pcscd go on"
        if code:
            return code, []
        with self._lock:
            if any(reader not in self._bits and reader != PLUG_EVENTS for reader, _ in states):
                return Code.UNKNOWN_READER, []
            self._lock.wait_for(lambda: self._news(states), min(timeout_ms / 1000, LOOK_S))
            if not self._news(states):
                return Code.TIMEOUT, []
            return Code.SUCCESS, [self._seen(reader, known) for reader, known in states]

    def _news(self, states: list[tuple[str, int]]) -> bool:
        return any(self._bits.get(reader, known) != known for reader, known in states)

    def _seen(self, reader: str, known: int) -> tuple[str, int, list[int]]:
        bits = self._bits.get(reader, known)
        chip = self._chips.get(reader)
        return reader, bits | (State.CHANGED if bits != known else 0), list(chip.atr if chip else b"")

    def SCardConnect(self, context: Any, reader: str, share: int, protocols: int, /) -> tuple[int, Any, int]:
        code = self._answer("connect")
        assert self.free.wait(WAIT_S), "the test never let the card go"
        if code == Code.SUCCESS and reader not in self._chips:
            code = Code.NO_SMARTCARD
        return code, reader, self._protocol(reader)

    def _protocol(self, reader: str) -> int:
        """T=0 for a chip with a contact ATR, else T=1."""
        chip = self._chips.get(reader)
        return 1 if chip is not None and chip.atr[1:2] == b"\x68" else 2

    def SCardDisconnect(self, card: Any, disposition: int, /) -> int:
        assert disposition == 0, "a reading visit leaves the card as it was"
        return self._answer("disconnect")

    def SCardBeginTransaction(self, card: Any, /) -> int:
        return self._answer("begin")

    def SCardEndTransaction(self, card: Any, disposition: int, /) -> int:
        assert disposition == 0, "a reading visit leaves the card as it was"
        return self._answer("end")

    def SCardTransmit(self, card: Any, protocol: int, command: list[int], /) -> tuple[int, list[int]]:
        code = self._answer("transmit")
        chip = self._chips.get(card)
        if code == Code.SUCCESS and chip is None:
            code = Code.REMOVED_CARD
        return (code, []) if code or chip is None else (code, list(chip.transmit(bytes(command))))
