"""Does a batch follow on from what headquarters has? Pure.

Follows   its first entries may be repeats; the rest continues the chain, to the batch's end or to where it forks
Gap       entries before it are missing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sync.wire import EntryMessage
from terminal.ledger.entry import GENESIS, entry_hash


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry that headquarters has of one terminal: its number (0: none) and its hash (32 bytes)."""

    sequence: int = 0
    hash: bytes = GENESIS


@dataclass(frozen=True, slots=True)
class Follows:
    """The `fresh` entries continue the chain, and `head` is its new end.

    `forked_at` is the number of the first entry that tells another story than the chain, if there is one.
    """

    fresh: tuple[EntryMessage, ...]
    head: Head
    forked_at: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Headquarters wants the entry `expected` first."""

    expected: int


def check(head: Head, stored: Mapping[int, str], batch: Sequence[EntryMessage]) -> Follows | Gap:
    """What `batch` (numbers without a hole) is to a chain that ends in `head`.

    `stored` holds the hash (hex) of each entry up to `head` that the batch repeats. A repeat is known by its hash
    alone: the hash covers the entry and everything before it.
    """
    if batch and batch[0].sequence > head.sequence + 1:
        return Gap(head.sequence + 1)
    fresh: list[EntryMessage] = []
    for message in batch:
        if not fresh and message.sequence <= head.sequence:
            if stored[message.sequence] != message.hash:
                return Follows((), head, message.sequence)
            continue
        computed = entry_hash(head.hash, message.body.encode())
        if computed.hex() != message.hash:
            return Follows(tuple(fresh), head, message.sequence)
        fresh.append(message)
        head = Head(message.sequence, computed)
    return Follows(tuple(fresh), head)
