"""Which settings a serial stripe reader needs: found by trying them on its port while somebody swipes a card.

A swipe arrives garbled at a wrong speed, never not at all, so each swipe either fits or rules one setting out. A port
opened with eight data bits and no parity also shows seven bits with parity for what they are: both are ten bits long.
`recognise` is pure; `Detection` listens. Of the card nothing is kept but its last four digits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, Protocol

from config.errors import Words
from drivers.card import CardError, ReaderError
from drivers.framing import FRAMINGS, SILENCE_MS, Frame, Framing, ParityTally
from drivers.magstripe import StripeUnread, Track2, WrongTrack, parse_track2
from drivers.port import Parity, PortSettings, PortSettingsRefused, opened_port, port_faults_typed
from drivers.serial_port import READ_BYTES_MAX, READ_WAIT_S, SerialSettings

BAUDS: Final = (9600, 115200, 19200, 4800, 2400, 38400, 57600)  # the commonest first
PARITIES: Final[tuple[Parity, ...]] = ("N", "E")  # each with eight data bits; see above for seven
STEP_WAIT_S: Final = 15.0  # to take the card up and swipe it
BURST_S_MAX: Final = 5.0  # no swipe lasts longer, at 2400 baud with all tracks; what goes on is noise
CAPTURE_BYTES_MAX: Final = 2048  # more than the longest frame
SAME_AGAIN_MAX: Final = 3  # swipes at a setting at which the text was right and the card unread
SILENT_STEPS_MAX: Final = 2  # at 9600 or at 115200 baud a working reader is heard, however garbled
DETECTION_S_MAX: Final = 300.0
PREFERRED: Final = ("ecr-55aa", "stx-etx-lrc", "plain", "magtek", "idtech")  # where several fit: the strictest first


class NothingHeard(ReaderError):
    """The cashier swiped, and not one byte came in."""

    code = "detect-nothing-heard"
    what = Words("串口 {subject} 在 {waited_s} 秒内没有收到任何数据", "port {subject} stayed silent for {waited_s} s")
    hint = Words(
        "请检查读卡器的连线、供电和指示灯，确认串口选对后重试",
        "check the reader's cable, power and light, and that this is its port; then try again",
    )


class NothingRecognised(ReaderError):
    """Bytes came, and at no setting did they make a card."""

    code = "detect-not-recognised"
    what = Words("试过 {tried} 种设置，都没有认出卡", "none of {tried} settings showed a card")
    hint = Words(
        "请换一张卡重试；仍不行请把读卡器型号告诉技术支持", "try another card; else tell support the reader's model"
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """The settings that read a card, and its last four digits."""

    settings: SerialSettings
    masked: str


class Heard(StrEnum):
    """What one capture, or the wait for it, came to."""

    SWIPE = "swipe"  # told before a capture: now is the time to swipe
    NOTHING = "nothing"
    NOISE = "noise"
    AGAIN = "again"  # a reader's text, but no good track 2 in it: the settings are right
    IDLE = "idle"  # packets without data: the device lives


@dataclass(frozen=True, slots=True)
class Progress:
    """Step `step` of `steps` at `settings`; `error` says more when a stripe's text was not a card."""

    step: int
    steps: int
    settings: PortSettings
    heard: Heard
    error: CardError | None = None


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a capture shows: `frame`, `bytesize` and `parity` fit when `card` is set."""

    heard: Heard
    frame: str = ""
    bytesize: Literal[7, 8] = 8
    parity: Parity = "N"
    masked: str = ""
    error: CardError | None = None


class Port(Protocol):
    """As much of a serial port as listening takes."""

    @property
    def in_waiting(self) -> int:
        """Bytes that a read would give at once."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; waits a little for the first."""


OpenPort = Callable[[PortSettings, str, float], AbstractContextManager[Port]]


def recognise(data: bytes, parity: Parity = "N") -> Recognition:
    """What the bytes of one swipe are, heard by a port with eight data bits and `parity`."""
    attempts = [
        attempt
        for bytesize, sent_parity, sent in _readings(data, parity)
        for attempt in _attempts(sent, bytesize, sent_parity)
    ]
    good = [attempt for attempt in attempts if attempt.card is not None]
    if good:
        best = min(good, key=_Attempt.rank)
        assert best.card is not None
        return Recognition(Heard.SWIPE, best.frame, best.bytesize, best.parity, best.card.pan.masked)
    clean = [attempt for attempt in attempts if not attempt.faults and not attempt.dropped]
    unread = [attempt.error for attempt in clean if attempt.error is not None]
    if unread:
        return Recognition(Heard.AGAIN, error=unread[0])
    return Recognition(Heard.IDLE if clean else Heard.NOISE)


class Detection:
    """One search on one port; `tell` hears of each step. `run` takes at most `DETECTION_S_MAX` and one step more."""

    def __init__(
        self,
        device: str,
        tell: Callable[[Progress], None],
        *,
        open_port: OpenPort = opened_port,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = device
        self._tell = tell
        self._open_port = open_port
        self._now_s = now_s

    def run(self) -> Finding:
        """Try one setting after the other until a swipe is read.

        Raises `NothingHeard`, `NothingRecognised`, `WrongTrack` when the reader sends another track, and the port's own
        `ReaderError`s (busy, forbidden, missing).
        """
        trials = [PortSettings(self._device, baud, 8, parity) for parity in PARITIES for baud in BAUDS]
        ends_at = self._now_s() + DETECTION_S_MAX
        silent = 0
        for step, settings in enumerate(trials, 1):
            if self._now_s() > ends_at:
                break
            try:
                found = self._try(settings, Progress(step, len(trials), settings, Heard.SWIPE))
            except PortSettingsRefused:
                if settings.parity == "N":  # a port that refuses even these is none
                    raise
                continue
            if isinstance(found, Finding):
                return found
            silent = silent + 1 if found is Heard.NOTHING else 0
            if silent == step == SILENT_STEPS_MAX:
                raise NothingHeard("detect reader", self._device, waited_s=int(silent * STEP_WAIT_S))
        raise NothingRecognised("detect reader", self._device, tried=len(trials))

    def _try(self, settings: PortSettings, progress: Progress) -> Finding | Heard:
        with self._open_port(settings, self._device, READ_WAIT_S) as port:
            for attempt in range(1, SAME_AGAIN_MAX + 1):
                self._tell(progress)
                shown = self._capture(port, settings)
                if shown.masked:
                    return Finding(_settings(settings, shown), shown.masked)
                self._tell(Progress(progress.step, progress.steps, settings, shown.heard, shown.error))
                if shown.heard not in {Heard.AGAIN, Heard.IDLE}:
                    return shown.heard
                if isinstance(shown.error, WrongTrack) and attempt == SAME_AGAIN_MAX:
                    raise shown.error
            return shown.heard

    def _capture(self, port: Port, settings: PortSettings) -> Recognition:
        """What the next burst is, packets without data passed over; `NOTHING` when none comes in time."""
        ends_at = self._now_s() + STEP_WAIT_S
        shown = Recognition(Heard.NOTHING)
        while self._now_s() < ends_at:
            data = bytes(self._burst(port, settings, ends_at))
            if not data:
                return shown
            shown = recognise(data, settings.parity)
            if shown.heard is not Heard.IDLE:
                return shown
        return shown

    def _burst(self, port: Port, settings: PortSettings, ends_at: float) -> bytearray:
        """The bytes up to the next silence; none when nothing begins before `ends_at`."""
        burst = bytearray()
        last_at = began_at = self._now_s()
        while len(burst) < CAPTURE_BYTES_MAX:
            with port_faults_typed("read port", self._device, settings):
                data = port.read(min(max(1, port.in_waiting), READ_BYTES_MAX))
            now = self._now_s()
            if data:
                began_at = began_at if burst else now
                last_at = now
                burst += data
            elif now >= ends_at if not burst else now - last_at > SILENCE_MS / 1000:
                break
            if burst and now - began_at > BURST_S_MAX:
                break
        return burst


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What one framing makes of a capture."""

    frame: str
    bytesize: Literal[7, 8]
    parity: Parity
    card: Track2 | None
    error: CardError | None
    faults: int
    dropped: int

    def rank(self) -> tuple[int, int, int]:
        return self.faults, self.dropped, PREFERRED.index(self.frame)


def _readings(data: bytes, parity: Parity) -> Iterator[tuple[Literal[7, 8], Parity, bytes]]:
    """The bytes as the reader may have sent them."""
    yield 8, parity, data
    tally = ParityTally()
    tally.note(data)
    sent_parity = tally.parity()
    if parity == "N" and sent_parity is not None:
        yield 7, sent_parity, bytes(byte & 0x7F for byte in data)


def _attempts(data: bytes, bytesize: Literal[7, 8], parity: Parity) -> Iterator[_Attempt]:
    for kind in FRAMINGS.values():
        framing = kind()
        outcomes = framing.feed(data, 0) + framing.feed(b"", SILENCE_MS + 1)
        yield _attempt(framing, outcomes, bytesize, parity)


def _attempt(
    framing: Framing, outcomes: Iterable[Frame | ReaderError], bytesize: Literal[7, 8], parity: Parity
) -> _Attempt:
    card: Track2 | None = None
    error: CardError | None = None
    faults = 0
    for outcome in outcomes:
        if not isinstance(outcome, Frame):
            faults += 1
            continue
        looks_right = outcome.payload.startswith((b"%", b"+", b";"))
        try:
            card = parse_track2(outcome.payload)
        except CardError as refused:
            if looks_right:
                error = refused if error is None or isinstance(refused, StripeUnread) else error
            else:
                faults += 1
        finally:
            outcome.wipe()
    return _Attempt(framing.name, bytesize, parity, card, error, faults, framing.dropped)


def _settings(port: PortSettings, shown: Recognition) -> SerialSettings:
    return SerialSettings(port.device, port.baud, shown.bytesize, shown.parity, 1, shown.frame)
