"""A released book: one JSON file that holds the book, its revision, its hash, and headquarters' signature over them.

    {"book": {…}, "key": "<base64>", "revision": 7, "sha256": "<64 hex>", "signature": "<base64>"}

`book` is the canonical object (`book.canonical_json`), `sha256` its hash. The signature is Ed25519 (RFC 8032) over
`DOMAIN`, then the canonical JSON in UTF-8; the domain keeps it from being of use for anything else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeGuard

from config.errors import JingkaError, Retry, Words

DOMAIN: Final = b"jingka offer book, signed form 1\n"
FIELDS: Final = frozenset({"book", "key", "revision", "sha256", "signature"})
KEY_BYTES: Final = 32  # Ed25519, RFC 8032 section 5.1.5
SIGNATURE_BYTES: Final = 64  # the same, section 5.1.6

Sign = Callable[[bytes], bytes]


class BookUnsigned(JingkaError):
    """The settings ask for a signed book, and this one bears no signature."""

    code = "book-unsigned"
    retry = Retry.STOP
    what = Words("优惠册 {subject} 没有总部签名", "the offer book {subject} is not signed")
    hint = Words(
        "请换上总部发布的已签名优惠册（jingka book sign）",
        "put the signed book that headquarters released there (jingka book sign)",
    )


class BookSignatureInvalid(JingkaError):
    """The book was changed after it was signed, or was signed by somebody else."""

    code = "book-signature-invalid"
    retry = Retry.STOP
    what = Words("优惠册 {subject} 的签名无效：{reason_zh}", "the offer book {subject} is not as signed: {reason_en}")
    hint = Words(
        "请向总部重新索取优惠册，并核对设置 offers.signed_by 中的公钥",
        "get the book from headquarters again, and compare the public key in the setting offers.signed_by",
    )


_DAMAGED = Words("文件不完整", "the file is damaged")
_OTHER_KEY = Words("不是设置中的公钥签的", "another key signed it")
_OTHER_HASH = Words("内容与摘要不符", "its content is not what its hash says")
_OTHER_REVISION = Words("版本号与内容不符", "its revision is not that of its content")
_NOT_CANONICAL = Words("内容不是规范写法", "its content is not in its one spelling")
_FALSE = Words("签名与内容不符", "its signature is over other content")


def is_signed(data: object) -> TypeGuard[dict[str, Any]]:
    """Whether what was read is a book in its signed form, whole or damaged."""
    return isinstance(data, dict) and "signature" in data


def signed_form(canonical: str, revision: int, public: bytes, sign: Sign) -> str:
    """The file of a book in its canonical JSON, signed with the private half of `public` (32 bytes)."""
    return json.dumps(
        {
            "book": json.loads(canonical),
            "key": base64.b64encode(public).decode(),
            "revision": revision,
            "sha256": hashlib.sha256(canonical.encode()).hexdigest(),
            "signature": base64.b64encode(sign(DOMAIN + canonical.encode())).decode(),
        },
        ensure_ascii=False,
        sort_keys=True,
        indent=1,
    )


def verified(data: Mapping[str, Any], subject: str, signed_by: str | None) -> Any:
    """The book's own table out of a signed form, once its hash, its revision and its signature hold.

    `signed_by` is the public key, in base64, that must have signed it; None: the one that the file names. Raises
    `BookSignatureInvalid`.
    """
    content = data.get("book")
    if data.keys() != FIELDS or not isinstance(content, dict):
        raise _invalid(subject, _DAMAGED)
    key, signature = _bytes(data["key"], KEY_BYTES), _bytes(data["signature"], SIGNATURE_BYTES)
    if key is None or signature is None:
        raise _invalid(subject, _DAMAGED)
    if signed_by is not None and key != _bytes(signed_by, KEY_BYTES):
        raise _invalid(subject, _OTHER_KEY)
    canonical = _canonical(content)
    if hashlib.sha256(canonical).hexdigest() != data["sha256"]:
        raise _invalid(subject, _OTHER_HASH)
    if type(data["revision"]) is not int or data["revision"] != content.get("revision"):
        raise _invalid(subject, _OTHER_REVISION)
    _check(key, signature, DOMAIN + canonical, subject)
    return content


def check_spelling(data: Mapping[str, Any], book_hash: str, subject: str) -> None:
    """That the hash in the file is the book's own: else two files could hold one book. `BookSignatureInvalid`."""
    if data["sha256"] != book_hash:
        raise _invalid(subject, _NOT_CANONICAL)


def _check(key: bytes, signature: bytes, message: bytes, subject: str) -> None:
    from cryptography.exceptions import InvalidSignature  # read only where books are signed
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise _invalid(subject, _FALSE) from error


def _canonical(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode(errors="surrogatepass")  # half a character must not raise: the hash refuses it


def _bytes(text: object, length: int) -> bytes | None:
    """So many bytes out of base64; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == length else None


def _invalid(subject: str, reason: Words) -> BookSignatureInvalid:
    return BookSignatureInvalid("verify book", subject, reason_zh=reason.zh, reason_en=reason.en)
