"""The one-time code that makes a machine a terminal: made by headquarters, typed by a person, read by both.

    7K2M-9QXD-0RT4-VW8Z-3HJN-C5EB-YF     28 characters of Crockford's base32 in groups of four
    |---- secret ----| |- print -| ck

The secret shows headquarters that the machine was invited. The fingerprint shows the machine that it talks to the
headquarters that invited it: it is taken over headquarters' key *and* the secret, so that nobody can look for a key
with the same fingerprint before he has seen the code. The check characters catch a slip of the finger on the spot.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b32encode
from dataclasses import dataclass
from typing import Final

from sync.errors import CodeMistyped

SECRET_BYTES: Final = 10  # 80 bits: not to be guessed within the life of a code
_SECRET_CHARS: Final = 16
_FINGERPRINT_CHARS: Final = 10  # 50 bits, to be matched by trial within the minutes of one enrolment
_CHECK_CHARS: Final = 2  # one slip in a thousand passes, and is then refused by headquarters
_GROUP_CHARS: Final = 4
CODE_CHARS: Final = _SECRET_CHARS + _FINGERPRINT_CHARS + _CHECK_CHARS
CODE_GROUPS: Final = CODE_CHARS // _GROUP_CHARS
# Whatever a person may have pasted around a code; longer text is not read at all.
_TEXT_CHARS_MAX: Final = 200

# Crockford: no I, L, O and U, and the first three are read as the digits they look like.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FROM_RFC4648: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _ALPHABET)
_FORGIVE: Final = str.maketrans("ILO", "110", " -_.\t\r\n\u3000\u2010\u2013\u2014\uff0d")
_FULL_WIDTH: Final = {0xFF01 + n: 0x21 + n for n in range(94)}  # a Chinese input method left on


@dataclass(frozen=True, slots=True)
class EnrolmentCode:
    """A code taken apart; `secret_text` is what the terminal sends and what headquarters looks up (by its hash)."""

    secret_text: str
    fingerprint: str

    def promises(self, headquarters_key: bytes) -> bool:
        """Whether this public key (32 bytes) is the one of the headquarters that made the code."""
        return hmac.compare_digest(self.fingerprint, _fingerprint(self.secret_text, headquarters_key))

    def __repr__(self) -> str:
        return f"EnrolmentCode(fingerprint={self.fingerprint!r})"  # the secret stays out of logs


def make_code(secret: bytes, headquarters_key: bytes) -> str:
    """The code for `secret` (10 random bytes, new for every code) and headquarters' public key (32 bytes)."""
    assert len(secret) == SECRET_BYTES, "the secret of a code has 10 bytes"
    secret_text = _base32(secret)
    body = secret_text + _fingerprint(secret_text, headquarters_key)
    text = body + _check(body)
    return "-".join(text[start : start + _GROUP_CHARS] for start in range(0, CODE_CHARS, _GROUP_CHARS))


def parse_code(text: str) -> EnrolmentCode:
    """A typed code taken apart, whatever its case, blanks and dashes; `CodeMistyped`."""
    plain = text[: _TEXT_CHARS_MAX + 1].translate(_FULL_WIDTH).upper().translate(_FORGIVE)
    body, check = plain[:-_CHECK_CHARS], plain[-_CHECK_CHARS:]
    if len(plain) != CODE_CHARS or not set(plain) <= set(_ALPHABET) or check != _check(body):
        raise CodeMistyped("read", "enrolment code", groups=CODE_GROUPS)
    return EnrolmentCode(body[:_SECRET_CHARS], body[_SECRET_CHARS:])


def _fingerprint(secret_text: str, headquarters_key: bytes) -> str:
    digest = hashlib.sha256(b"jingka enrolment fingerprint\0" + secret_text.encode() + headquarters_key).digest()
    return _base32(digest)[:_FINGERPRINT_CHARS]


def _check(body: str) -> str:
    return _base32(hashlib.sha256(b"jingka enrolment check\0" + body.encode()).digest())[:_CHECK_CHARS]


def _base32(content: bytes) -> str:
    return b32encode(content).decode().rstrip("=").translate(_FROM_RFC4648)
