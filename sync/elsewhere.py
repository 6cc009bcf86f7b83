"""What was used at other terminals, as headquarters sent it: kept in memory for look-ups, and in files over restarts.

Two files, each written whole: the set as it was when it was last merged, and what changed since. So a delta of a few
cards does not write megabytes. A damaged file is told and fetched anew; until then this terminal knows only its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from sync.errors import UsageSetDamaged, UsageSetNotKept
from sync.private_file import replace_private

BASE_FILE: Final = "usage-elsewhere.set"
CHANGES_FILE: Final = "usage-elsewhere.changes"
CHANGES_MAX: Final = 20_000  # then they are merged into the set: 320 kB to write for a delta at most
PAIRS_MAX: Final = 4_000_000  # 64 MB in memory; a merchant's members of every campaign together are far fewer
_MAGIC: Final = b"jingka usage elsewhere 1\n"
_HEADER_BYTES_MAX: Final = 1024
_DIGEST_BYTES: Final = 32
_NUMBER_BYTES: Final = 8
_FILE_BYTES_MAX: Final = len(_MAGIC) + _HEADER_BYTES_MAX + 2 * _NUMBER_BYTES * PAIRS_MAX + _DIGEST_BYTES

Pair = tuple[int, int]
"""A key's fingerprint, and how much was used elsewhere."""


def _numbers() -> array[int]:
    return array("Q")


@dataclass(frozen=True, slots=True)
class UsageSet:
    """Never changed, only replaced. `told` is headquarters' time of it (RFC 3339), empty for nothing yet.

    `changes` hold over `fingerprints` (sorted) and their `amounts`; `base` is the version of these two.
    """

    version: str = ""
    told: str = ""
    base: str = ""
    fingerprints: array[int] = field(default_factory=_numbers)
    amounts: array[int] = field(default_factory=_numbers)
    changes: Mapping[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.fingerprints) + len(self.changes)

    def amount(self, fingerprint: int) -> int:
        """How much was used elsewhere."""
        changed = self.changes.get(fingerprint)
        if changed is not None:
            return changed
        at = bisect_left(self.fingerprints, fingerprint)
        found = at < len(self.fingerprints) and self.fingerprints[at] == fingerprint
        return self.amounts[at] if found else 0

    def changed(self, pairs: Iterable[Pair], version: str, told: str) -> UsageSet:
        """The set after a delta, merged when its changes are many."""
        after = replace(self, version=version, told=told, changes={**self.changes, **dict(pairs)})
        return after if len(after.changes) <= CHANGES_MAX else after.merged()

    def merged(self) -> UsageSet:
        """The same in one piece, without keys of which nothing is used any more."""
        everything = dict(zip(self.fingerprints, self.amounts, strict=True)) | dict(self.changes)
        return UsageSet.of(((key, amount) for key, amount in everything.items() if amount), self.version, self.told)

    @classmethod
    def of(cls, pairs: Iterable[Pair], version: str, told: str) -> UsageSet:
        """A set made of pairs in any order."""
        fingerprints, amounts = _numbers(), _numbers()
        for fingerprint, amount in sorted(pairs):
            fingerprints.append(fingerprint)
            amounts.append(amount)
        if len(fingerprints) > PAIRS_MAX:
            raise UsageSetNotKept("take", "usage", reason=f"{len(fingerprints)} keys, at most {PAIRS_MAX}")
        return cls(version, told, version, fingerprints, amounts)


class UsageElsewhere:
    """The set in force, shared by threads: replaced whole by the agent's, read by the counter's."""

    def __init__(self, directory: Path) -> None:
        """Load what was kept under `directory`; `fault` says why nothing was."""
        self._directory = directory
        self._set = UsageSet()
        self.fault: UsageSetDamaged | None = None
        try:
            self._set = _load(directory)
        except UsageSetDamaged as error:
            self.fault = error

    @property
    def now(self) -> UsageSet:
        """The set as it stands."""
        return self._set

    def used(self, key: str) -> int:
        """How much was used under a usage key at all other terminals."""
        current = self._set
        return current.amount(fingerprint(key)) if len(current) else 0

    def replace(self, after: UsageSet) -> None:
        """Put `after` in force once it is on disk. Raises `UsageSetNotKept`; the one before then stays in force."""
        try:
            if after.base != self._set.base or self.fault is not None:
                replace_private(
                    self._directory / BASE_FILE, _file(after, after.fingerprints, after.amounts, after.base)
                )
            changes = sorted(after.changes.items())
            keys, amounts = array("Q", (key for key, _ in changes)), array("Q", (amount for _, amount in changes))
            replace_private(self._directory / CHANGES_FILE, _file(after, keys, amounts, after.version))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise UsageSetNotKept("write", str(self._directory), reason=reason) from error
        self._set, self.fault = after, None


def fingerprint(key: str) -> int:
    """The 64 bits of a usage key, as `sync.wire_usage` has them. Here for the counter, which loads no pydantic."""
    return int.from_bytes(
        hashlib.sha256(b"jingka usage 1\n" + key.encode("utf-8", "surrogatepass")).digest()[:8], "big"
    )


def _file(kept: UsageSet, keys: array[int], amounts: array[int], version: str) -> bytes:
    header = {"version": version, "base": kept.base, "told": kept.told, "pairs": len(keys)}
    body = _MAGIC + json.dumps(header).encode() + b"\n" + _big_endian(keys) + _big_endian(amounts)
    return body + hashlib.sha256(body).digest()


def _load(directory: Path) -> UsageSet:
    """What stands under `directory`; an empty set when there is none. Raises `UsageSetDamaged`."""
    base, changes = _read(directory / BASE_FILE), _read(directory / CHANGES_FILE)
    if base is None:
        return UsageSet()
    if changes is None or changes[0]["base"] != base[0]["base"]:
        # Cut off between the two files: the set alone is whole, as of its own version.
        changes = (base[0], _numbers(), _numbers())
    header, keys, amounts = base
    return UsageSet(
        str(changes[0]["version"]),
        str(changes[0]["told"]),
        str(header["base"]),
        keys,
        amounts,
        dict(zip(changes[1], changes[2], strict=True)),
    )


def _read(path: Path) -> tuple[dict[str, object], array[int], array[int]] | None:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > _FILE_BYTES_MAX:
                raise UsageSetDamaged("read", str(path), reason="too large")
            content = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageSetDamaged("read", str(path), reason=error.strerror or type(error).__name__) from error
    body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if not body.startswith(_MAGIC) or hashlib.sha256(body).digest() != digest:
        raise UsageSetDamaged("read", str(path), reason="checksum")
    line, _, numbers = body[len(_MAGIC) :].partition(b"\n")
    header = json.loads(line)
    half = header["pairs"] * _NUMBER_BYTES
    keys, amounts = _native(numbers[:half]), _native(numbers[half:])
    if len(keys) != len(amounts) or any(first >= second for first, second in pairwise(keys)):
        raise UsageSetDamaged("read", str(path), reason="order")
    return header, keys, amounts


def _big_endian(numbers: array[int]) -> bytes:
    swapped = numbers[:]
    if sys.byteorder == "little":
        swapped.byteswap()
    return swapped.tobytes()


def _native(data: bytes) -> array[int]:
    numbers = _numbers()
    numbers.frombytes(data)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
