"""What a list of vouchers changes in the register. Pure.

A list speaks only of the codes that it names: several campaigns share one register, and one campaign's list must not
take another's vouchers away. What is to be withdrawn, the list says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from terminal.offers.voucher import VoucherRecord


@dataclass(slots=True)
class Difference:
    """`records`: the vouchers that the list adds or changes, as they are afterwards, by the hashes of their codes.

    Each counts once: as new, withdrawn (it was good), restored (it was withdrawn), or otherwise changed. `offers` are
    those whose vouchers change, a voucher's former offer included.
    """

    new: int = 0
    changed: int = 0
    withdrawn: int = 0
    restored: int = 0
    unchanged: int = 0
    records: dict[bytes, VoucherRecord] = field(default_factory=dict)
    offers: set[str] = field(default_factory=set)


def compare(before: Mapping[bytes, VoucherRecord], listed: Mapping[bytes, VoucherRecord]) -> Difference:
    """What `listed` does to the register `before`."""
    found = Difference()
    for hashed, record in listed.items():
        was = before.get(hashed)
        if was == record:
            found.unchanged += 1
            continue
        found.records[hashed] = record
        found.offers.add(record.offer)
        if was is None:
            found.new += 1
            continue
        found.offers.add(was.offer)
        if record.revoked and not was.revoked:
            found.withdrawn += 1
        elif was.revoked and not record.revoked:
            found.restored += 1
        else:
            found.changed += 1
    return found
