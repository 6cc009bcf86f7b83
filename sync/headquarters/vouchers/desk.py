"""What people at headquarters do with vouchers, from what they type to what they are shown.

A code that is typed becomes its hash at once and is nowhere else; everything here blocks on the database.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

from sync.headquarters.roll.errors import HashingKeyMissing
from sync.headquarters.storage import Storage
from sync.headquarters.vouchers import lists, register
from sync.headquarters.vouchers.errors import VoucherCodeMistyped
from sync.headquarters.vouchers.lists import ListView, RejectedLine
from sync.headquarters.vouchers.register import OfferVouchers, RegisterState
from terminal.membership.token import ProgrammeKey
from terminal.offers.voucher import VoucherRecord, spelt, well_formed
from terminal.serving.people import Person, Role
from terminal.vouchers.register import code_hash
from terminal.vouchers.voucher_list import read_voucher_list, read_voucher_upload

# Vouchers belong to an offer, so whoever edits offers brings them in; the duty desk withdraws what was lost or stolen.
READERS: Final = (Role.EDITOR, Role.OPERATOR, Role.APPROVER, Role.AUDITOR)
BRINGERS: Final = (Role.EDITOR,)
CONFIRMERS: Final = (Role.EDITOR, Role.APPROVER)
WITHDRAWERS: Final = (Role.EDITOR, Role.OPERATOR)


@dataclass(frozen=True, slots=True)
class VoucherView:
    """One voucher as people see it: whether it is somebody's, never whose; no merchants: good at all of the offer."""

    offer: str
    bound: bool
    last_day: date | None
    merchants: list[str]
    revoked: bool


class VouchersDesk:
    """Callable from any thread. `key` None: everything that needs a code raises `HashingKeyMissing`."""

    def __init__(self, storage: Storage, key: ProgrammeKey | None, clock: Callable[[], datetime]) -> None:
        self._storage = storage
        self._key = key
        self._clock = clock

    @property
    def key(self) -> ProgrammeKey:
        """The programme's key. Raises `HashingKeyMissing`."""
        if self._key is None:
            raise HashingKeyMissing("hash", "voucher")
        return self._key

    def overview(self) -> tuple[RegisterState, list[OfferVouchers], list[ListView]]:
        """Where the register stands, what it holds, and the lists, latest first."""
        with self._storage.read() as connection:
            return register.state_of(connection), register.summary(connection), lists.latest(connection)

    # --- lists --------------------------------------------------------------------------------------------------------

    def list_of(self, number: int) -> tuple[ListView, list[RejectedLine]]:
        """A list and the lines of it that were set aside. Raises `VoucherListMissing`."""
        with self._storage.read() as connection:
            return lists.find(connection, number), lists.rejected(connection, number)

    def preview(self, content: bytes, by: Person) -> ListView:
        """What a list that came with a request, and lies in memory alone, would do. Raises as `lists.preview`."""
        lines = read_voucher_upload(io.BytesIO(content), self.key)
        return lists.preview(self._storage, lines, self.key, by=by, now=self._clock())

    def preview_file(self, path: Path, by: Person, progress: Callable[[int, int], None]) -> ListView:
        """What the list in a file would do; `progress` is told the octets done, and all. Raises as `preview`."""
        lines = read_voucher_list(path, self.key, progress)
        return lists.preview(self._storage, lines, self.key, by=by, now=self._clock())

    def confirm(self, number: int, by: Person) -> ListView:
        """Put a list in force. Raises what `lists.confirm` does."""
        return lists.confirm(self._storage, number, self.key, by=by, now=self._clock())

    def discard(self, number: int, by: Person) -> ListView:
        """Forget a list. Raises `VoucherListMissing`, `VoucherListSettled`."""
        return lists.discard(self._storage, number, by=by, now=self._clock())

    # --- single vouchers, and offers that are over --------------------------------------------------------------------

    def look_up(self, typed: str) -> VoucherView:
        """What the register says of a code. Raises `VoucherCodeMistyped`, `VoucherUnregistered`."""
        hashed = self._hashed(typed)
        with self._storage.read() as connection:
            return _view(register.find(connection, hashed))

    def withdraw(self, typed: str, by: Person, *, revoked: bool = True) -> VoucherView:
        """Withdraw a voucher by its code, or (`revoked` False) make it good again. Raises as `look_up`."""
        hashed = self._hashed(typed)
        with self._storage.write() as connection:
            changed = register.withdraw(connection, hashed, self.key, revoked=revoked, by=by, now=self._clock())
            return _view(changed)

    def forget(self, offer: str, by: Person) -> int:
        """Take every voucher of an offer out of the register; how many. Raises `VoucherOfferMissing`."""
        with self._storage.write() as connection:
            return register.forget(connection, offer, by=by, now=self._clock())

    def _hashed(self, typed: str) -> bytes:
        code = spelt(typed)
        if not well_formed(code):
            raise VoucherCodeMistyped("look up", "voucher")
        return code_hash(code, self.key)


def _view(record: VoucherRecord) -> VoucherView:
    return VoucherView(
        offer=record.offer,
        bound=record.holder is not None,
        last_day=record.last_day,
        merchants=sorted(record.merchants),
        revoked=record.revoked,
    )
