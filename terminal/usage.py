"""What the rules ask of usage, grants and vouchers, answered from the ledger and from what headquarters handed out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from terminal.ledger.ledger import Ledger
from terminal.offers.visits import day_of, redeemed_prefix
from terminal.offers.voucher import VoucherRecord
from terminal.vouchers.desk import VoucherDesk


class LedgerUsage:
    """What the rules ask, answered from the ledger, the allotted slices and the register of vouchers, if any."""

    def __init__(self, ledger: Ledger, slices: Mapping[str, int], vouchers: VoucherDesk | None = None) -> None:
        self._ledger = ledger
        self._slices = slices
        self._vouchers = vouchers

    def used(self, key: str) -> int:
        """Units, uses or fen already used under this key at this terminal."""
        return self._ledger.used(key)

    def elsewhere(self, key: str) -> int:
        """Nothing is known of other terminals."""
        return 0

    def slice_of(self, offer: str, limit: str, key: str) -> int | None:
        """What headquarters allotted this terminal of a pool; None when nothing."""
        return self._slices.get(f"{offer}/{limit}")

    def last_redeemed(self, offer: str, person: str) -> date | None:
        """When this person last redeemed an offer here, by the ledger."""
        return day_of(self._ledger.latest_used(redeemed_prefix(offer, person)))

    @property
    def vouchers_known(self) -> bool:
        """Whether this terminal has a sound register of vouchers now."""
        return self._vouchers is not None and self._vouchers.known

    def voucher(self, code: str) -> VoucherRecord | None:
        """The voucher of this code in its one spelling; None when the register holds none."""
        return None if self._vouchers is None else self._vouchers.find(code)
