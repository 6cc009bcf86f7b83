"""What the rules ask of usage, grants and vouchers, answered from the ledger and from what headquarters handed out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import date
from typing import Final, Protocol

from terminal.ledger.grants import Grant, KeyWord
from terminal.ledger.ledger import Ledger
from terminal.offers.counts import LIMIT_MAX
from terminal.offers.visits import day_of, redeemed_prefix
from terminal.offers.voucher import VoucherRecord
from terminal.vouchers.desk import VoucherDesk

# A refusal of headquarters' is believed so long: the quote after it says so too, and the next customer asks anew.
TOLD_MS: Final = 30_000
TOLD_KEYS_MAX: Final = 256  # refused keys remembered: one per customer of half a minute


class Elsewhere(Protocol):
    """What other terminals used, as headquarters sent it; `sync.elsewhere.UsageElsewhere` is one."""

    def used(self, key: str) -> int:
        """Units, uses or fen used under this key at all other terminals, as of the last word."""


class LedgerUsage:
    """What the rules ask, answered from the ledger, headquarters' grants and the register of vouchers, if any.

    `slices` are the settings' own, for a terminal that headquarters never leased anything. `asks`: whether headquarters
    can be asked for more at this moment.
    """

    def __init__(
        self,
        ledger: Ledger,
        slices: Mapping[str, int],
        vouchers: VoucherDesk | None = None,
        *,
        elsewhere: Elsewhere | None = None,
        asks: Callable[[], bool] = lambda: False,
        now_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self._ledger = ledger
        self._slices = slices
        self._vouchers = vouchers
        self._elsewhere = elsewhere
        self._asks = asks
        self._now_ms = now_ms
        self._told_used = _Told()  # of limits that hang on a person, and others that are asked for each time
        self._told_pools = _Told()  # of limits that slices are cut for

    def used(self, key: str) -> int:
        """Units, uses or fen already used under this key, here and as far as is known elsewhere."""
        here = self._ledger.used(key)
        return here + self._used_elsewhere(key, here)

    def elsewhere(self, key: str) -> int:
        """What of `used` was used at other terminals."""
        return self._used_elsewhere(key, None)

    def slice_of(self, offer: str, limit: str, key: str) -> int | None:
        """What may be used here in all: out of the slice while its lease is live, and by asking while that can be done.

        None: neither is there.
        """
        by_hand = self.slice_by_hand(offer, limit)
        if by_hand is not None:
            return by_hand
        grant = self.live_grant(key)
        allowance = None if grant is None else grant.allowance
        if not self._asks():
            return allowance
        told = self._told_pools.of(key, self._now_ms())
        return LIMIT_MAX if told is None else max(allowance or 0, self._ledger.used(key)) + told.left

    def slice_by_hand(self, offer: str, limit: str) -> int | None:
        """The settings' slice, where it counts: headquarters never granted this terminal anything."""
        by_hand = self._slices.get(f"{offer}/{limit}")
        return None if by_hand is None or self._ledger.allowances.lease().granted_once else by_hand

    def live_grant(self, key: str) -> Grant | None:
        """The slice under `key` while it may be spent."""
        return self._ledger.allowances.live_grant(key)

    def lacking(self, key: str, amount: int) -> int:
        """How much of `amount` the slice under `key` does not cover now."""
        grant = self.live_grant(key)
        return amount if grant is None else max(0, self._ledger.used(key) + amount - grant.allowance)

    def tell(self, key: str, word: KeyWord, *, pool: bool) -> None:
        """Remember for a while how headquarters says that `key` stands."""
        (self._told_pools if pool else self._told_used).put(key, word, self._now_ms())

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

    def _used_elsewhere(self, key: str, here: int | None) -> int:
        there = 0 if self._elsewhere is None else self._elsewhere.used(key)
        told = self._told_used.of(key, self._now_ms())
        if told is None:
            return there
        return max(there, told.used - (self._ledger.used(key) if here is None else here))


class _Told:
    """Headquarters' words of the last half minute, by key."""

    def __init__(self) -> None:
        self._words: OrderedDict[str, tuple[KeyWord, int]] = OrderedDict()

    def put(self, key: str, word: KeyWord, now_ms: int) -> None:
        self._words[key] = (word, now_ms)
        self._words.move_to_end(key)
        while len(self._words) > TOLD_KEYS_MAX:
            self._words.popitem(last=False)

    def of(self, key: str, now_ms: int) -> KeyWord | None:
        found = self._words.get(key)
        return None if found is None or now_ms - found[1] >= TOLD_MS else found[0]
