"""The key that signs offer books, as this terminal believes in it, and how it follows a change of that key.

    release-keys.json   {"key": "<hex>", "successions": [{"old", "new", "signature"}, …]}

The first book names the key, or the setting `offers.signed_by` does. From then on a key takes another's place only by
the other's own signed word, step by step; the words are kept, so that a key of the settings leads to today's at every
start. The file is written when a book of the new key has been proven and before it is in force: the old key counts for
nothing from then on, whoever signs with it.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field as Bounded
from pydantic import ValidationError

from config.errors import Retry, Words
from sync.errors import KeyDamaged, KeyExposed, KeyMissing, SyncError
from sync.private_file import read_private, replace_private
from sync.wire import Answer, PublicKey
from sync.wire_keys import SUCCESSIONS_MAX, Succession, release_statement

logger = logging.getLogger(__name__)

RELEASE_KEYS_FILE: Final = "release-keys.json"


class ReleaseSuccessionBroken(SyncError):
    """What is said to lead from the known release key to another one is not the keys' own word."""

    code = "release-succession-broken"
    retry = Retry.PARK
    what = Words("优惠册签名密钥的交接无效：{reason_zh}", "the succession of release keys does not hold: {reason_en}")
    hint = Words("请勿信任新密钥，立即联系总部核对", "do not trust the new key; compare it with headquarters at once")


class ReleaseKeys(Answer):
    """What is kept: `key` signs books, by the `successions` that led to it (empty: it was the first)."""

    key: PublicKey
    successions: Annotated[tuple[Succession, ...], Bounded(max_length=SUCCESSIONS_MAX)] = ()

    def followed(self, wanted: str, told: Sequence[Succession]) -> ReleaseKeys | None:
        """With `wanted` (hex) in the key's place, by what headquarters told; None: nothing told leads there.

        No key comes back that was succeeded before. Raises `ReleaseSuccessionBroken`.
        """
        steps = steps_to(self.key, wanted, told)
        if steps is None:
            return None
        if {step.new for step in steps} & {step.old for step in self.successions}:
            raise _broken("密钥重复出现", "a key comes back")
        return ReleaseKeys(key=wanted, successions=(*self.successions, *steps)[-SUCCESSIONS_MAX:])


def load_release_keys(data_dir: Path) -> ReleaseKeys | None:
    """What is believed here; None: nothing yet, or what is kept can no longer be read."""
    path = data_dir / RELEASE_KEYS_FILE
    try:
        return ReleaseKeys.model_validate_json(read_private(path))
    except KeyMissing:
        return None
    except (KeyExposed, KeyDamaged, OSError, ValidationError) as error:
        logger.warning("%s is not usable and counts for nothing: %s", path, error)
        return None


def keep_release_keys(data_dir: Path, keys: ReleaseKeys) -> None:
    """Durable on return; written only when it is another one. Raises what `replace_private` does."""
    if load_release_keys(data_dir) != keys:
        replace_private(data_dir / RELEASE_KEYS_FILE, json.dumps(keys.model_dump(mode="json"), indent=1).encode())


def forget_release_keys(data_dir: Path) -> None:
    """A new enrolment is a new beginning: the next book names the key."""
    (data_dir / RELEASE_KEYS_FILE).unlink(missing_ok=True)


def leads(root: str, wanted: str, told: Sequence[Succession]) -> bool:
    """Whether `told` proves that `wanted` stands in the place of `root`, or is the same key (both hex)."""
    try:
        return root == wanted or steps_to(root, wanted, told) is not None
    except ReleaseSuccessionBroken:
        return False


def steps_to(root: str, wanted: str, told: Sequence[Succession]) -> tuple[Succession, ...] | None:
    """The steps from `root` to `wanted`, each signed by its old key; None: by what is told, none lead there.

    All of `told` must be one line without a key that comes back. Raises `ReleaseSuccessionBroken`.
    """
    names = [told[0].old, *(step.new for step in told)] if told else []
    if [step.old for step in told] != names[:-1]:
        raise _broken("前后不相接", "one step does not follow from the one before")
    if len(set(names)) != len(names):
        raise _broken("密钥重复出现", "a key comes back")
    if root not in names or wanted not in names[names.index(root) + 1 :]:
        return None
    steps = tuple(told[names.index(root) : names.index(wanted)])
    for step in steps:
        _prove(step)
    return steps


def key_hex(text: str) -> str:
    """A public key in base64, as books and settings name it, in hex; empty for what is none."""
    try:
        return base64.b64decode(text, validate=True).hex()
    except (binascii.Error, ValueError):
        return ""


def _prove(step: Succession) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        old = Ed25519PublicKey.from_public_bytes(bytes.fromhex(step.old))
        old.verify(bytes.fromhex(step.signature), release_statement(step.old, step.new))
    except (InvalidSignature, ValueError) as error:
        raise _broken("旧密钥没有签过", "the old key did not sign it") from error


def _broken(zh: str, en: str) -> ReleaseSuccessionBroken:
    return ReleaseSuccessionBroken("follow release key", "release key", reason_zh=zh, reason_en=en)
