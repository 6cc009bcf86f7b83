"""From a card number to its token: HMAC-SHA256 under the programme's key, and the key's own file.

The key lives outside every database, in a TOML file that only the daemon's user can read:

    version = 1
    key = "<64 hex digits>"

Tokens are text, `v<key version>:<64 hex>`, of cards and of persons alike.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.errors import JingkaError, Retry, Words
from drivers.card import Pan

KEY_BYTES = 32  # as long as the hash: RFC 2104 section 3 advises no less
KEY_VERSION_MAX = 9_999  # a key a year for ever; keeps tokens short
KEY_FILE_BYTES_MAX = 4_096  # two short lines and a comment; anything longer is not a key file
KEY_FILE_MODE = 0o600
TOKEN_HEX = 64

_PERSON_DOMAIN = b"person:"  # no PAN starts with a letter, so no person shares a card's token
_FINGERPRINT_DOMAIN = b"fingerprint:"
_FINGERPRINT_HEX = 16  # tells two keys apart; says nothing about either


class MembershipError(JingkaError):
    """Whether a card belongs to a member cannot be known; no sale until a person has acted."""

    code = "membership-error"
    retry = Retry.STOP
    what = Words("无法核对会员身份", "membership cannot be checked")


class ProgrammeKeyError(MembershipError):
    """The programme's key cannot be used."""

    code = "programme-key-error"
    what = Words("密钥文件无法使用（{reason}）", "the programme's key cannot be used ({reason})")


class ProgrammeKeyMissing(ProgrammeKeyError):
    """There is no key file at the place the settings name."""

    code = "programme-key-missing"
    what = Words("找不到密钥文件 {subject}", "there is no programme key at {subject}")
    hint = Words("请向总部索取密钥文件，放到该位置", "get the key file from headquarters and put it there")


class ProgrammeKeyExposed(ProgrammeKeyError):
    """Others than the daemon's user may read or change the key file."""

    code = "programme-key-exposed"
    what = Words("密钥文件的权限太宽（{mode}）", "the programme key is open to other users (mode {mode})")
    hint = Words("请执行 chmod 600 {subject}", "run: chmod 600 {subject}")


class ProgrammeKeyMalformed(ProgrammeKeyError):
    """The key file does not hold a version and 64 hex digits."""

    code = "programme-key-malformed"
    what = Words("密钥文件内容有误（{reason}）", "the programme key file is faulty ({reason})")
    hint = Words("请向总部重新索取密钥文件", "get the key file from headquarters again")


class ProgrammeKeyExists(ProgrammeKeyError):
    """A new key would overwrite one that is in use: every token made with it would be worthless."""

    code = "programme-key-exists"
    what = Words("{subject} 已有密钥，不会覆盖", "{subject} already holds a key and is not overwritten")
    hint = Words("确需更换密钥时，请先移走旧文件", "to change the key, move the old file away first")


@dataclass(frozen=True, slots=True)
class ProgrammeKey:
    """The programme's secret (32 bytes, never shown) and its version (1 to `KEY_VERSION_MAX`)."""

    version: int
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        assert 1 <= self.version <= KEY_VERSION_MAX
        assert len(self.secret) == KEY_BYTES

    @property
    def fingerprint(self) -> str:
        """16 hex digits that tell this key from another of the same version, and reveal nothing of it."""
        return hmac.digest(self.secret, _FINGERPRINT_DOMAIN, "sha256").hex()[:_FINGERPRINT_HEX]


def card_token(pan: Pan, key: ProgrammeKey) -> str:
    """The card's token, `v<key version>:<64 hex>`; the same card and key always give the same one."""
    return f"v{key.version}:{pan.keyed_hash(key.secret).hex()}"


def person_token(person: str, key: ProgrammeKey) -> str:
    """The token of a person's id (any text; blanks around it do not count), `v<key version>:<64 hex>`."""
    digest = hmac.digest(key.secret, _PERSON_DOMAIN + person.strip().encode(), "sha256")
    return f"v{key.version}:{digest.hex()}"


def token_parts(token: str) -> tuple[int, bytes]:
    """Key version and hash (32 bytes) of a token made here; anything else is a programmer's fault."""
    version, separator, digits = token.partition(":")
    assert separator, "not a token"
    assert version.startswith("v"), "not a token"
    assert len(digits) == TOKEN_HEX, "not a token"
    return int(version[1:]), bytes.fromhex(digits)


def load_programme_key(path: Path) -> ProgrammeKey:
    """Read the key file; raises `ProgrammeKeyMissing`, `ProgrammeKeyExposed` or `ProgrammeKeyMalformed`."""
    subject = str(path)
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)  # of the open file: no swap between look and read
            text = file.read(KEY_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise ProgrammeKeyMissing("load key", subject) from None
    except OSError as error:
        raise ProgrammeKeyError("load key", subject, reason=error.strerror) from error
    if mode & 0o077:
        raise ProgrammeKeyExposed("load key", subject, mode=f"{mode:04o}")
    if len(text) > KEY_FILE_BYTES_MAX:
        raise ProgrammeKeyMalformed("load key", subject, reason="too long")
    return _parse_key(text, subject)


def create_programme_key(path: Path, version: int = 1) -> ProgrammeKey:
    """Make a new random key and put it at `path` whole or not at all; raises `ProgrammeKeyExists`, never overwrites."""
    key = ProgrammeKey(version, secrets.token_bytes(KEY_BYTES))
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEY_FILE_MODE)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(f'version = {key.version}\nkey = "{key.secret.hex()}"\n')
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)  # unlike a rename, a link never replaces what is there
        finally:
            draft.unlink()
    except FileExistsError:
        raise ProgrammeKeyExists("create key", str(path)) from None
    except OSError as error:
        raise ProgrammeKeyError("create key", str(path), reason=error.strerror) from error
    return key


def _parse_key(text: bytes, subject: str) -> ProgrammeKey:
    """The key in the file's bytes. No message repeats the file's text: it may be the key."""
    try:
        values: dict[str, Any] = tomllib.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise ProgrammeKeyMalformed("load key", subject, reason="not TOML") from None
    if set(values) != {"version", "key"}:
        raise ProgrammeKeyMalformed("load key", subject, reason="needs exactly `version` and `key`")
    version, digits = values["version"], values["key"]
    if type(version) is not int or not 1 <= version <= KEY_VERSION_MAX:
        raise ProgrammeKeyMalformed("load key", subject, reason=f"`version` is not 1 to {KEY_VERSION_MAX}")
    if not isinstance(digits, str) or len(digits) != 2 * KEY_BYTES:
        raise ProgrammeKeyMalformed("load key", subject, reason=f"`key` is not {2 * KEY_BYTES} hex digits")
    try:
        secret = bytes.fromhex(digits)
    except ValueError:
        raise ProgrammeKeyMalformed("load key", subject, reason=f"`key` is not {2 * KEY_BYTES} hex digits") from None
    if len(secret) != KEY_BYTES:  # fromhex lets blanks between the digits pass
        raise ProgrammeKeyMalformed("load key", subject, reason=f"`key` is not {2 * KEY_BYTES} hex digits")
    return ProgrammeKey(version, secret)
