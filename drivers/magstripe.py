"""Track 2 of a magnetic stripe, pure: characters in, `Track2` out (ISO/IEC 7813; research: stripe and serial readers).

    ; PAN 13-19 = YYMM service-code 3 discretionary ? LRC        at most 40 characters

The sentinels and the check character (LRC) may be missing: many readers are set to leave them out. What the reader
could not make out, it says itself (`;E?`); what is no track 2 is told apart, so that the cashier knows what to do.
Where a reader sends all tracks of a swipe run together (`%…?;…?+…?`), track 2 is picked out.

What a bad line can still do: a digit 0 lost on its way changes no LRC, and the number's check digit misses one loss in
ten. Such a read is of a number that no card has: the roll answers "not a member", and the next swipe puts it right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from config.errors import Words
from drivers.card import PAN_DIGITS_MAX, PAN_DIGITS_MIN, CardError, Expiry, MalformedCard, NotACard, Pan

TRACK2_CHARACTERS_MAX = 40  # ISO/IEC 7813: both sentinels and the LRC included
UNIONPAY_PREFIX = "62"
UNIONPAY_DIGITS_MIN = (
    16  # no shorter UnionPay number is issued: digits were lost, which the check digit misses 1 time in 10
)
START_SENTINEL = ";"
END_SENTINEL = "?"
SEPARATOR = "="
TRACK3_FORMAT = "99"  # ISO/IEC 4909: track 3 starts `;99`; no issuer number begins with 99
TRACK1_START = "%"
ERROR_STRIPE = ";E?"  # what readers send for a track that they could not read
TRACK3_STARTS = "+!#"  # readers' marks for track 3 when they do not send the standard's own `;`
_STARTS = frozenset(START_SENTINEL + TRACK1_START + TRACK3_STARTS)

# ISO/IEC 7813: a separator stands in for an expiry or a service code that the card does not carry.
_BODY = re.compile(r"(?P<pan>[0-9]+)=(?P<expiry>[0-9]{4}|=)(?P<service>[0-9]{3}|=)[0-9:<=>]*", re.ASCII)
_ALPHABET = frozenset("0123456789:;<=>?")  # the `E` of the readers' error stripe `;E?` is not in it


class StripeUnread(MalformedCard):
    """The stripe went through, but not every character of it arrived."""

    code = "stripe-unread"
    what = Words("磁条没有读清", "the stripe was not read cleanly")
    hint = Words("请匀速重刷一次；仍失败请改用芯片", "swipe once more at an even speed; then try the chip")


class WrongTrack(MalformedCard):
    """The reader sent another track than track 2: it is set up wrongly."""

    code = "wrong-track"
    what = Words("读卡器送来的是第 {track} 磁道，不是第 2 磁道", "the reader sent track {track} instead of track 2")
    hint = Words("请技术人员把读卡器设为只送第 2 磁道", "ask support to set the reader to send track 2 only")


@dataclass(frozen=True, slots=True)
class Track2:
    """What the house needs of track 2; the discretionary data are not kept."""

    pan: Pan
    expiry: Expiry | None
    service_code: str | None


def parse_track2(text: str | bytes | bytearray, *, sentinels_required: bool = False) -> Track2:
    """The card behind what a reader sent of a swipe, without line ends: track 2, alone or among the other tracks.

    Both sentinels or neither, unless `sentinels_required`; an LRC after `?` is checked when it is there. Raises only
    `CardError`s, and none of them (nor its traceback) keeps a character of the card.
    """
    try:
        return _parse(_characters(text), sentinels_required)
    except CardError as error:
        del text  # a traceback that prints local variables must not show the card
        raise error.with_traceback(None) from None


def track2_in(text: str) -> str:
    """Track 2 of what a reader sent of one swipe, with its sentinels and check character if they came.

    Text without a start sentinel comes back as it is: tracks without sentinels cannot be told apart. Raises
    `WrongTrack` when only other tracks came and `StripeUnread` when track 2 came twice. Nothing else is checked.
    """
    if text[:1] not in _STARTS:
        if text.startswith(TRACK3_FORMAT):
            raise WrongTrack("read stripe", "track 2", track=3)
        return text
    tracks = _tracks(text)
    found = [track for track in tracks if _may_be_track2(track)]
    if not found:
        one = any(track.startswith(TRACK1_START) for track in tracks)
        raise WrongTrack("read stripe", "track 2", track=1 if one else 3)
    if len(found) > 1:  # some readers send track 3 with the same sentinel, and `;E?` when it is blank
        found = [track for track in found if not track.startswith(ERROR_STRIPE)] or found
    if len(found) > 1:
        raise StripeUnread("read stripe", "track 2")
    return found[0]


def lrc(text: str) -> str:
    """The check character of `text`, which includes both sentinels: XOR of the low four bits, shown as `0`..`?`."""
    check = 0
    for character in text:
        check ^= ord(character) & 0x0F
    return chr(0x30 + check)


def _characters(text: str | bytes | bytearray) -> str:
    if isinstance(text, str):
        return text
    return text.decode("ascii", errors="replace")  # what is not ASCII fails the alphabet below


def _parse(text: str, sentinels_required: bool) -> Track2:
    text = track2_in(text)
    if len(text) > TRACK2_CHARACTERS_MAX:
        over = f"{len(text)} > {TRACK2_CHARACTERS_MAX}"
        raise MalformedCard(
            "read stripe", "track 2", reason_zh=f"磁道过长：{over}", reason_en=f"track too long: {over}"
        )
    if not _ALPHABET.issuperset(text):
        raise StripeUnread("read stripe", "track 2")
    body = _between_sentinels(text, sentinels_required)
    if SEPARATOR not in body:
        raise _no_separator(body, enclosed=text.startswith(START_SENTINEL))
    fields = _BODY.fullmatch(body)
    if fields is None:
        raise StripeUnread("read stripe", "track 2")
    if not PAN_DIGITS_MIN <= len(fields["pan"]) <= PAN_DIGITS_MAX:
        raise _other_number(len(fields["pan"]))
    if fields["pan"].startswith(UNIONPAY_PREFIX) and len(fields["pan"]) < UNIONPAY_DIGITS_MIN:
        raise StripeUnread("read stripe", "track 2")
    return Track2(
        pan=Pan(fields["pan"]),
        expiry=None if fields["expiry"] == SEPARATOR else Expiry.from_yymm(fields["expiry"]),
        service_code=None if fields["service"] == SEPARATOR else fields["service"],
    )


def _tracks(text: str) -> list[str]:
    """`text` cut behind each end sentinel, or behind the check character that follows it.

    A check character may itself look like a start sentinel: it is one when another start or nothing follows it.
    """
    tracks: list[str] = []
    while True:
        track, end, rest = text.partition(END_SENTINEL)
        check = len(rest) == 1 or rest[1:2] in _STARTS
        if not rest or not (check or rest[0] in _STARTS):
            return [*tracks, text]
        tracks.append(track + end + rest[:check])
        text = rest[check:]
        if not text:
            return tracks


def _may_be_track2(track: str) -> bool:
    return track.startswith(START_SENTINEL) and not track.startswith(TRACK3_FORMAT, 1)


def _between_sentinels(text: str, required: bool) -> str:
    """The text without its sentinels and LRC; one sentinel alone means that the other end was cut off."""
    starts = text.startswith(START_SENTINEL)
    body, end, check = text.removeprefix(START_SENTINEL).partition(END_SENTINEL)
    if starts != bool(end) or (required and not starts) or START_SENTINEL in body:
        raise StripeUnread("read stripe", "track 2")
    if check not in {"", lrc(START_SENTINEL + body + END_SENTINEL)}:
        raise StripeUnread("read stripe", "track 2")
    return body


def _other_number(digits: int) -> NotACard:
    return NotACard("read stripe", "track 2", reason_zh=f"{digits} 位数字", reason_en=f"{digits} digits")


def _no_separator(body: str, *, enclosed: bool) -> CardError:
    """Digits between sentinels are another kind of badge; without sentinels the rest may just be cut off."""
    if enclosed and body:
        return _other_number(len(body))
    return StripeUnread("read stripe", "track 2")
