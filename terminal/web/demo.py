"""The demonstration's virtual cards, to present and remove. Served only when the daemon hands them in."""

from __future__ import annotations

from fastapi import APIRouter

from terminal.web.parts import DemoCards


def demo_routes(cards: DemoCards) -> APIRouter:
    """No sign-in: nothing here is real, and the guard keeps other sites' pages out."""
    router = APIRouter(prefix="/demo/cards", tags=["demonstration"])

    @router.get("")
    async def names() -> list[dict[str, str]]:
        """The virtual cards by name."""
        return cards.names()

    # Before `/{name}/present`, so that no card can be called `remove`.
    @router.post("/remove", status_code=204)
    async def remove() -> None:
        """Take the card away."""
        await cards.remove()

    @router.post("/{name}/present", status_code=204)
    async def present(name: str) -> None:
        """Hold a card to the reader."""
        await cards.present(name)

    return router
