"""What a terminal and headquarters say to each other about the register of vouchers; bytes as in `sync.wire`.

The register is one file (`terminal.vouchers.register`), the same octets at headquarters and at every terminal that
sells the same offers. `GET /terminals/{id}/vouchers?have=VERSION` names the one to have, with its hash, and tells what
changed since `VERSION` when that is little; else the file is fetched in chunks. Either way the terminal ends with the
octets that the hash says, or goes on with those it has.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field as Bounded
from pydantic import StringConstraints

from sync.wire import Answer, Hash, Timestamp, feed_path
from terminal.vouchers.register import FILE_BYTES_MAX

VOUCHERS_FEED: Final = "vouchers"

# A second of a line of 1 Mbit/s: inside `feeds.FETCH_S_MAX`, and 275 kB of a fair with 5,000 vouchers are three.
CHUNK_BYTES: Final = 128 * 1024
# Changes that are told one by one: 110 kB, or 1.2 s of such a line in base64. With more of them the file is fetched.
CHANGES_MAX: Final = 2_000
CHANGES_BYTES_MAX: Final = 128 * 1024
CHANGES_ANSWER_BYTES_MAX: Final = 2 * CHANGES_BYTES_MAX  # in base64, beside a few hundred octets

# `NUMBER.OFFERS.STATE`: the newest change, which offers (a digest), and which state of each (a digest).
REGISTER_VERSION: Final = r"^[0-9]{1,18}\.[0-9a-f]{8}\.[0-9a-f]{8}$"

RegisterVersion = Annotated[str, StringConstraints(pattern=REGISTER_VERSION)]


class VouchersAnswer(Answer):
    """The register `version` to have, of `size_bytes` octets with this `sha256`.

    `changes` (base64): a register of the vouchers that changed since the version asked after, to be laid over that one;
    empty: fetch the file. `key_version`, `key_fingerprint`: of the programme's key that it is made with.
    """

    version: RegisterVersion
    size_bytes: Annotated[int, Bounded(ge=1, le=FILE_BYTES_MAX)]
    sha256: Hash
    changes: Annotated[str, StringConstraints(max_length=CHANGES_ANSWER_BYTES_MAX)]
    key_version: Annotated[int, Bounded(ge=1)]
    key_fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    time: Timestamp


def vouchers_path(terminal: str, *, have: str) -> str:
    """What a terminal should have that has `have` (empty: none of headquarters')."""
    return f"{feed_path(terminal, VOUCHERS_FEED)}?have={have}"


def vouchers_chunk_path(terminal: str, version: str, number: int) -> str:
    """The chunk `number` of a register, from 0."""
    return f"{feed_path(terminal, VOUCHERS_FEED)}/{version}/{number}"
