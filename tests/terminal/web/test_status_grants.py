"""What a manager and a machine that watches see of slices, use elsewhere and holds."""

from __future__ import annotations

import html
from datetime import UTC, datetime

import httpx
import pytest

from config.errors import Language, Words
from sync.holds import HoldTold
from terminal.web.parts import GrantsNow, UnspentSlice
from tests.fakes.till import Till

pytestmark = pytest.mark.anyio

AT = datetime(2012, 12, 25, 2, 30, tzinfo=UTC)
FILM = UnspentSlice("winter-film", "pool", Words("看电影", "Winter film"), 12)
GONE = UnspentSlice("old-offer", "pool", None, 3)


def grants(left_s: int = 7200, *, leased: bool = True, ended: str | None = None) -> GrantsNow:
    holds = (HoldTold(AT, 87, "granted"), HoldTold(AT, 801, "late"))
    return GrantsNow(leased, left_s, ended, (FILM, GONE), 12_345, AT, holds)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("zh", ["总部名额", "看电影（pool）本机未用", "2小时", "12,345 条", "年前的", "已预留", "87 · 801 ms"]),
        (
            "en",
            [
                "Slices from headquarters",
                "Winter film (pool) left here",
                "another 2 hours",
                "12,345 known",
                "years old",
                "801",
            ],
        ),
    ],
)
async def test_slices_and_holds_are_shown(
    manager: httpx.AsyncClient, till: Till, language: Language, words: list[str]
) -> None:
    manager.cookies.set("jingka_language", language)
    till.grants = grants()
    page = html.unescape((await manager.get("/status/parts")).text)
    assert [word for word in words if word not in page] == []
    assert "old-offer" in page


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (grants(0, ended="lease-frozen"), "本机的名额现在不能用"),
        (grants(0, leased=False), "使用设置中的份额"),
        (GrantsNow(True, 60, None, (), 0, None, ()), "尚未收到"),
    ],
)
async def test_what_is_missing_is_said(manager: httpx.AsyncClient, till: Till, shown: GrantsNow, words: str) -> None:
    till.grants = shown
    assert words in (await manager.get("/status/parts")).text


async def test_without_headquarters_there_is_no_such_part(manager: httpx.AsyncClient, till: Till) -> None:
    assert "总部名额" not in (await manager.get("/status/parts")).text
    assert "jingka_lease_left_seconds" not in (await manager.get("/metrics")).text


async def test_a_machine_that_watches_gets_the_numbers(stranger: httpx.AsyncClient, till: Till) -> None:
    till.grants = grants()
    lines = (await stranger.get("/metrics")).text.splitlines()
    assert 'jingka_slice_unspent{limit="pool",offer="winter-film"} 12.0' in lines
    assert "jingka_lease_left_seconds 7200.0" in lines
    assert "jingka_usage_elsewhere_keys 12345.0" in lines
    (as_of,) = (line for line in lines if line.startswith("jingka_usage_elsewhere_as_of_seconds "))
    assert float(as_of.split()[1]) == AT.timestamp()
    assert "jingka_hold_last_seconds 0.087" in lines
