"""Loads on headquarters from processes of their own: requests signed beforehand, sent at given moments, or one by one.

Whoever measures must not pay for making its requests: on two cores that would be half of what it measures. So a load is
signed before it begins (a signature is good for minutes), and then is only bytes on kept-alive connections.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any, Final, Generic, TypeVar

from sync.signing import DeviceKey, HttpRequest, sign_request
from sync.wire import encode_body

READY_S_MAX: Final = 180.0  # until a load is signed
AFTER_S_MAX: Final = 60.0  # for the last answers
WARM_UP_S: Final = 1.0  # of each load, not counted

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Sender:
    """One terminal, by its key's private half."""

    terminal: str
    private: bytes

    @property
    def key(self) -> DeviceKey:
        return DeviceKey.from_private(self.private)


@dataclass(frozen=True, slots=True)
class Load:
    """What came of one: milliseconds from the moment when each request was due to its whole answer."""

    times_ms: tuple[float, ...]
    seconds: float
    refused: int  # answers other than 200, or without `expected` in them


def new_sender(terminal: str) -> Sender:
    """With a key of its own."""
    return Sender(terminal, secrets.token_bytes(32))


def signed_bytes(port: int, path: str, plain: bytes, sender: Sender, key: DeviceKey, method: str = "POST") -> bytes:
    """A whole request as it goes over the wire."""
    host = f"127.0.0.1:{port}"
    body, encoding = encode_body(plain) if plain else (b"", None)
    headers = {"content-type": "application/json"} if plain else {}
    if encoding:
        headers["content-encoding"] = encoding
    request = HttpRequest(method, f"http://{host}{path}", headers, body)
    nonce = secrets.token_hex(16)
    signature = sign_request(request, key=key, key_id=sender.terminal, now=datetime.now(UTC), nonce=nonce)
    told = {"host": host, **headers, **signature, "content-length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


class Apart(Generic[Result]):
    """Work under way in a process of its own."""

    def __init__(self, pipe: Connection, stopping: Any) -> None:
        self._pipe = pipe
        self._stopping = stopping

    def result(self, *, end: bool = False) -> Result:
        """What it came to; once."""
        if end:
            self._stopping.set()
        told: Result = self._pipe.recv()
        return told


@contextmanager
def apart(work: Callable[..., Result], *arguments: Any) -> Iterator[Apart[Result]]:
    """`work(begin, stop, *arguments)` in a process of its own, begun when the block is entered; `stop` tells it to end.

    What is yielded waits for the result of work that ends by itself, or with `end` asks it to end first.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    stopping = context.Event()
    process = context.Process(target=_apart, args=(theirs, stopping, work, arguments))
    process.start()
    theirs.close()
    try:
        assert ours.poll(READY_S_MAX), "the load was not made in time"
        assert ours.recv() == "ready"
        ours.send("begin")

        yield Apart(ours, stopping)
    finally:
        stopping.set()
        process.join(AFTER_S_MAX)
        if process.is_alive():
            process.kill()
            process.join()
        ours.close()


def _apart(pipe: Connection, stopping: Any, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    def begin() -> None:
        pipe.send("ready")
        pipe.recv()

    pipe.send(work(begin, stopping.is_set, *arguments))


def send_at_rate(
    port: int, requests: Sequence[tuple[int, bytes]], per_second: float, expected: bytes, begin: Callable[[], None]
) -> Load:
    """Each request (connection's number, bytes) at its moment, as unrelated customers come; nobody waits for others."""
    begin()
    return asyncio.run(_send_at_rate(port, requests, per_second, expected))


async def _send_at_rate(port: int, requests: Sequence[tuple[int, bytes]], per_second: float, expected: bytes) -> Load:
    wires: dict[int, _Wire] = {}
    for number, _ in requests:
        if number not in wires:
            wires[number] = await _Wire.to(port)
    chance, due_s = random.Random(7), time.perf_counter() + 0.1
    first_s, under_way, times, refused = due_s, [], [], 0

    async def one(wire: _Wire, request: bytes, due: float) -> None:
        nonlocal refused
        status, body = await wire.ask(request)
        if due - first_s >= WARM_UP_S:
            times.append((time.perf_counter() - due) * 1000)
        refused += status != 200 or expected not in body

    for number, request in requests:
        due_s += chance.expovariate(per_second)
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        under_way.append(asyncio.ensure_future(one(wires[number], request, due_s)))
    await asyncio.gather(*under_way)
    for wire in wires.values():
        wire.close()
    return Load(tuple(times), time.perf_counter() - first_s, refused)


def send_in_turn(
    port: int, requests: Sequence[bytes], per_second: float, begin: Callable[[], None], stop: Callable[[], bool]
) -> Load:
    """One after another on one connection, at most so many a second (0: as fast as they are answered)."""
    begin()
    return asyncio.run(_send_in_turn(port, requests, per_second, stop))


async def _send_in_turn(port: int, requests: Sequence[bytes], per_second: float, stop: Callable[[], bool]) -> Load:
    wire, times, refused = await _Wire.to(port), [], 0
    first_s = due_s = time.perf_counter()
    for request in requests:
        if stop():
            break
        if per_second:
            due_s += 1 / per_second
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        began_s = time.perf_counter()
        status, _ = await wire.ask(request)
        times.append((time.perf_counter() - began_s) * 1000)
        refused += status != 200
    wire.close()
    return Load(tuple(times), time.perf_counter() - first_s, refused)


class _Wire:
    """One kept-alive connection; requests on it take turns."""

    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._port = port
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()

    @classmethod
    async def to(cls, port: int) -> _Wire:
        return cls(port, *await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body; a connection that the server ended for being idle is made anew."""
        async with self._turn:
            try:
                return await self._ask(request)
            except (asyncio.IncompleteReadError, ConnectionError):
                self.close()
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
                return await self._ask(request)

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split(" ", 2)[1])
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        return status, await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()
