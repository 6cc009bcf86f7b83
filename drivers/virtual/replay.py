"""A chip that plays a transcript: what a card answered at a till, answered again on a desk.

    chip = ReplayChip(parse_transcript(path.read_text()))
    VpcdCard().present_chip(chip)       # into a real pcscd; or `read_again(transcript)` without any reader
    print(chip.deviation)               # None, or where the reading left the transcript

The header may say `interface: contact` (else contactless) and `protocol: T=0` (else T=1).
"""

from __future__ import annotations

from drivers.card import CardRead, CardRemoved
from drivers.chip_reading import ChipReading, ChipTerms
from drivers.pboc.apdu import Instruction, StatusWord
from drivers.pboc.exchange import TransmissionProtocol
from drivers.transcript import Transcript, TranscriptDamaged
from drivers.virtual.chip import CONTACT_ATR, CONTACT_T1_ATR, CONTACTLESS_ATR

INTERFACE, CONTACT = "interface", "contact"
PROTOCOL = "protocol"

# Commands that hold what the terminal says of the moment: the day, a random number
_OF_THE_MOMENT = frozenset({Instruction.GET_PROCESSING_OPTIONS, Instruction.INTERNAL_AUTHENTICATE})


class ReplayChip:
    """Answers the commands of `transcript` in their order. Anything else gets 6F00 and is kept as the `deviation`.

    A reader that tries again, or powers the card anew, begins at the first command, and so does the replay. With
    `exact` every octet must be the recorded one; without, day and random number of today will do.

    Raises `TranscriptDamaged` when the header names no protocol that there is.
    """

    def __init__(self, transcript: Transcript, *, exact: bool = False) -> None:
        self._pairs = transcript.pairs
        self._exact = exact
        self._next = 0
        self._deviation: str | None = None
        self.contactless = transcript.header.get(INTERFACE) != CONTACT
        self.protocol = _protocol(transcript.header.get(PROTOCOL, TransmissionProtocol.T1))
        self.atr = transcript.atr or self._usual_atr()

    @property
    def deviation(self) -> str | None:
        """Where the commands first left the transcript; commands hold no card data."""
        return self._deviation

    @property
    def finished(self) -> bool:
        """Whether the transcript was played to its end."""
        return self._next == len(self._pairs)

    def reset(self) -> None:
        """Power came back: from the beginning."""
        self._next = 0

    def transmit(self, command: bytes) -> bytes:
        """The recorded answer. Raises `ConnectionAbortedError` where none was recorded: here the card left."""
        if not self._expected(command) and self._pairs and self._same(command, self._pairs[0][0]):
            self.reset()
        if not self._expected(command):
            self._deviation = self._deviation or self._difference(command)
            return StatusWord.UNKNOWN.to_bytes(2)
        answer = self._pairs[self._next][1]
        self._next += 1
        if not answer:
            raise ConnectionAbortedError("here the card left")
        return answer

    def _expected(self, command: bytes) -> bool:
        return not self.finished and self._same(command, self._pairs[self._next][0])

    def _same(self, command: bytes, recorded: bytes) -> bool:
        if self._exact or recorded[1] not in _OF_THE_MOMENT:
            return command == recorded
        return command[:4] == recorded[:4] and len(command) == len(recorded)

    def _difference(self, command: bytes) -> str:
        sent = command.hex().upper()
        if self.finished:
            return f"behind the last command: {sent} sent"
        return f"command {self._next + 1}: {sent} sent, {self._pairs[self._next][0].hex().upper()} recorded"

    def _usual_atr(self) -> bytes:
        if self.contactless:
            return CONTACTLESS_ATR
        return CONTACT_ATR if self.protocol is TransmissionProtocol.T0 else CONTACT_T1_ATR


def _protocol(name: str) -> TransmissionProtocol:
    try:
        return TransmissionProtocol(name)
    except ValueError:
        raise TranscriptDamaged("play transcript", PROTOCOL, reason=f"{name} is no protocol") from None


def read_again(transcript: Transcript, *, terms: ChipTerms | None = None, exact: bool = False) -> CardRead:
    """Read the recorded card as a till would. Raises what a reader raises: every `CardError`."""
    chip = ReplayChip(transcript, exact=exact)
    reading = ChipReading(
        chip.transmit,
        chip.protocol,
        contactless=chip.contactless,
        reader="replay",
        terms=terms or ChipTerms(),
    )
    try:
        return reading.read()
    except ConnectionAbortedError:
        raise CardRemoved("read card", "replay") from None
