"""One command at a time to a PN532: send, be acknowledged, get the answer; every wait has an end.

An answer says to which kind of command it belongs, but not to which one: two readings of two cards give frames of the
same code. So nothing left over from an earlier command may be taken for an answer: the line is emptied before each
command, is waited for to fall silent after a failed one, and the module repeats an answer (NACK) only when the damaged
one is known to be ours.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from config.errors import Words
from drivers.card import ReaderError, ReaderNoise
from drivers.pn532.commands import Command
from drivers.pn532.frame import Damaged, DataFrame, FrameParser, Outcome, Sender, Signal, encode
from drivers.port import PortSettings, port_faults_typed

if TYPE_CHECKING:
    import serial

READ_WAIT_S = 0.05  # the port's own wait: how soon a pause on the line and `stop` are seen
READ_OCTETS_MAX = 256  # taken at once, however much a flooding device has ready
ACK_WAIT_S = 0.1  # the module acknowledges within 15 ms; a USB bridge hands over in blocks, a busy PC adds some
ANSWER_WAIT_S = 0.3  # for commands that the module answers out of its own memory
QUIET_S = 0.1  # a line without an octet for this long has nothing more of an earlier answer
SETTLE_S = 1.0  # a line that does not fall silent within this is not waited for any longer


class ModuleSilent(ReaderError):
    """The module does not acknowledge, or never answers."""

    code = "module-silent"
    what = Words("NFC 模块 {subject} 无应答", "the NFC module {subject} does not answer")
    hint = Words(
        "请检查接线和供电，并确认模块的开关设在串口（HSU）档",
        "check its wiring and power, and that its switches are set to HSU (serial)",
    )


class ModuleNoise(ReaderNoise):
    """What the module sends arrives damaged."""

    code = "module-noise"
    what = Words("NFC 模块 {subject} 送来的数据有误", "the NFC module {subject} sends damaged data")
    hint = Words("请检查接线和波特率（出厂为 115200）", "check its wiring and the baud rate (115200 as delivered)")


class ModuleRefused(ReaderError):
    """The module could not make out our command."""

    code = "module-refused"
    what = Words("NFC 模块 {subject} 拒绝了指令", "the NFC module {subject} refused a command")
    hint = Words(
        "系统会自动重试；若反复出现，请检查接线并确认是 PN532 模块",
        "it is retried; if it stays, check the wiring and that it is a PN532",
    )


class Pn532Link:
    """The serial line to one module. When `stop` is set, waits end at once, as if the module were silent."""

    def __init__(self, port: serial.Serial, settings: PortSettings, reader: str, stop: threading.Event) -> None:
        self._port = port
        self._settings = settings
        self._reader = reader
        self._stop = stop
        self._parser = FrameParser()
        self._ready: deque[Outcome] = deque()
        self._unsettled = True  # an earlier answer may still be on its way; so it may when the port is just open

    def command(
        self,
        code: Command,
        data: bytes = b"",
        *,
        answer_wait_s: float = ANSWER_WAIT_S,
        ack_wait_s: float = ACK_WAIT_S,
        preamble: bytes = b"",
    ) -> bytes:
        """The answer's data behind its code; may take `ack_wait_s` and twice `answer_wait_s`.

        Raises `ModuleSilent`, `ModuleNoise` and `ModuleRefused`, after which the next command may be tried, and the
        errors of a port that is gone.
        """
        self._settle()
        self._write(preamble + encode(Sender.HOST, bytes((code,)) + data))
        self._unsettled = True
        answer = self._answer(code, ack_wait_s, answer_wait_s)
        self._unsettled = False
        return answer

    def tell(self, code: Command, data: bytes) -> None:
        """Send a command and wait for nothing: the last one before the port closes, also when we are to stop."""
        self._write(encode(Sender.HOST, bytes((code,)) + data))
        self._unsettled = True

    def abort(self) -> None:
        """Have the module drop the command it works on (UM0701-02: an ACK from the host)."""
        self._write(Signal.ACK.value)

    def _answer(self, code: Command, ack_wait_s: float, answer_wait_s: float) -> bytes:
        deadline = time.monotonic() + ack_wait_s
        acknowledged = repeated = False
        while True:
            outcome = self._next(deadline)
            match outcome:
                case None:
                    raise self._no_answer()
                case Signal.ACK if not acknowledged:
                    acknowledged = True
                    deadline = time.monotonic() + answer_wait_s
                case Damaged(check="data") if acknowledged and not repeated:
                    repeated = True
                    deadline = time.monotonic() + answer_wait_s
                    self._write(Signal.NACK.value)
                case Damaged(check="data"):
                    raise ModuleNoise("talk to module", self._reader, reason="checksum")
                case DataFrame(sender=Sender.ERROR):
                    raise ModuleRefused("talk to module", self._reader)
                case DataFrame(sender=Sender.MODULE, data=data) if data[:1] == bytes((code + 1,)):
                    return data[1:]  # also without an ACK: a lost one is no reason to lose the answer
                case _:
                    continue  # an answer to something else, an echo, a broken length: what we wait for may follow

    def _no_answer(self) -> ReaderError:
        if self._parser.strays and not self._stop.is_set():
            return ModuleNoise("talk to module", self._reader, reason="noise")
        self.abort()
        return ModuleSilent("talk to module", self._reader)

    def _next(self, deadline: float) -> Outcome | None:
        """The next frame, or None past `deadline` (monotonic seconds) and when we are to stop."""
        while not self._ready:
            if self._stop.is_set() or time.monotonic() >= deadline:
                return None
            self._ready.extend(self._parser.feed(self._read()))
        return self._ready.popleft()

    def _settle(self) -> None:
        """Drop whatever an earlier command left behind."""
        if self._unsettled:
            now = time.monotonic()
            deadline, quiet_at = now + SETTLE_S, now + QUIET_S
            while time.monotonic() < min(deadline, quiet_at) and not self._stop.is_set():
                if self._read():
                    quiet_at = time.monotonic() + QUIET_S
        with port_faults_typed("empty port", self._reader, self._settings):
            self._port.reset_input_buffer()
        self._parser.reset()
        self._ready.clear()

    def _read(self) -> bytes:
        with port_faults_typed("read port", self._reader, self._settings):
            data: bytes = self._port.read(min(max(1, self._port.in_waiting), READ_OCTETS_MAX))
        return data

    def _write(self, octets: bytes) -> None:
        with port_faults_typed("write port", self._reader, self._settings):
            self._port.write(octets)
