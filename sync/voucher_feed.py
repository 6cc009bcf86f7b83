"""The feed `vouchers` at the terminal: what changed when that is little, else the whole; proved, in one step.

The voucher desk looks at the file itself, so selling goes on meanwhile, and a register that cannot be proved changes
nothing: the old one goes on. The file names its own version; there is no second file that could disagree with it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sync.errors import HeadquartersRefused, MessageMalformed
from sync.feeds import FETCH_S_MAX
from sync.wire import parse_message
from sync.wire_vouchers import (
    CHANGES_ANSWER_BYTES_MAX,
    CHUNK_BYTES,
    VOUCHERS_FEED,
    VouchersAnswer,
    vouchers_chunk_path,
    vouchers_path,
)
from terminal.vouchers.build import put_in_place, register_bytes
from terminal.vouchers.register import Register, VouchersDamaged, VouchersError, VouchersKeyMismatch

if TYPE_CHECKING:
    from sync.feeds import Source
    from terminal.membership.token import ProgrammeKey
    from terminal.vouchers.desk import VoucherDesk

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Arriving:
    """A register of which some chunks have come; at most as long as headquarters said, which is bounded."""

    version: str
    octets: bytearray = field(default_factory=bytearray)


class VoucherFeed:
    """A `sync.feeds.Feed`. `desk` answers from the register that this feed replaces."""

    name: Final = VOUCHERS_FEED

    def __init__(self, desk: VoucherDesk, key: ProgrammeKey, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._desk = desk
        self._key = key
        self._monotonic_s = monotonic_s
        self._arriving: _Arriving | None = None

    def version(self) -> str:
        """The version of the sound register in force; empty: none of headquarters'."""
        try:
            return self._desk.check().version
        except VouchersError:
            return ""

    def fetch(self, source: Source, wanted: str) -> None:
        """Changes when headquarters tells them; else, for as long as a call may take, chunks of the whole.

        Raises what `Source.get` does, `MessageMalformed`, `VouchersDamaged`, `VouchersKeyMismatch`,
        `VouchersNotWritten`.
        """
        until_s = self._monotonic_s() + FETCH_S_MAX
        answer = self._asked(source)
        if answer.changes:
            content = self._changed(answer)
            if content is not None:
                self._put_in_force(answer, content)
                return
            logger.info("the changes of the register do not lead to headquarters': it is fetched whole")
        if self._arriving is None or self._arriving.version != answer.version:
            self._arriving = _Arriving(answer.version)
        if self._download(source, answer, self._arriving, until_s):
            content, self._arriving = bytes(self._arriving.octets), None
            if hashlib.sha256(content).hexdigest() != answer.sha256:
                raise VouchersDamaged("fetch register", answer.version, reason="not the file that headquarters made")
            self._put_in_force(answer, content)

    def _asked(self, source: Source) -> VouchersAnswer:
        have = "" if self._arriving else self.version()
        body = source.get(vouchers_path(source.terminal, have=have), answer_bytes_max=CHANGES_ANSWER_BYTES_MAX)
        answer = parse_message(VouchersAnswer, body)
        if (answer.key_version, answer.key_fingerprint) != (self._key.version, self._key.fingerprint):
            raise VouchersKeyMismatch(
                "fetch register",
                "headquarters",
                register=f"v{answer.key_version}/{answer.key_fingerprint}",
                key=f"v{self._key.version}/{self._key.fingerprint}",
            )
        return answer

    def _changed(self, answer: VouchersAnswer) -> bytes | None:
        """The register in force with the changes laid over it; None unless that is what headquarters has."""
        try:
            told = base64.b64decode(answer.changes, validate=True)
        except binascii.Error as error:
            raise MessageMalformed("fetch register", "headquarters", reason="changes: not base64") from error
        changes = Register.of(told, self._key, answer.version)
        try:
            records = dict(Register.open(self._desk.path, self._key).records())
            records |= changes.records()
            _, content = register_bytes(
                records, self._key, changes.header.built, version=answer.version, subject=answer.version
            )
        except VouchersError:  # replaced or damaged between the question and here
            return None
        return content if hashlib.sha256(content).hexdigest() == answer.sha256 else None

    def _download(self, source: Source, answer: VouchersAnswer, arriving: _Arriving, until_s: float) -> bool:
        """Append chunks until the time is over; whether all are there."""
        octets = arriving.octets
        while len(octets) < answer.size_bytes:
            path = vouchers_chunk_path(source.terminal, answer.version, len(octets) // CHUNK_BYTES)
            try:
                chunk = source.get(path, answer_bytes_max=CHUNK_BYTES)
            except HeadquartersRefused:
                self._arriving = None  # a newer one has taken its place: begin with that
                raise
            if len(chunk) != min(CHUNK_BYTES, answer.size_bytes - len(octets)):
                self._arriving = None
                raise MessageMalformed("fetch register", answer.version, reason="a chunk of another size")
            octets += chunk
            if self._monotonic_s() >= until_s:
                break
        return len(octets) == answer.size_bytes

    def _put_in_force(self, answer: VouchersAnswer, content: bytes) -> None:
        header = Register.of(content, self._key, answer.version).header
        if header.version != answer.version:
            raise VouchersDamaged("fetch register", answer.version, reason="another version")
        put_in_place(content, self._desk.path)
        self._arriving = None
        logger.info("the register %s of %d vouchers has come from headquarters", header.version, header.count)
