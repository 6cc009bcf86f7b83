"""The daemon of the demonstration in this process: what it was wired for, seen from outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.settings import load_terminal
from drivers.transcript import parse_transcript
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.replay import read_again
from terminal.daemon import Daemon
from terminal.demo import PEOPLE, prepare
from terminal.serving.hub import Hub

pytestmark = pytest.mark.anyio

WAIT_S = 10.0  # a virtual card is read in milliseconds
POLL_S = 0.02
CASHIER, MANAGER = (PEOPLE[0][0], PEOPLE[0][3]), (PEOPLE[1][0], PEOPLE[1][3])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def running(tmp_path: Path, reads_dir: Path | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """The daemon with its readers at work; a client with a cashier signed in."""
    settings = load_terminal(prepare(tmp_path / "demo", "virtual")[0])
    support = settings.support.model_copy(update={"reads_dir": reads_dir})
    daemon = Daemon(settings.model_copy(update={"support": support}), Hub())
    async with (
        daemon.lifespan(daemon.app),
        httpx.AsyncClient(transport=httpx.ASGITransport(daemon.app), base_url="http://127.0.0.1:8520") as client,
    ):
        await client.post("/api/v1/session", json={"cashier": CASHIER[0], "pin": CASHIER[1]})
        yield client


async def outcomes(client: httpx.AsyncClient, count: int) -> list[dict[str, Any]]:
    """The outcomes of `count` cards, newest first, once they have come."""
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while len(told := (await client.get("/api/v1/readers")).json()["outcomes"]) < count:
        assert asyncio.get_running_loop().time() < deadline, told
        await asyncio.sleep(POLL_S)
    return list(told)


async def present(client: httpx.AsyncClient, card: str, count: int) -> dict[str, Any]:
    """What became of the card, the `count`-th presented."""
    assert (await client.post(f"/demo/cards/{card}/present")).status_code == 204
    return (await outcomes(client, count))[0]


async def test_every_way_in_is_among_the_last_cards_presented(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        tapped = await present(client, "member", 1)
        swiped = await present(client, "stripe-member", 2)
        typed = await client.post(
            "/api/v1/presentation/manual",
            json={
                "number": DEMO_CARDS["member-2"].digits,
                "expiry": "12/49",
                "manager": MANAGER[0],
                "pin": MANAGER[1],
            },
        )
        assert typed.status_code == 200, typed.text
        by_hand = (await outcomes(client, 3))[0]
    assert (tapped["entry_mode"], swiped["entry_mode"]) == ("contactless", "stripe")
    assert (by_hand["entry_mode"], by_hand["authenticity_reason"], by_hand["read_ms"]) == ("manual", "typed", None)
    assert tapped["steps"][0] == {**tapped["steps"][0], "command": "SELECT 0400", "status": "9000"}


async def test_with_the_option_each_chip_is_recorded_and_can_be_played_again(tmp_path: Path) -> None:
    reads_dir = tmp_path / "reads"
    async with running(tmp_path, reads_dir) as client:
        await present(client, "member", 1)
        await present(client, "stripe-member", 2)
    (file,) = reads_dir.iterdir()
    assert read_again(parse_transcript(file.read_text("utf-8"))).pan.masked == DEMO_CARDS["member"].pan.masked
    assert DEMO_CARDS["member"].digits not in file.read_text("utf-8").replace(" ", "").replace("\n", "")


async def test_without_it_none_is(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await present(client, "member", 1)
    assert list(tmp_path.rglob("read-*")) == []
