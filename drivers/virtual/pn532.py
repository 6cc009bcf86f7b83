"""A virtual PN532 on a pseudo-terminal: it answers frames as the module does, and plays cards behind them.

It sleeps until it is woken, knows no card command before its SAM configuration, hears a card again only after the field
was renewed, repeats its last answer on a NACK, and forgets all of it when its power is cut. `faults` spoils its line.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from drivers.card import NotACard
from drivers.pn532.commands import (
    APDU_OCTETS_MAX,
    CARD_THERE,
    FIELD_OFF,
    FIELD_ON,
    ISO_DEP_SAK,
    MORE,
    Command,
    Modulation,
    poll_for,
)
from drivers.pn532.frame import DataFrame, FrameParser, Sender, Signal, encode
from drivers.virtual.card import ChipKind, VirtualCard
from drivers.virtual.chip import Chip, VirtualChip
from drivers.virtual.pty_line import PtyLine

READ_WAIT_S = 0.02  # how soon the module's thread sees that it is to end
READ_OCTETS_MAX = 512
WRITE_WAIT_S = 1.0  # the terminal drains the line at once; what it does not take is lost, as on a wire
END_WAIT_S = 2.0
FIRMWARE = bytes((0x32, 0x01, 0x06, 0x07))  # PN532, version 1.6, types A and B and ISO/IEC 18092
WAKE_OCTET = 0x55
NO_ANSWER = 0x01  # status: the card has not answered
NOT_ACTIVE = 0x27  # status: not acceptable in this context
_ATS = bytes.fromhex("0578807002")  # 64-octet frames, the usual waiting time, no name


@dataclass(slots=True)
class LineFaults:
    """What goes wrong on the line; counts are used up one by one."""

    acks_dropped: int = 0
    answers_dropped: int = 0
    answers_damaged: int = 0
    slice_octets: int = 0  # 0 = all at once
    pause_s: float = 0.0  # before each slice
    loss: float = 0.0  # share of octets that get lost
    chance: random.Random | None = None
    octets_lost: int = 0  # so far

    def lost(self) -> bool:
        """Whether the next octet gets lost."""
        lost = self.chance is not None and self.chance.random() < self.loss
        self.octets_lost += lost
        return lost


@dataclass(frozen=True, slots=True)
class _Lying:
    """What lies on the antenna; `chip` is None for a card that takes no APDUs."""

    chip: Chip | None
    uid: bytes


class VirtualPn532:
    """A `CardPresenter` that is a whole module. Close it with `unplug`.

    `before_exchange` is called with the number of each command to a card, counted from 1 since it was laid down, and
    may pull it (`remove`).
    """

    def __init__(self, link: Path | None = None, faults: LineFaults | None = None) -> None:
        self.faults = faults or LineFaults()
        self.before_exchange: Callable[[int], None] | None = None
        self._lock = threading.RLock()  # cards come and go from any thread, also from within `before_exchange`
        self._lying: _Lying | None = None
        self._card_commands: dict[int, Callable[[bytes], bytes | None]] = {
            Command.RF_CONFIGURATION: self._set_field,
            Command.IN_LIST_PASSIVE_TARGET: self._list,
            Command.DIAGNOSE: self._diagnose,
            Command.IN_DATA_EXCHANGE: self._exchange,
        }
        self._line = PtyLine(link)
        self._begin()

    @property
    def device(self) -> str:
        """What the terminal opens."""
        return self._line.device

    def present(self, card: VirtualCard) -> None:
        """Lay `card` down. Raises `NotACard` for one without a chip.

        The members' chip cards have an antenna too: one that is told with contacts only elsewhere answers here as well.
        """
        if card.chip is ChipKind.NONE:
            raise NotACard("present card", "PN532", reason_zh="没有芯片", reason_en="no chip")
        chip = VirtualChip(card)
        if not chip.contactless:
            chip = VirtualChip(replace(card, chip=ChipKind.CONTACTLESS))
        self.present_chip(chip, hashlib.sha256(card.name.encode()).digest()[:7])

    def present_chip(self, chip: Chip, uid: bytes) -> None:
        """Lay any chip down; `uid` of 4 octets that begins with 08 is a made-up one, as telephones have."""
        self._lay(_Lying(chip, uid))

    def present_foreign(self, uid: bytes) -> None:
        """Lay down a card that takes no APDUs: a door badge, an old transit card."""
        self._lay(_Lying(None, uid))

    def remove(self) -> None:
        """Take the card off; nothing when none lies there."""
        self._lay(None)

    def cut_power(self) -> None:
        """A brown-out: the module sleeps and has forgotten everything; the USB bridge stays."""
        with self._lock:
            self._forget()

    def unplug(self) -> None:
        """Pull the module's plug. Harmless when it is out already."""
        self._end.set()
        self._thread.join(END_WAIT_S)
        self._line.unplug()

    def replug(self) -> None:
        """Plug it in, again if need be."""
        self.unplug()
        self._line.replug()
        self._begin()

    def _begin(self) -> None:
        self._end = threading.Event()
        self._parser = FrameParser()
        self._last = b""
        self._forget()
        self._thread = threading.Thread(target=self._serve, name="virtual PN532", daemon=True)
        self._thread.start()

    def _forget(self) -> None:
        self._awake = self._configured = self.field_on = False
        self._drop_card()

    def _drop_card(self) -> None:
        self._active = self._heard = False  # activated now; was activated since the field came on

    def _lay(self, lying: _Lying | None) -> None:
        with self._lock:
            self._lying = lying
            self._exchanges = 0
            self._drop_card()

    def _serve(self) -> None:
        while not self._end.is_set():
            octets = self._line.read(READ_OCTETS_MAX, READ_WAIT_S)
            kept = bytes(octet for octet in octets if not self.faults.lost())
            with self._lock:
                self._awake = self._awake or WAKE_OCTET in kept
                heard = self._parser.feed(kept)
                if not self._awake:
                    continue
            for frame in heard:
                if frame is Signal.NACK:
                    self._send(self._last)
                elif isinstance(frame, DataFrame) and frame.sender == Sender.HOST and frame.data:
                    self._obey(frame.data[0], frame.data[1:])

    def _obey(self, code: int, data: bytes) -> None:
        if self.faults.acks_dropped:
            self.faults.acks_dropped -= 1
        else:
            self._send(Signal.ACK.value)
        with self._lock:
            answer = self._answer(code, data)
            if not self._awake:
                return  # its power was cut meanwhile
        if answer is None:
            self._last = encode(Sender.ERROR, b"")
        else:
            self._last = encode(Sender.MODULE, bytes((code + 1,)) + answer)
        if self.faults.answers_dropped:
            self.faults.answers_dropped -= 1
        elif self.faults.answers_damaged:
            self.faults.answers_damaged -= 1
            spoilt = bytearray(self._last)
            spoilt[-2] ^= 0x01
            self._send(bytes(spoilt))
        else:
            self._send(self._last)

    def _answer(self, code: int, data: bytes) -> bytes | None:
        """The answer's data; None = an error frame."""
        if code == Command.SAM_CONFIGURATION:
            self._configured = True
            return b""
        if code == Command.GET_FIRMWARE_VERSION:
            return FIRMWARE
        card_command = self._card_commands.get(code)
        return card_command(data) if card_command is not None and self._configured else None

    def _set_field(self, data: bytes) -> bytes:
        if data in (FIELD_OFF, FIELD_ON):
            self.field_on = data == FIELD_ON
            self._drop_card()
        return b""

    def _diagnose(self, data: bytes) -> bytes | None:
        return bytes((0 if self._active else NO_ANSWER,)) if data == CARD_THERE else None

    def _list(self, data: bytes) -> bytes:
        self.field_on = True
        lying = self._lying
        if lying is None or self._heard or data != poll_for(Modulation.TYPE_A):
            return b"\x00"
        self._heard = True
        self._active = lying.chip is not None
        if lying.chip is None:
            return b"\x01\x01" + bytes.fromhex("000408") + bytes((len(lying.uid),)) + lying.uid  # MIFARE Classic 1K
        lying.chip.reset()
        self._rest = b""
        return b"\x01\x01\x00\x04" + bytes((ISO_DEP_SAK, len(lying.uid))) + lying.uid + _ATS

    def _exchange(self, data: bytes) -> bytes:
        if not self._active:
            return bytes((NOT_ACTIVE,))
        if data[1:]:
            self._exchanges += 1
            if self.before_exchange is not None:
                self.before_exchange(self._exchanges)
            if not self._active or self._lying is None or self._lying.chip is None:
                return bytes((NO_ANSWER,))  # pulled meanwhile, or swapped for one that was not activated
            self._rest = self._lying.chip.transmit(data[1:])
        part, self._rest = self._rest[:APDU_OCTETS_MAX], self._rest[APDU_OCTETS_MAX:]
        return bytes((MORE if self._rest else 0x00,)) + part

    def _send(self, octets: bytes) -> None:
        kept = bytes(octet for octet in octets if not self.faults.lost())
        step = self.faults.slice_octets or len(kept) or 1
        for start in range(0, len(kept), step):
            if self.faults.pause_s:
                time.sleep(self.faults.pause_s)
            if self._end.is_set():
                return
            self._line.write(kept[start : start + step], WRITE_WAIT_S)
