"""A sale through the API, step by step, as another till's program makes it."""

from __future__ import annotations

from typing import Any

import httpx
import uuid_utils

from tests.fakes.till import Till

TICKETS: dict[str, Any] = {"category": "film-ticket", "quantity": 2, "list_price": 8000, "attributes": {"format": "2d"}}


async def quoted(client: httpx.AsyncClient, till: Till, offer: str = "winter-film", **line: Any) -> httpx.Response:
    """The quote of one line for the card presented."""
    card = till.counter.presentation
    body = {"presentation": card.id if card else "none", "offer": offer, "lines": [{**TICKETS, **line}], "proofs": {}}
    return await client.post("/api/v1/quotes", json=body)


async def authorised(client: httpx.AsyncClient, till: Till, **line: Any) -> str:
    """Present the member's card, buy film tickets; the redemption's id."""
    till.present("member")
    return await sold_to_the_card(client, till, **line)


async def sold_to_the_card(client: httpx.AsyncClient, till: Till, **line: Any) -> str:
    """Buy film tickets for the card that is presented; the redemption's id."""
    quote = (await quoted(client, till, **line)).json()["quote"]
    redemption = str(uuid_utils.uuid7())
    answer = await client.post("/api/v1/redemptions", json={"id": redemption, "quote": quote})
    assert answer.status_code == 201, answer.text
    return redemption


async def completed(client: httpx.AsyncClient, till: Till) -> str:
    """The same, and the POS took the money."""
    redemption = await authorised(client, till)
    answer = await client.post(f"/api/v1/redemptions/{redemption}/complete", json={"pos_reference": "123456789012"})
    assert answer.status_code == 200, answer.text
    return redemption
