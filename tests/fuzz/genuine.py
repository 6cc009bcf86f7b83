"""Offline data authentication: what a signature gives back, and the file of the scheme's keys.

No fuzzer finds a signature. So here the signing key has the exponent 1: what the fuzzer writes is what is recovered,
and the hash is put right for it, and every check behind the signature can be reached.
"""

from __future__ import annotations

import functools
import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

from drivers.card import Authenticity, Pan
from drivers.pboc import tlv
from drivers.pboc.application import UNIONPAY_RID
from drivers.pboc.authenticity.certificates import card_key, issuer_key
from drivers.pboc.authenticity.dynamic_data import check_signature, fast_covered
from drivers.pboc.authenticity.keys import SchemeKeysError, load_scheme_keys
from drivers.pboc.authenticity.recover import HASH_OCTETS, MODULUS_OCTETS_MAX, PublicKey, Unproven, recover
from drivers.pboc.authenticity.static_data import check_static_signature, signed_static_data
from drivers.pboc.evidence import Evidence, Record
from drivers.pboc.tags import Tag
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.demo_authority import DEMO_AUTHORITY
from tests.fuzz.target import Target

TODAY = date(2026, 1, 2)
KEY = PublicKey(modulus=(1 << 8 * 128) - 1, octets=128, exponent=1)
BODY_OCTETS = KEY.octets - HASH_OCTETS - 2
TOLD: Mapping[int, bytes] = {
    Tag.UNPREDICTABLE_NUMBER: bytes(4),
    Tag.AMOUNT: bytes(6),
    Tag.CURRENCY: bytes.fromhex("0156"),
}
CARD = DEMO_CARDS["member"]
ISSUER_HEAD, CARD_HEAD = bytes([0x02]), bytes([0x04])  # a certificate's format octet


def read_certificate(data: bytes) -> None:
    """What one signature holds, by the first octet: the issuer's key, the card's, the data's, or the chip's own."""
    which, lengths, rest = data[:1] or b"\0", data[1:3].ljust(2, b"\0"), data[3:]
    exponent, rest = rest[: lengths[0] % 5], rest[lengths[0] % 5 :]
    remainder, body = rest[: lengths[1]], rest[lengths[1] :][:BODY_OCTETS].ljust(BODY_OCTETS, b"\xbb")
    judge = _JUDGES[which[0] % len(_JUDGES)]
    try:
        judge(body, exponent, remainder)
    except Unproven as end:
        verdict = end.verdict
    else:
        return
    assert verdict.authenticity in {Authenticity.FAILED, Authenticity.UNVERIFIED}
    assert verdict.reason is not None


def _issuer(body: bytes, exponent: bytes, remainder: bytes) -> None:
    signed = _signed(body, remainder + exponent)
    key = issuer_key(
        _evidence({Tag.ISSUER_CERTIFICATE: signed, Tag.ISSUER_EXPONENT: exponent, Tag.ISSUER_REMAINDER: remainder}),
        KEY,
        TODAY,
    )
    _judge_key(key)
    assert body[:1] == ISSUER_HEAD
    digits = body[1:5].hex().rstrip("f")
    assert CARD.digits.startswith(digits), "an issuer's certificate for other cards"


def _card(body: bytes, exponent: bytes, remainder: bytes) -> None:
    static = b"the signed data"
    signed = _signed(body, remainder + exponent + static)
    evidence = _evidence({Tag.CARD_CERTIFICATE: signed, Tag.CARD_EXPONENT: exponent, Tag.CARD_REMAINDER: remainder})
    _judge_key(card_key(evidence, KEY, static, TODAY))
    assert body[:1] == CARD_HEAD
    assert body[1:11].hex().rstrip("f") == CARD.digits, "another card's certificate"


def _static(body: bytes, exponent: bytes, remainder: bytes) -> None:
    evidence = _evidence({Tag.STATIC_SIGNATURE: _signed(body, remainder), Tag.STATIC_TAG_LIST: exponent})
    signed_static_data(evidence)
    check_static_signature(evidence, KEY, remainder)


def _dynamic(body: bytes, exponent: bytes, remainder: bytes) -> None:
    covered = fast_covered(_evidence({Tag.CARD_AUTHENTICATION_DATA: remainder}))
    check_signature(_signed(body, covered), KEY, covered)
    assert 3 + body[2] <= len(body)


_JUDGES: tuple[Callable[[bytes, bytes, bytes], None], ...] = (_issuer, _card, _static, _dynamic)


def _judge_key(key: PublicKey) -> None:
    assert key.exponent in {3, 65_537}
    assert 64 <= key.octets <= MODULUS_OCTETS_MAX


def _signed(body: bytes, outside: bytes) -> bytes:
    digest = hashlib.sha1(body + outside, usedforsecurity=False).digest()
    return b"\x6a" + body + digest + b"\xbc"


def _evidence(objects: Mapping[int, bytes]) -> Evidence:
    content = b"".join(tlv.encode(tag, value) for tag, value in objects.items())
    (record,) = tlv.parse(tlv.encode(Tag.RECORD, content))
    return Evidence(
        rid=UNIONPAY_RID,
        pan=Pan(CARD.digits),
        profile=bytes.fromhex("7C00"),
        given=(),
        records=(Record(1, 1, signed=True, data=tlv.encode(Tag.RECORD, content), content=record),),
        whole=True,
        told=TOLD,
        qpboc=True,
    )


def read_key_file(data: bytes) -> None:
    """A file of keys: whatever a person puts there, a list of keys or a typed refusal."""
    path = _key_file()
    path.write_bytes(data)
    for key in load_scheme_keys(path):
        assert key.key is None or key.key.exponent in {3, 65_537}


@functools.cache
def _key_file() -> Path:
    directory = tempfile.TemporaryDirectory(prefix="jingka-fuzz-")
    _KEPT.append(directory)
    return Path(directory.name) / "keys.toml"


_KEPT: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends


def certificate_seeds() -> Sequence[bytes]:
    """The demonstration's certificates and signatures as they are recovered."""
    authority = DEMO_AUTHORITY
    signed = authority.personalise(CARD.digits, b"the signed data")
    found = []
    for which, signer, form, certificate, exponent, remainder in (
        (0, authority.scheme, 2, Tag.ISSUER_CERTIFICATE, Tag.ISSUER_EXPONENT, Tag.ISSUER_REMAINDER),
        (1, authority.issuer, 4, Tag.CARD_CERTIFICATE, Tag.CARD_EXPONENT, Tag.CARD_REMAINDER),
        (2, authority.issuer, 3, Tag.STATIC_SIGNATURE, None, None),
    ):
        key = PublicKey(signer.modulus, signer.octets, signer.exponent)
        body = recover(signed.objects[certificate], key, form, 1)
        assert body is not None
        parts = [b"" if tag is None else signed.objects.get(tag, b"") for tag in (exponent, remainder)]
        found.append(bytes([which, len(parts[0]), len(parts[1])]) + b"".join(parts) + _fitted(body.body))
    found.append(bytes([3, 0, 7]) + bytes.fromhex("01A1B2C3D40000") + bytes.fromhex("0501020001"))
    return found


def _fitted(body: bytes) -> bytes:
    """A body for our shorter key: without the padding, or with a modulus that is cut."""
    return body[:BODY_OCTETS]


def key_file_seeds() -> Sequence[bytes]:
    """The demonstration's key, and one that nobody here can check with."""
    text = DEMO_AUTHORITY.key_file(date(2049, 12, 31))
    return [
        text.encode(),
        b'[[keys]]\nrid = "A000000333"\nindex = "10"\nalgorithm = "sm2"\nexpires = 2030-12-31\n',
        (text + text).encode(),
    ]


TARGETS = (
    Target("certificate", read_certificate, (), certificate_seeds),
    Target(
        "key-file",
        read_key_file,
        (SchemeKeysError,),
        key_file_seeds,
        calls=3000,
        calls_per_octet=60,
        card_data=False,
        octets_max=8192,
    ),
)
