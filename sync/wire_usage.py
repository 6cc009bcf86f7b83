"""What was used elsewhere, as headquarters sends it: sorted 64-bit fingerprints of keys, Rice-coded, and amounts. Pure.

    body = one line of JSON (UsageHead), a line feed, the coded pairs

A terminal that knows nothing asks with an empty `after` and is sent a snapshot, page by page: it asks for the next with
the first page's version as `after` and with the `cursor` it was told. All pages bear the version of the first; one that
bears another is the first page of another snapshot. From then on it asks for what came `after` its version. An amount
is what other terminals used under the key, in all: it replaces the one before, and 0 takes the key out. So a page that
comes twice does no harm.

The gaps between the fingerprints of n random keys are geometric, so a Rice code is within 3 percent of what any exact
set of n of 2^64 numbers needs, n * (64 - log2 n + 1.44) bits; an amount costs one bit when it is 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

from pydantic import Field as Bounded
from pydantic import StringConstraints

from sync.errors import MessageMalformed
from sync.wire import API, Answer, Timestamp, parse_message
from sync.wire_grants import AMOUNT_MAX, USAGE_FEED

FINGERPRINT_BITS: Final = 64
# Pairs of one page: some 6 bytes each, so 120 kB; a page is decoded well inside the time that a feed may take.
USAGE_PAGE_PAIRS_MAX: Final = 20_000
# Every amount of a full page at its largest (105 bits), and gaps that fit no parameter.
USAGE_BYTES_MAX: Final = 1024 * 1024
_DOMAIN: Final = b"jingka usage 1\n"
_SPARE_BITS: Final = 7  # up to so many bits pad the last byte

Cursor = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
"""The fingerprint of the last pair of the page before, hex."""
UsageVersion = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,19}\.[0-9a-f]{16}$")]
"""Opaque to a terminal: up to where changes are told, and of which offers."""

Pair = tuple[int, int]
"""Fingerprint and amount."""


class UsageHead(Answer):
    """What follows it: `count` pairs with the Rice parameter `rice`. `next`: there is another page, after this cursor.

    `snapshot`: the pairs are all there is (over all pages), and whatever a terminal had before is void.
    """

    version: UsageVersion
    snapshot: bool
    count: Annotated[int, Bounded(ge=0, le=USAGE_PAGE_PAIRS_MAX)]
    rice: Annotated[int, Bounded(ge=0, le=FINGERPRINT_BITS - 1)]
    next: Cursor | None = None
    time: Timestamp


def usage_path(terminal: str, after: str = "", cursor: str | None = None) -> str:
    """Where the pairs are; `after` empty: a snapshot."""
    path = f"{API}/terminals/{terminal}/{USAGE_FEED}?after={after}"
    return path if cursor is None else f"{path}&cursor={cursor}"


def fingerprint(key: str) -> int:
    """The 64 bits that stand for a usage key; two of a million keys are the same once in 37 million cities."""
    return int.from_bytes(hashlib.sha256(_DOMAIN + key.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def encode_usage(head: UsageHead, coded: bytes) -> bytes:
    """The body of an answer."""
    return head.model_dump_json().encode() + b"\n" + coded


def decode_usage(body: bytes) -> tuple[UsageHead, list[Pair]]:
    """What a body says. Raises `MessageMalformed`."""
    line, found, coded = body.partition(b"\n")
    if not found:
        raise MessageMalformed("parse", "usage", reason="no head")
    head = parse_message(UsageHead, line)
    return head, unpack(coded, head.count, head.rice)


def rice_parameter(pairs: Sequence[Pair]) -> int:
    """The parameter that suits the mean gap of these sorted pairs: about log2(mean * ln 2)."""
    if not pairs:
        return 0
    mean = (pairs[-1][0] + 1) // len(pairs)
    return min(FINGERPRINT_BITS - 1, max(0, (mean * 693 // 1000).bit_length() - 1))


def pack(pairs: Sequence[Pair], rice: int) -> bytes:
    """Pairs, sorted by fingerprint and each once, as bits: the gap's quotient in unary, its remainder, the amount."""
    bits: list[str] = []
    before = -1
    for value, amount in pairs:
        gap = value - before - 1
        before = value
        assert gap >= 0, "sorted, each once"
        bits.append("1" * (gap >> rice) + "0")
        if rice:
            bits.append(format(gap & ((1 << rice) - 1), f"0{rice}b"))
        bits.append(_amount_bits(amount))
    text = "".join(bits)
    return int(text + "0" * (-len(text) % 8), 2).to_bytes((len(text) + 7) // 8, "big") if text else b""


def unpack(coded: bytes, count: int, rice: int) -> list[Pair]:
    """The pairs again. Raises `MessageMalformed` for bits that are no `count` pairs, or more than these."""
    text = format(int.from_bytes(coded, "big"), f"0{len(coded) * 8}b") if coded else ""
    pairs: list[Pair] = []
    at, before = 0, -1
    try:
        for _ in range(count):
            end = text.index("0", at)
            quotient, at = end - at, end + 1 + rice
            gap = quotient << rice | (int(text[end + 1 : at], 2) if rice else 0)
            before += gap + 1
            amount, at = _amount_at(text, at)
            pairs.append((before, amount))
    except ValueError as error:
        raise MessageMalformed("parse", "usage", reason="bits cut off") from error
    if at > len(text) or len(text) - at > _SPARE_BITS or "1" in text[at:] or before >= 1 << FINGERPRINT_BITS:
        raise MessageMalformed("parse", "usage", reason="bits that are no pairs")
    return pairs


def floor_bits(count: int) -> float:
    """What an exact set of `count` 64-bit numbers needs at least: log2 of the number of such sets."""
    from math import lgamma, log, log1p

    if count == 0:
        return 0.0
    # ln C(N, n) with n far below N = 2^64: n ln N - ln n! + (n(n-1)/2) ln(1 - 1/N), the last being nothing
    return (count * FINGERPRINT_BITS * log(2) - lgamma(count + 1) + count * (count - 1) / 2 * log1p(-(2.0**-64))) / log(
        2
    )


def sorted_pairs(pairs: Iterable[Pair]) -> list[Pair]:
    """In order, the larger amount where two keys have one fingerprint: a terminal then asks once too often, never
    once too seldom.
    """
    largest: dict[int, int] = {}
    for value, amount in pairs:
        largest[value] = max(amount, largest.get(value, 0))
    return sorted(largest.items())


def _amount_bits(amount: int) -> str:
    """1 as `0`, 0 as `10`, more as `11` and Elias' gamma code of the amount - 1."""
    if amount == 1:
        return "0"
    if amount == 0:
        return "10"
    plain = format(amount - 1, "b")
    return "11" + "0" * (len(plain) - 1) + plain


def _amount_at(text: str, at: int) -> tuple[int, int]:
    """The amount that begins at `at`, and where it ends. Raises ValueError when it is cut off."""
    if text[at : at + 1] == "0":
        return 1, at + 1
    if text[at : at + 2] == "10":
        return 0, at + 2
    if text[at : at + 2] != "11":
        raise ValueError("cut off")
    first = text.index("1", at + 2)
    end = first + (first - at - 2) + 1
    if end > len(text):
        raise ValueError("cut off")
    amount = int(text[first:end], 2) + 1
    if amount > AMOUNT_MAX:
        raise ValueError("beyond bounds")
    return amount, end
