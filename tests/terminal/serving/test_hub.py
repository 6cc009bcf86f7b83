from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest

from terminal.serving.hub import KEEP_ALIVE, QUEUE_EVENTS_MAX, SUBSCRIBERS_MAX, Hub, encode
from terminal.serving.problems import TooManyStreams

pytestmark = pytest.mark.anyio


async def listen(hub: Hub, found: list[str]) -> None:
    async for event in hub.subscribe():
        found.append(event.name)


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("what was waited for did not come")


async def until_listening(hub: Hub, count: int) -> None:
    await until(lambda: hub.subscribers == count)


async def test_everyone_who_listens_hears_every_event_in_order() -> None:
    hub = Hub()
    heard: list[list[str]] = [[], []]
    tasks = [asyncio.create_task(listen(hub, each)) for each in heard]
    await until_listening(hub, 2)
    for name in ("presentation", "reader", "redemption"):
        hub.publish(name, {})
    await until(lambda: [len(each) for each in heard] == [3, 3])
    hub.close()
    await asyncio.gather(*tasks)
    assert heard == [["presentation", "reader", "redemption"]] * 2


async def test_whoever_reads_too_slowly_is_told_to_resync_and_let_go() -> None:
    hub = Hub()
    stream = hub.subscribe()
    first = asyncio.ensure_future(anext(stream))
    await until_listening(hub, 1)
    hub.publish("first", {})
    assert (await first).name == "first"
    for _ in range(QUEUE_EVENTS_MAX + 1):
        hub.publish("flood", {})
    assert hub.subscribers == 0
    assert [event.name async for event in stream] == ["resync"]


async def test_as_many_may_listen_as_the_bound_says() -> None:
    hub = Hub()
    tasks = [asyncio.create_task(listen(hub, [])) for _ in range(SUBSCRIBERS_MAX)]
    await until_listening(hub, SUBSCRIBERS_MAX)
    with pytest.raises(TooManyStreams):
        hub.room()
    with pytest.raises(TooManyStreams):
        await anext(hub.subscribe())
    hub.close()
    await asyncio.gather(*tasks)
    hub.room()


async def read(stream: AsyncIterator[bytes], count: int) -> list[bytes]:
    return [await anext(stream) for _ in range(count)]


async def test_a_stream_greets_tells_and_keeps_the_line_open() -> None:
    hub = Hub()
    stream = hub.stream(lambda: [("presentation", {"id": None})], keep_alive_s=0.01)
    assert await read(stream, 3) == [
        b"retry: 1000\n\n",
        b'event: presentation\ndata: {"id":null}\n\n',
        KEEP_ALIVE,
    ]
    hub.publish("reader", {"name": "读卡器"})
    assert await anext(stream) == 'event: reader\ndata: {"name":"读卡器"}\n\n'.encode()
    await stream.aclose()  # type: ignore[attr-defined]
    assert hub.subscribers == 0


async def test_a_stream_ends_with_its_session_even_when_nothing_happens() -> None:
    hub = Hub()
    stream = hub.stream(list, alive=lambda: False, keep_alive_s=0.01)
    await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert hub.subscribers == 0


async def test_a_stream_shows_nothing_after_its_session() -> None:
    hub = Hub()
    signed_in = [True]
    stream = hub.stream(list, alive=lambda: signed_in[0])
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await until_listening(hub, 1)
    signed_in[0] = False
    hub.publish("presentation", {"masked": "**** 0021"})
    with pytest.raises(StopAsyncIteration):
        await waiting


async def test_closing_ends_every_stream_and_lets_no_new_one_hang() -> None:
    hub = Hub()
    stream = hub.stream(list)
    await anext(stream)
    hub.close()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert [event async for event in hub.subscribe()] == []


def test_publishing_to_nobody_costs_nothing() -> None:
    Hub().publish("presentation", {"never": object})


def test_an_event_is_one_line_of_json_whatever_the_data() -> None:
    wire = encode("redemption", {"reason": "第一行\n第二行\r"})
    lines = wire.decode().split("\n")
    assert len(lines) == 4
    assert json.loads(lines[1].removeprefix("data: ")) == {"reason": "第一行\n第二行\r"}
