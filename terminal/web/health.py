"""For machines that watch: `/healthz` and `/metrics`. No sign-in, nothing personal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from drivers.reader import ReaderState
from terminal.web.parts import WORKING, StatusNow, WebParts


class ReaderHealth(BaseModel):
    """One reader and its state."""

    name: str
    state: ReaderState


class HeadquartersHealth(BaseModel):
    """The line to headquarters and what waits for it."""

    online: bool
    waiting: int
    oldest_s: int | None


class LedgerSequence(BaseModel):
    """How far the ledger has come."""

    sequence: int


class BookRevision(BaseModel):
    """The offer book in use; null: none."""

    revision: int | None


class Health(BaseModel):
    """How the terminal is. `degraded`: something on the status page needs attention; selling may still go on."""

    status: Literal["ok", "degraded"]
    readers: list[ReaderHealth]
    headquarters: HeadquartersHealth
    ledger: LedgerSequence
    book: BookRevision


def health_routes(parts: WebParts) -> APIRouter:
    """`/healthz` and `/metrics`."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> Health:
        """How the terminal is."""
        return health_of(await run_in_threadpool(parts.status))

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """The same as numbers, for Prometheus."""
        from prometheus_client import CONTENT_TYPE_LATEST

        return Response(
            metrics_text(await run_in_threadpool(parts.status), parts.hub.subscribers), media_type=CONTENT_TYPE_LATEST
        )

    return router


def health_of(now: StatusNow) -> Health:
    """What `/healthz` says of a moment."""
    line = now.headquarters
    return Health(
        status="ok" if now.ok else "degraded",
        readers=[ReaderHealth(name=reader.name, state=reader.state) for reader in now.readers],
        headquarters=HeadquartersHealth(
            online=line is not None and line.online,
            waiting=line.waiting if line else now.ledger.waiting.count,
            oldest_s=line.oldest_s if line else None,
        ),
        ledger=LedgerSequence(sequence=now.ledger.sequence),
        book=BookRevision(revision=now.book_revision),
    )


def metrics_text(now: StatusNow, streams: int) -> bytes:
    """The moment in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest  # only whoever scrapes needs it

    class Moment:
        def collect(self) -> Iterator[Any]:
            yield from _gauges(now, streams)

    registry = CollectorRegistry()
    registry.register(Moment())
    return generate_latest(registry)


def _gauges(now: StatusNow, streams: int) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

    health = health_of(now)
    yield InfoMetricFamily("jingka_terminal", "This terminal", {"terminal": now.terminal, "version": now.version})
    readers = GaugeMetricFamily("jingka_reader_working", "1 when the reader can read a card", labels=["reader"])
    for reader in now.readers:
        readers.add_metric([reader.name], reader.state in WORKING)
    yield readers
    for name, text, value in (
        ("jingka_headquarters_online", "1 when headquarters takes what is sent", health.headquarters.online),
        ("jingka_wait_queue_entries", "Entries that headquarters has not acknowledged", health.headquarters.waiting),
        ("jingka_wait_queue_oldest_seconds", "Age of the oldest of them", health.headquarters.oldest_s or 0),
        ("jingka_ledger_sequence", "The ledger's last entry", now.ledger.sequence),
        ("jingka_ledger_ok", "1 when redemptions can be recorded", now.ledger.ok),
        ("jingka_ledger_file_bytes", "The ledger's files", now.ledger.file_bytes),
        ("jingka_disk_free_bytes", "Free room on the ledger's disk", now.ledger.free_bytes),
        ("jingka_book_revision", "The offer book in use, 0 for none", now.book_revision or 0),
        ("jingka_roll_cards", "Cards on the roll in use", now.roll_cards or 0),
        ("jingka_event_streams", "Pages that listen to live events", streams),
    ):
        yield GaugeMetricFamily(name, text, value=float(value))
