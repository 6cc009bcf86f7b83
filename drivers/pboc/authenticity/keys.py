"""The card schemes' public keys, from a file.

    [[keys]]
    rid = "A000000333"
    index = "04"
    algorithm = "rsa"
    modulus = "BC85..."
    exponent = "03"
    checksum = "F527..."
    expires = 2030-12-31

`algorithm = "sm2"` names a key that exists and cannot be checked here: cards under it are unverified, not unknown.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from config.errors import JingkaError, Retry, Words
from drivers.pboc.authenticity.recover import EXPONENTS, MODULUS_OCTETS_MAX, MODULUS_OCTETS_MIN, PublicKey
from drivers.pboc.evidence import RID_OCTETS

KEYS_FILE_BYTES_MAX = 64 * 1024  # a hundred of the longest keys; a larger file is no key file
KEYS_MAX = 100  # a scheme uses under a dozen
_FIELDS = frozenset({"rid", "index", "algorithm", "modulus", "exponent", "checksum", "expires"})


class SchemeKeysError(JingkaError):
    """No chip can be checked; reading cards goes on without."""

    code = "scheme-keys-error"
    retry = Retry.STOP
    what = Words("卡组织公钥文件无法使用（{reason}）", "the file of the card scheme's keys cannot be used ({reason})")
    hint = Words(
        "读卡不受影响，只是无法验证芯片真伪；更正文件后请重启",
        "cards are read all the same, chips are not checked; correct the file and restart",
    )


class SchemeKeysMissing(SchemeKeysError):
    """The key file is not there or cannot be read."""

    code = "scheme-keys-missing"
    what = Words("读不到卡组织公钥文件 {subject}（{reason}）", "the key file {subject} cannot be read ({reason})")
    hint = Words(
        "请检查 [authenticity] keys 的路径及文件权限", "check the path at [authenticity] keys and its permissions"
    )


class SchemeKeysDamaged(SchemeKeysError):
    """The file is no TOML, or a key lacks something or has something unknown."""

    code = "scheme-keys-damaged"
    what = Words("卡组织公钥文件内容有误：{subject}（{reason}）", "the key file is faulty: {subject} ({reason})")


class SchemeKeyMismatch(SchemeKeysError):
    """A key's checksum is not that of its octets: a digit was lost or changed on the way."""

    code = "scheme-key-mismatch"
    what = Words("公钥 {subject} 的校验值不符", "the checksum of key {subject} does not fit")
    hint = Words("请重新核对该公钥的每一位", "compare every digit of this key with its source")


class SchemeKeyTwice(SchemeKeysError):
    """Two keys of the file have the same scheme and index."""

    code = "scheme-key-twice"
    what = Words("公钥 {subject} 重复出现", "key {subject} stands in the file twice")
    hint = Words("请删去其中一个", "remove one of them")


@dataclass(frozen=True, slots=True)
class SchemeKey:
    """One key of a scheme. `key` is None when its algorithm is not ours; it counts through the day `expires`."""

    rid: bytes
    index: int
    key: PublicKey | None
    expires: date

    @property
    def name(self) -> str:
        """`A000000333/04`, for messages."""
        return key_name(self.rid, self.index)


class SchemeKeys:
    """The keys of a file, found by scheme and index."""

    def __init__(self, keys: Iterable[SchemeKey]) -> None:
        self._keys: dict[tuple[bytes, int], SchemeKey] = {}
        for key in keys:
            if self._keys.setdefault((key.rid, key.index), key) is not key:
                raise SchemeKeyTwice("read keys", key.name)

    def __iter__(self) -> Iterator[SchemeKey]:
        return iter(self._keys.values())

    def find(self, rid: bytes, index: int) -> SchemeKey | None:
        """The key that a card names by its application's scheme and tag 8F."""
        return self._keys.get((rid, index))


def load_scheme_keys(path: Path) -> SchemeKeys:
    """The keys of the file at `path`. Raises a `SchemeKeysError`."""
    try:
        with path.open("rb") as file:
            raw = file.read(KEYS_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SchemeKeysMissing("read keys", str(path), reason=error.strerror) from error
    if len(raw) > KEYS_FILE_BYTES_MAX:
        raise SchemeKeysDamaged("read keys", str(path), reason=f"more than {KEYS_FILE_BYTES_MAX} bytes")
    try:
        table = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, a number too long, lists too deep
        raise SchemeKeysDamaged("read keys", str(path), reason=str(error)) from error
    entries = table.get("keys")
    if set(table) != {"keys"} or not isinstance(entries, list) or not entries:
        raise SchemeKeysDamaged("read keys", str(path), reason="not a list of [[keys]]")
    if len(entries) > KEYS_MAX:
        raise SchemeKeysDamaged("read keys", str(path), reason=f"more than {KEYS_MAX} keys")
    return SchemeKeys(_key(number, entry) for number, entry in enumerate(entries, start=1))


def key_name(rid: bytes, index: int) -> str:
    """`A000000333/04`."""
    return f"{rid.hex().upper()}/{index:02X}"


def checksum(rid: bytes, index: int, modulus: bytes, exponent: bytes) -> bytes:
    """EMV Book 2 section 11.2.2: SHA-1 over all that a card's certificate depends on."""
    return hashlib.sha1(rid + bytes([index]) + modulus + exponent, usedforsecurity=False).digest()


def _key(number: int, entry: Any) -> SchemeKey:
    place = f"keys[{number}]"
    if not isinstance(entry, dict):
        raise SchemeKeysDamaged("read keys", place, reason="not a table")
    unknown = sorted(set(entry) - _FIELDS)
    if unknown:
        raise SchemeKeysDamaged("read keys", place, reason=f"unknown field {unknown[0]}")
    rid, index = _octets(place, entry, "rid", RID_OCTETS, RID_OCTETS), _octets(place, entry, "index", 1, 1)[0]
    name = key_name(rid, index)
    expires = entry.get("expires")
    if type(expires) is not date:  # a date and time is a subclass
        raise SchemeKeysDamaged("read keys", name, reason="expires is no date")
    match entry.get("algorithm"):
        case "rsa":
            return SchemeKey(rid, index, _rsa_key(name, entry, rid, index), expires)
        case "sm2":
            return SchemeKey(rid, index, None, expires)
    raise SchemeKeysDamaged("read keys", name, reason="algorithm is neither rsa nor sm2")


def _rsa_key(name: str, entry: dict[str, Any], rid: bytes, index: int) -> PublicKey:
    modulus = _octets(name, entry, "modulus", MODULUS_OCTETS_MIN, MODULUS_OCTETS_MAX)
    exponent = _octets(name, entry, "exponent", 1, 3)
    if int.from_bytes(exponent) not in EXPONENTS or exponent[0] == 0:
        raise SchemeKeysDamaged("read keys", name, reason="exponent is neither 03 nor 010001")
    if modulus[0] < 0x80:
        raise SchemeKeysDamaged("read keys", name, reason="modulus begins with a zero bit")
    if _octets(name, entry, "checksum", 20, 20) != checksum(rid, index, modulus, exponent):
        raise SchemeKeyMismatch("read keys", name)
    return PublicKey.of(modulus, exponent)


def _octets(place: str, entry: dict[str, Any], field: str, least: int, most: int) -> bytes:
    text = entry.get(field)
    if not isinstance(text, str):
        raise SchemeKeysDamaged("read keys", place, reason=f"{field} is missing or no text")
    try:
        octets = bytes.fromhex(text)  # blanks and line breaks between octets are allowed
    except ValueError:
        raise SchemeKeysDamaged("read keys", place, reason=f"{field} is not hexadecimal") from None
    if not least <= len(octets) <= most:
        raise SchemeKeysDamaged("read keys", place, reason=f"{field} has {len(octets)} octets")
    return octets
