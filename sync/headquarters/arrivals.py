"""Telling open pages that redemptions have come in.

Requests are worked on in threads, the hub lives on the event loop: what a thread announces is handed over there. Only
this process's pages hear of it; a page also looks by itself now and then, so that it never stays behind for long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from terminal.ledger.project import Redemption
from terminal.serving.hub import Hub

EVENT: Final = "redemption"
# A backlog of 500 a batch would only push slow pages out of the hub; the page shows the latest anyway.
ANNOUNCED_MAX: Final = 20


class Arrivals:
    """Bound to one event loop by `begin`; before that and after `end` nobody listens."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> None:
        """Announce on the loop that runs now."""
        self._loop = asyncio.get_running_loop()

    def end(self) -> None:
        """Announce no more."""
        self._loop = None

    def announce_soon(self, changed: Sequence[Redemption]) -> None:
        """From any thread: tell every open page of the latest of `changed`."""
        loop = self._loop
        if loop is not None and changed:
            loop.call_soon_threadsafe(self._announce, changed[-ANNOUNCED_MAX:])

    def _announce(self, changed: Sequence[Redemption]) -> None:
        for redemption in changed:
            self._hub.publish(EVENT, announcement(redemption))


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
