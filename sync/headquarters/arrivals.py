"""Telling open pages that redemptions have come in, whichever worker they came to.

Requests are worked on in threads, the hub lives on the event loop: what a thread announces is handed over there. Other
workers hear of it over the database (`broadcast`) where that is PostgreSQL; SQLite has one worker. A page also looks by
itself now and then, so that it never stays behind for long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Engine

from sync.headquarters.broadcast import Broadcast
from terminal.ledger.project import Redemption
from terminal.serving.hub import Hub

EVENT: Final = "redemption"
# A backlog of 500 a batch would only push slow pages out of the hub; the page shows the latest anyway.
ANNOUNCED_MAX: Final = 20


class Arrivals:
    """Bound to one event loop by `begin`; before that and after `end` nobody listens."""

    def __init__(self, hub: Hub, engine: Engine | None = None) -> None:
        """`engine`: of the database that workers share."""
        self._hub = hub
        self._loop: asyncio.AbstractEventLoop | None = None
        shared = engine is not None and engine.dialect.name == "postgresql"
        self._broadcast = Broadcast(engine, self._publish_soon) if shared and engine is not None else None

    def begin(self) -> None:
        """Announce on the loop that runs now."""
        self._loop = asyncio.get_running_loop()
        if self._broadcast is not None:
            self._broadcast.start()

    def end(self) -> None:
        """Announce no more."""
        self._loop = None
        if self._broadcast is not None:
            self._broadcast.stop()

    def announce_soon(self, changed: Sequence[Redemption]) -> None:
        """From any thread: tell every open page of the latest of `changed`."""
        for redemption in changed[-ANNOUNCED_MAX:]:
            self.tell_soon(EVENT, announcement(redemption))

    def tell_soon(self, event: str, data: Mapping[str, object]) -> None:
        """From any thread: an event to every open page of every worker; `data` is small and holds nothing personal."""
        self._publish_soon(event, data)
        if self._broadcast is not None:
            self._broadcast.send(event, data)

    def _publish_soon(self, event: str, data: Mapping[str, object]) -> None:
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._hub.publish, event, data)


def announcement(redemption: Redemption) -> Mapping[str, object]:
    """What an event says: enough to know whether to look."""
    return {
        "id": redemption.id,
        "state": redemption.state.value,
        "merchant": redemption.merchant,
        "site": redemption.site,
        "offer": redemption.offer,
        "units": redemption.units,
        "pay": redemption.pay_fen,
        "business_day": redemption.business_day,
    }
