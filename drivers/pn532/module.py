"""What the PN532 does for us: wake up, find a card, carry commands to it, say whether it is still there."""

from __future__ import annotations

import threading
from functools import partial

from drivers.card import MalformedCard
from drivers.pboc.exchange import Transmit
from drivers.pn532.commands import (
    CARD_THERE,
    FIELD_OFF,
    FIELD_ON,
    RETRIES,
    SAM_NORMAL,
    Command,
    Firmware,
    Modulation,
    ModuleAnswerUnknown,
    Target,
    exchange_with,
    parse_exchange,
    parse_firmware,
    parse_target,
    poll_for,
)
from drivers.pn532.link import ModuleNoise, ModuleSilent, Pn532Link

WAKE_UP = bytes.fromhex("55550000000000000000000000000000")  # UM0701-02, HSU: 55s wake it, zeros give it time
WAKE_ACK_WAITS_S = (0.2, 1.0)  # the second time longer: a USB bridge just plugged in may hold back its first octets
FIND_WAIT_S = 0.5  # activation takes 10 ms to 0.1 s; the module itself gives up sooner
EXCHANGE_WAIT_S = 2.0  # one command to a card: a bank card needs 0.3 s at most, a weak field doubles that
FIELD_REST_S = 0.01  # ISO/IEC 14443-3: 5 ms without field reset a card, and 5 ms with it make it ready
ANSWER_PARTS_MAX = 16  # parts of one answer: 16 full ones are the 4096 octets that a read takes at most
PN532 = 0x32


class Pn532Module:
    """One module behind a link. Every method may raise the link's errors."""

    def __init__(self, link: Pn532Link, stop: threading.Event) -> None:
        self._link = link
        self._stop = stop
        self._activated = False  # a card was activated since the field came on: it hears no further poll

    def wake(self) -> Firmware:
        """Bring the module from sleep, a power cut or any state of ours to where it finds cards."""
        for ack_wait_s in WAKE_ACK_WAITS_S:
            try:
                self._link.command(Command.SAM_CONFIGURATION, SAM_NORMAL, ack_wait_s=ack_wait_s, preamble=WAKE_UP)
                break
            except (ModuleSilent, ModuleNoise):
                if ack_wait_s == WAKE_ACK_WAITS_S[-1] or self._stop.is_set():
                    raise
        firmware = parse_firmware(self._link.command(Command.GET_FIRMWARE_VERSION))
        if firmware.chip != PN532:
            raise ModuleAnswerUnknown("wake module", "PN532", reason_zh=f"固件 {firmware}", reason_en=str(firmware))
        self._link.command(Command.RF_CONFIGURATION, RETRIES)
        self._activated = True  # perhaps, before we came
        return firmware

    def find(self) -> Target | None:
        """The card in the field, activated; None when there is none."""
        if self._activated:
            self._renew_field()
        for modulation in Modulation:
            answer = self._link.command(Command.IN_LIST_PASSIVE_TARGET, poll_for(modulation), answer_wait_s=FIND_WAIT_S)
            target = parse_target(answer, modulation)
            if target is not None:
                self._activated = True
                return target
        return None

    def is_there(self, target: Target) -> bool:
        """Whether `target` still answers; False also for a card that has no way to say so."""
        return target.iso_dep and self._link.command(Command.DIAGNOSE, CARD_THERE) == b"\x00"

    def channel(self, target: Target) -> Transmit:
        """A way to send commands to `target`."""
        return partial(self._transmit, target)

    def release(self) -> None:
        """Switch the field off, and the card with it, as the last thing done."""
        self._link.tell(Command.RF_CONFIGURATION, FIELD_OFF)

    def _transmit(self, target: Target, command: bytes, /) -> bytes:
        data = b""
        for _ in range(ANSWER_PARTS_MAX):
            part = parse_exchange(
                self._link.command(
                    Command.IN_DATA_EXCHANGE, exchange_with(target, command), answer_wait_s=EXCHANGE_WAIT_S
                )
            )
            data += part.data
            if not part.more:
                return data
            command = b""
        raise MalformedCard("read card", "chip", reason_zh="应答没完没了", reason_en="endless answer")

    def _renew_field(self) -> None:
        """Power off and on for the card: whatever state it was in, it hears the next poll."""
        for field in (FIELD_OFF, FIELD_ON):
            self._link.command(Command.RF_CONFIGURATION, field)
            self._stop.wait(FIELD_REST_S)
        self._activated = False
