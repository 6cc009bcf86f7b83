"""What a serial stripe reader's frames and faults come to: reads, failures, and the finding that only noise arrives.

One swipe is one burst of bytes (`drivers.framing`), however many frames the reader makes of it. A reader may send each
track as a frame of its own: tracks 1 and 3 are told as the wrong track only when no track 2 came in their burst, and
once a burst gave a card its other tracks, read or not (`;E?`), are no failed swipe. So a burst tells at most one card
that could not be read and one fault of the line; a flood is not a row of swipes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from config.errors import JingkaError, Words
from drivers.card import Authenticity, CardError, CardRead, EntryMode, ReaderNoise
from drivers.framing import Frame, FrameParity
from drivers.magstripe import ERROR_STRIPE, Track2, WrongTrack, parse_track2
from drivers.reader import ReaderListener, ReaderState, ReaderStatus

NOISY_BURSTS = 3  # bad swipes happen, also two in a row; a third without one good between them is the line's setting
NOISY_BYTES = 16 * 1024  # without a pause and without a card: 17 s of noise at 9600 baud
ERROR_STRIPE_MAX = len(ERROR_STRIPE) + 1  # with its check character


class OnlyNoise(ReaderNoise):
    """Again and again bytes that make no sense, and never a card: the port's settings are not the reader's."""

    code = "reader-only-noise"
    what = Words("读卡器连续送来乱码", "the reader keeps sending garbled bytes")
    hint = Words(
        "波特率、校验位或帧格式多半设错；请技术人员执行 jingka readers --detect",
        "baud rate, parity or frame are probably set wrongly: ask support to run jingka readers --detect",
    )


class SwipeDesk:
    """Stands between one reader's framing and its listener."""

    def __init__(
        self, reader: str, kind: str, listener: ReaderListener, *, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._reader = reader
        self._kind = kind
        self._listener = listener
        self._now_ns = now_ns
        self._burst = 0
        self._card = False  # this burst gave a card
        self._failed = False  # this burst told a card that could not be read
        self._wrong_track: WrongTrack | None = None  # told unless track 2 follows in the same burst
        self._bytes = 0  # of this burst, since its last card
        self._noises = 0  # bursts told as noise in a row, without a card between them
        self._noisy = False

    def open(self) -> None:
        """The port is open: the reader is ready."""
        self._change(ReaderState.READY, None)

    def heard(self, length: int, burst: int) -> None:
        """`length` bytes came (0: the line is quiet) in the framing's present `burst`."""
        if burst != self._burst:
            self.close()
            self._burst, self._card, self._failed, self._bytes = burst, False, False, 0
        self._bytes += length
        if self._bytes > NOISY_BYTES:
            self._tell_noisy(OnlyNoise("read port", self._reader))

    def frame(self, frame: Frame, now_ns: int) -> None:
        """Read the card in `frame`, wipe it, and tell; `now_ns` is when its last byte was there."""
        self.heard(0, frame.burst)
        other_track = len(frame.payload) <= ERROR_STRIPE_MAX and self._card
        try:
            track2 = _parse_and_wipe(frame)
        except WrongTrack as error:
            self._wrong_track = None if self._card else self._wrong_track or error
        except CardError as error:
            if not other_track:
                self._fail(error)
        else:
            self._read(track2, frame, now_ns)

    def fault(self, error: ReaderNoise) -> None:
        """Tell a fault of the line."""
        self._listener.card_failed(self._reader, error)
        self._noises += 1
        if self._noises >= NOISY_BURSTS:
            self._tell_noisy(error if isinstance(error, FrameParity) else OnlyNoise("read port", self._reader))

    def close(self) -> None:
        """The burst is over: tell what was held back."""
        held, self._wrong_track = self._wrong_track, None
        if held is not None:
            self._fail(held)

    def _read(self, track2: Track2, frame: Frame, now_ns: int) -> None:
        self._wrong_track = None
        self._card = True
        self._bytes = self._noises = 0
        if self._noisy:
            self._noisy = False
            self._change(ReaderState.READY, None)
        self._listener.card_read(
            CardRead(
                pan=track2.pan,
                expiry=track2.expiry,
                entry_mode=EntryMode.STRIPE,
                reader=self._reader,
                authenticity=Authenticity.STRIPE,
                service_code=track2.service_code,
                finished_ns=now_ns,
                read_ms=float(frame.took_ms),
            )
        )

    def _fail(self, error: CardError) -> None:
        self._wrong_track = None
        if not self._failed:
            self._failed = True
            self._listener.card_failed(self._reader, error)

    def _tell_noisy(self, error: ReaderNoise) -> None:
        if not self._noisy:
            self._noisy = True
            self._change(ReaderState.NOISY, error)

    def _change(self, state: ReaderState, error: JingkaError | None) -> None:
        self._listener.reader_changed(ReaderStatus(self._reader, self._kind, state, self._now_ns(), error))


def _parse_and_wipe(frame: Frame) -> Track2:
    try:
        return parse_track2(frame.payload)
    finally:
        frame.wipe()
