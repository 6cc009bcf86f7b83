"""What terminals and headquarters say to each other when one of them takes a new key."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field as Bounded
from pydantic import StringConstraints

from sync.wire import API, Answer, PublicKey, Request, Timestamp

SUCCESSION_PATH: Final = f"{API}/headquarters-key"
# Keys are changed once in years; a terminal that slept through more must be enrolled anew.
SUCCESSIONS_MAX: Final = 16

Signature = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
"""An Ed25519 signature in hex."""


def key_path(terminal: str) -> str:
    """Where this terminal brings a new key."""
    return f"{API}/terminals/{terminal}/key"


def rotation_statement(terminal: str, old: str, new: str) -> bytes:
    """What the new key signs to prove that its owner means this very change; public keys in hex."""
    return f"jingka-v1 terminal key\n{terminal}\n{old}\n{new}".encode()


def succession_statement(old: str, new: str) -> bytes:
    """What headquarters' old key signs to name its successor; public keys in hex."""
    return f"jingka-v1 headquarters key\n{old}\n{new}".encode()


def release_statement(old: str, new: str) -> bytes:
    """What the old key that signs offer books signs to name its successor; public keys in hex."""
    return f"jingka-v1 release key\n{old}\n{new}".encode()


class KeyRotation(Request):
    """A terminal's new public key in place of `old`; `proof` is the new key's signature of `rotation_statement`.

    The request is signed by the old key; once headquarters has taken the new one, by either it is signed by that.
    """

    old: PublicKey
    new: PublicKey
    proof: Signature


class KeyRotated(Answer):
    """From now on only `public_key` counts."""

    public_key: PublicKey
    time: Timestamp


class Succession(Answer):
    """The old key's word that `new` stands in its place from now on: headquarters' own key, or the one of books."""

    old: PublicKey
    new: PublicKey
    signature: Signature


class Successions(Answer):
    """Every change of one key, oldest first. Proves itself, so it is neither asked for nor sent signed."""

    successions: Annotated[tuple[Succession, ...], Bounded(max_length=SUCCESSIONS_MAX)] = ()
