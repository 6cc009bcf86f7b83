"""The demonstration's cards on the page: a click plays one into the reader that the settings name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from config.errors import JingkaError, Retry, Words
from drivers.virtual.card import DEMO_CARDS, CardPresenter


class DemoCardUnknown(JingkaError):
    """The demonstration has no card of that name."""

    code = "demo-card-unknown"
    retry = Retry.PARK
    what = Words("没有名为 {subject} 的演示卡", "the demonstration has no card named {subject}")
    hint = Words("GET /demo/cards 列出全部演示卡", "GET /demo/cards lists them")


class DemoCardPlayer:
    """Plays `DEMO_CARDS` through a presenter; `on_remove` is called when the card's holder has taken it and gone."""

    def __init__(self, presenter: CardPresenter, on_remove: Callable[[], None]) -> None:
        self._presenter = presenter
        self._on_remove = on_remove

    def names(self) -> list[dict[str, str]]:
        """Each card's name and its title in both languages."""
        return [{"name": card.name, "zh": card.title.zh, "en": card.title.en} for card in DEMO_CARDS.values()]

    async def present(self, name: str) -> None:
        """Lay the card on the reader. Raises `DemoCardUnknown` and the presenter's errors."""
        card = DEMO_CARDS.get(name)
        if card is None:
            raise DemoCardUnknown("present card", name[:40])
        await asyncio.to_thread(self._presenter.present, card)

    async def remove(self) -> None:
        """Take the card away, and with it the answer on the page."""
        await asyncio.to_thread(self._presenter.remove)
        self._on_remove()
