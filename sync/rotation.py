"""A terminal's new key, and headquarters' new key: the terminal's end.

    device.key.next on disk ─► sent, signed by the old key ─► headquarters pins it, the old one is void ─► renamed

A crash at any moment is repaired by running it again: the next key is kept until it is in place, and headquarters
answers the same change again, signed by either key. So a terminal that finds its key refused and a next one on its
disk asks with that one.

Headquarters' keys form a chain, each signed by the one before. A terminal that cannot prove an answer asks for the
chain and follows it from the key it knows; however long it was away, nobody has to go there.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sync.enrolment import ENROLMENT_FILE, KEY_FILE, Enrolment, load_enrolment
from sync.errors import AnswerUnverified, MessageMalformed, TerminalRefused
from sync.private_file import read_private, replace_private, sync_directory

if TYPE_CHECKING:
    import httpx

    from sync.signing import DeviceKey

logger = logging.getLogger(__name__)

NEXT_KEY_FILE: Final = "device.key.next"


def _utc_now() -> datetime:
    return datetime.now(UTC)


def is_rotating(data_dir: Path) -> bool:
    """Whether a change of key was begun and not finished."""
    return (data_dir / NEXT_KEY_FILE).exists()


def rotate_key(
    url: str,
    data_dir: Path,
    transport: httpx.BaseTransport | None = None,
    now: Callable[[], datetime] = _utc_now,
) -> bytes:
    """Give this terminal a new key, or finish a change that was begun; returns the new public key (32 bytes).

    `now` should be headquarters' time, as far as it is known. Errors: `NotEnrolled`, `LineDown`, `AnswerUnverified`,
    the refusals of `sync.refusals`, those of the key file.
    """
    from sync.signing import DeviceKey

    enrolment = load_enrolment(data_dir)
    old = DeviceKey.load(data_dir / KEY_FILE)
    new = DeviceKey.load_or_create(data_dir / NEXT_KEY_FILE)
    try:
        _bring(url, enrolment, old, new, signed_by=old, transport=transport, now=now)
    except TerminalRefused:  # the old key may be void already: the answer that said so was lost
        _bring(url, enrolment, old, new, signed_by=new, transport=transport, now=now)
    with contextlib.suppress(FileNotFoundError):  # another one finished it at the same moment
        (data_dir / NEXT_KEY_FILE).replace(data_dir / KEY_FILE)
    sync_directory(data_dir)
    logger.info("this terminal has a new key")
    return new.public


def _bring(
    url: str,
    enrolment: Enrolment,
    old: DeviceKey,
    new: DeviceKey,
    *,
    signed_by: DeviceKey,
    transport: httpx.BaseTransport | None,
    now: Callable[[], datetime],
) -> None:
    """One try to have headquarters pin `new`; returns when it provably has."""
    from sync.feeds import Source
    from sync.line import Line
    from sync.wire import encode_message, parse_message
    from sync.wire_keys import KeyRotated, KeyRotation, key_path, rotation_statement

    statement = rotation_statement(enrolment.terminal, old.public.hex(), new.public.hex())
    proof = new.private_key().sign(statement).hex()
    asked = KeyRotation(old=old.public.hex(), new=new.public.hex(), proof=proof)
    line = Line(url, key=signed_by, key_id=enrolment.terminal, transport=transport)
    try:
        body = Source(line, enrolment, now).post(key_path(enrolment.terminal), encode_message(asked))
    finally:
        line.close()
    try:
        answer = parse_message(KeyRotated, body)
    except MessageMalformed as error:
        raise AnswerUnverified("rotate key", url, reason=error.what_text("en")) from error
    if answer.public_key != new.public.hex():
        raise AnswerUnverified("rotate key", url, reason="another key than was brought")


def follow_headquarters(url: str, data_dir: Path, transport: httpx.BaseTransport | None = None) -> bool:
    """Whether headquarters has a new key that the one known here vouches for; it is then the one known here.

    Errors: `NotEnrolled`, `LineDown`, `AnswerUnverified` (no chain that could be read).
    """
    from sync.line import Line
    from sync.signing import DeviceKey
    from sync.wire import EnrolmentAnswer, encode_message, parse_message
    from sync.wire_keys import SUCCESSION_PATH, Successions

    enrolment = load_enrolment(data_dir)
    line = Line(url, key=DeviceKey.load(data_dir / KEY_FILE), key_id=enrolment.terminal, transport=transport)
    try:
        answer = line.get(SUCCESSION_PATH, now=_utc_now()).response
    finally:
        line.close()
    if answer.status != 200:
        return False
    try:
        told = parse_message(Successions, answer.body)
    except MessageMalformed as error:
        raise AnswerUnverified("follow", url, reason=error.what_text("en")) from error
    latest = successor_of(enrolment.headquarters_key.hex(), told)
    if latest == enrolment.headquarters_key.hex():
        return False
    kept = parse_message(EnrolmentAnswer, read_private(data_dir / ENROLMENT_FILE))
    renewed = kept.model_copy(update={"headquarters_key": latest})
    replace_private(data_dir / ENROLMENT_FILE, encode_message(renewed))
    logger.warning("headquarters has a new key, named by the one before")
    return True


def successor_of(known: str, told: object) -> str:
    """The last key (hex) that an unbroken chain of good signatures leads to from `known`; `told`: `Successions`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from sync.wire_keys import Successions, succession_statement

    assert isinstance(told, Successions)
    for each in told.successions:
        if each.old != known:
            continue
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(known))
        try:
            key.verify(bytes.fromhex(each.signature), succession_statement(each.old, each.new))
        except InvalidSignature:
            break
        known = each.new
    return known


def stamp_of(data_dir: Path) -> tuple[tuple[int, int], ...]:
    """Differs once the key or the enrolment is another: whoever holds them in memory reads them again then."""
    return tuple(_stamp(data_dir / name) for name in (KEY_FILE, ENROLMENT_FILE))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (status.st_ino, status.st_mtime_ns)
