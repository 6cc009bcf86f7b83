"""One entry of the ledger: its fields, its canonical bytes, its place in the hash chain. Pure; used at both ends.

Canonical bytes are RFC 8785 (JSON Canonicalization Scheme) narrowed to what needs no judgement: integers that fit an
IEEE double exactly, no fractions, keys below the surrogates (so that order by code point is order by UTF-16 unit). Any
JCS library gives the same bytes. `hash = SHA-256(previous hash || canonical bytes)`, beginning with 32 zero bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, TypeAlias

from pydantic import ConfigDict, Field, GetPydanticSchema, Strict, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from pydantic_core.core_schema import is_instance_schema

from terminal.ledger.errors import EntryInvalid

Json: TypeAlias = "bool | int | str | Sequence[Json] | Mapping[str, Json] | None"

VERSION = 1
GENESIS = bytes(32)
ENTRY_BYTES_MAX = 65_536  # a sale of 64 lines is under 20 kB; also the unit in which a sync batch is counted
DEPTH_MAX = 8  # entry > body > lines > line > attributes is 5; deeper is not ours
INTEGER_MAX = 2**53 - 1  # RFC 7493 (I-JSON) 2.2: what every JSON reader keeps exactly
TERMINAL_CHARS_MAX = 64
CASHIER_CHARS_MAX = 64
KEY_SETS_MAX = 1024  # sets of keys remembered as plain: bodies, lines and fees have a dozen, attributes some per offer

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_HASH = re.compile(r"[0-9a-f]{64}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_FIELDS = frozenset(
    (
        "v",
        "terminal",
        "sequence",
        "previous",
        "kind",
        "redemption",
        "at",
        "monotonic_ms",
        "boot",
        "hq_time",
        "cashier",
        "body",
    )
)


class EntryKind(StrEnum):
    """The four steps of a redemption; DESIGN.md, "Redemption"."""

    AUTHORISED = "authorised"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    VOIDED = "voided"


_STRICT = Strict()
_SHORT = Annotated[str, Field(strict=True, min_length=1, max_length=TERMINAL_CHARS_MAX)]
_AT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"


@dataclass(frozen=True, slots=True)
class Entry:
    """One step of one redemption.

    `previous` is the hash of the entry before, in hex; `redemption` a UUIDv7; `at` the wall clock in RFC 3339, UTC,
    milliseconds; `monotonic_ms` counts since the boot named by `boot`; `hq_time` is headquarters' last word on the
    time. The annotations are the very forms that `_checked` demands, for pydantic's compiled check.
    """

    v: Annotated[int, _STRICT, Field(ge=VERSION, le=VERSION)]
    terminal: _SHORT
    sequence: Annotated[int, _STRICT, Field(ge=1, le=INTEGER_MAX)]
    previous: Annotated[str, _STRICT, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    kind: Annotated[EntryKind, Strict(False)]
    redemption: Annotated[str, _STRICT, StringConstraints(pattern=f"^{_UUID7.pattern}$")]
    at: Annotated[str, _STRICT, StringConstraints(pattern=_AT)]
    monotonic_ms: Annotated[int, _STRICT, Field(ge=0, le=INTEGER_MAX)]
    boot: _SHORT
    hq_time: _SHORT | None
    cashier: Annotated[str, Field(strict=True, min_length=1, max_length=CASHIER_CHARS_MAX)]
    body: Annotated[Mapping[str, Json], GetPydanticSchema(lambda _, __: is_instance_schema(dict))]

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as it lies in the ledger and goes to headquarters; `hash` in hex."""

    sequence: int
    hash: str
    canonical: bytes


_ENVELOPE = TypeAdapter(Entry)


def canonical(entry: Entry) -> bytes:
    """The one byte string of `entry`.

    Raises `EntryInvalid` for what has no canonical form (fractions, lone surrogates).
    """
    fields: dict[str, Json] = {
        "v": entry.v,
        "terminal": entry.terminal,
        "sequence": entry.sequence,
        "previous": entry.previous,
        "kind": entry.kind.value,
        "redemption": entry.redemption,
        "at": entry.at,
        "monotonic_ms": entry.monotonic_ms,
        "boot": entry.boot,
        "hq_time": entry.hq_time,
        "cashier": entry.cashier,
        "body": entry.body,
    }
    _refuse_the_inexact(fields, DEPTH_MAX)
    text = json.dumps(fields, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    try:
        encoded = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _invalid("a lone surrogate in a text") from error
    if len(encoded) > ENTRY_BYTES_MAX:
        raise _invalid(f"{len(encoded)} bytes, at most {ENTRY_BYTES_MAX}")
    return encoded


def entry_hash(previous_hash: bytes, canonical: bytes) -> bytes:
    """SHA-256 over the previous hash (32 bytes) and the canonical bytes."""
    return hashlib.sha256(previous_hash + canonical).digest()


def parse_entry(data: bytes) -> Entry:
    """The entry whose canonical form is exactly `data`. Raises `EntryInvalid`, also when only the encoding differs."""
    entry = _quickly(data)
    if entry is None:
        entry = decode_entry(data)
        if canonical(entry) != data:
            raise _invalid("not in canonical form")
    return entry


def _quickly(data: bytes) -> Entry | None:
    """`parse_entry` in compiled code, a third of its time; None for whatever needs the slow way's judgement.

    Bytes that the compact writer gives back unchanged have no blanks, no other escapes and no key twice; with keys in
    order and nothing inexact they are canonical.
    """
    if len(data) > ENTRY_BYTES_MAX:
        return None
    try:
        fields = from_json(data)
        if type(fields) is not dict or to_json(fields) != data or not _is_plain(fields, DEPTH_MAX):
            return None
        return _ENVELOPE.validate_python(fields)
    except (ValueError, ValidationError):
        return None


def _is_plain(value: Any, depth: int) -> bool:
    """Whether keys are in order and ASCII, integers exact and nesting bounded. May say no to what is canonical."""
    if depth == 0:
        return False
    if type(value) is dict:
        if not _are_plain_keys(tuple(value)):
            return False
        value = value.values()
    for inner in value:
        kind = type(inner)
        if kind is str or inner is None or kind is bool:
            continue
        if kind is int:
            if not -INTEGER_MAX <= inner <= INTEGER_MAX:
                return False
        elif (kind is not dict and kind is not list) or not _is_plain(inner, depth - 1):
            return False
    return True


@lru_cache(KEY_SETS_MAX)
def _are_plain_keys(keys: tuple[str, ...]) -> bool:
    return list(keys) == sorted(keys) and "".join(keys).isascii()


def decode_entry(data: bytes) -> Entry:
    """The entry in `data`, its fields checked, its encoding taken as it is: for bytes that were proven before."""
    if len(data) > ENTRY_BYTES_MAX:
        raise _invalid(f"{len(data)} bytes, at most {ENTRY_BYTES_MAX}")
    try:
        fields = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # ValueError: not UTF-8, not JSON, an absurdly long number
        raise _invalid("not JSON") from error
    if not isinstance(fields, dict) or fields.keys() != _FIELDS:
        raise _invalid("other fields than an entry has")
    return _checked(fields)


def is_redemption_id(text: str) -> bool:
    """Whether `text` is a UUIDv7 in its one canonical spelling (RFC 9562, sections 4 and 5.7: lower case, hyphens)."""
    return _UUID7.fullmatch(text) is not None


def instant(moment: datetime) -> str:
    """An aware moment as RFC 3339 in UTC with milliseconds: `2012-12-25T01:02:03.004Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _checked(fields: dict[str, Any]) -> Entry:
    """The entry of decoded JSON, each field in its form."""
    version, kind, redemption = fields["v"], fields["kind"], fields["redemption"]
    previous, hq_time = fields["previous"], fields["hq_time"]
    _demand(type(version) is int and version == VERSION, "v")
    _demand(isinstance(kind, str) and kind in EntryKind._value2member_map_, "kind")
    _demand(_whole(fields["sequence"], 1), "sequence")
    _demand(_whole(fields["monotonic_ms"], 0), "monotonic_ms")
    _demand(isinstance(previous, str) and _HASH.fullmatch(previous) is not None, "previous")
    _demand(isinstance(redemption, str) and is_redemption_id(redemption), "redemption")
    _demand(isinstance(fields["at"], str) and _INSTANT.fullmatch(fields["at"]) is not None, "at")
    _demand(hq_time is None or _text(hq_time, TERMINAL_CHARS_MAX), "hq_time")
    _demand(_text(fields["terminal"], TERMINAL_CHARS_MAX), "terminal")
    _demand(_text(fields["boot"], TERMINAL_CHARS_MAX), "boot")
    _demand(_text(fields["cashier"], CASHIER_CHARS_MAX), "cashier")
    _demand(isinstance(fields["body"], dict), "body")
    return Entry(**{**fields, "kind": EntryKind(kind)})


def _whole(value: object, least: int) -> bool:
    return type(value) is int and least <= value <= INTEGER_MAX


def _text(value: object, chars_max: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= chars_max


def _demand(holds: bool, field: str) -> None:
    if not holds:
        raise _invalid(field)


def _refuse_the_inexact(value: Json, depth: int) -> None:
    """Walk `value`; raise for whatever two JSON programs might write or read differently."""
    if value is None or isinstance(value, (str, bool)):
        return
    if isinstance(value, int):
        if not -INTEGER_MAX <= value <= INTEGER_MAX:
            raise _invalid("a number beyond 2^53 - 1")
    elif depth == 0:
        raise _invalid(f"nested deeper than {DEPTH_MAX}")
    elif isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str) or not (key.isascii() or max(key) < "\ud800"):
                raise _invalid("a key that is no plain text")
            _refuse_the_inexact(inner, depth - 1)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _refuse_the_inexact(inner, depth - 1)
    else:
        raise _invalid(f"a value of type {type(value).__name__}")


def _invalid(reason: str) -> EntryInvalid:
    return EntryInvalid("read", "entry", reason=reason)
