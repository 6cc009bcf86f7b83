"""Sales as the counter would hand them to the ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import uuid_utils

from terminal.ledger.bodies import Authorisation, UsageClaim

MERCHANT = "workers-club"
SITE = "main-hall"


def sale(number: int = 1, **changes: Any) -> Authorisation:
    """Two winter tickets for member `number`: 2 of 2 tickets, 1 of 1 purchase; a fresh id unless one is given."""
    token = f"v1:{number:064x}"
    winter = Authorisation(
        id=str(uuid_utils.uuid7()),
        cashier="c01",
        business_day="2012-12-25",
        merchant=MERCHANT,
        site=SITE,
        token=token,
        person=token,
        masked="**** 0021",
        member_class="ordinary",
        standing="active",
        entry_mode="contact",
        reader="pcsc-1",
        authenticity="unverified",
        offer="winter-film",
        offer_name={"zh": "看电影", "en": "Winter film"},
        revision=3,
        book_hash="ab" * 32,
        lines=(
            {
                "category": "film-ticket",
                "quantity": 2,
                "list_fen": 8000,
                "pay_fen": 1000,
                "attributes": {"format": "2d"},
                "trace": "fixed 1000",
            },
        ),
        fees=(),
        list_fen=16_000,
        pay_fen=2_000,
        units=2,
        claims=(
            UsageClaim(f"winter-film/tickets/{token}", 2, 2),
            UsageClaim(f"winter-film/purchases/{token}", 1, 1),
        ),
        proofs={},
        granted="local",
    )
    return replace(winter, **changes)
