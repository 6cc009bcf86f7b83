"""For machines that watch: `/healthz` and `/metrics`. No sign-in, nothing personal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from drivers.outcomes import READ_S_BOUNDS, ReadHistory
from drivers.reader import ReaderState, ReaderStatus
from terminal.web.parts import WORKING, GrantsNow, StatusNow, WebParts


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
    yield from _reader_states(now.readers)
    yield from _reads(now.reads)
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
    if now.grants is not None:
        yield from _grants(now.grants)


def _grants(grants: GrantsNow) -> Iterator[Any]:
    """What headquarters lets this terminal spend, and how fresh its word on other shops is."""
    from prometheus_client.core import GaugeMetricFamily

    unspent = GaugeMetricFamily("jingka_slice_unspent", "Left of a limit's slices here", labels=["offer", "limit"])
    for each in grants.unspent:
        unspent.add_metric([each.offer, each.limit], each.left)
    yield unspent
    yield GaugeMetricFamily("jingka_lease_left_seconds", "How long slices may still be spent", value=grants.left_s)
    yield GaugeMetricFamily("jingka_usage_elsewhere_keys", "Counters known of other shops", value=grants.usage_keys)
    if grants.usage_as_of is not None:
        as_of_s = grants.usage_as_of.timestamp()
        yield GaugeMetricFamily("jingka_usage_elsewhere_as_of_seconds", "Up to when, since 1970", value=as_of_s)
    if grants.holds:
        took_s = grants.holds[0].took_ms / 1000
        yield GaugeMetricFamily("jingka_hold_last_seconds", "How long the last hold took", value=took_s)


def _reader_states(readers: Sequence[ReaderStatus]) -> Iterator[Any]:
    """1 for the state that a reader is in, 0 for every other: a state's share of time is then an average."""
    from prometheus_client.core import GaugeMetricFamily

    states = GaugeMetricFamily("jingka_reader_state", "1 for the state the reader is in", labels=["reader", "state"])
    for reader in readers:
        for state in ReaderState:
            states.add_metric([reader.name, state.value], reader.state is state)
    yield states


def _reads(history: ReadHistory) -> Iterator[Any]:
    """What became of the cards presented since the start."""
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    reads = CounterMetricFamily("jingka_card_reads", "Cards read", labels=["reader", "entry_mode"])
    for (reader, entry_mode), count in history.reads.items():
        reads.add_metric([reader, entry_mode.value], count)
    yield reads
    failures = CounterMetricFamily("jingka_card_read_failures", "Cards presented, not read", labels=["reader", "code"])
    for (reader, code), count in history.failures.items():
        failures.add_metric([reader, code], count)
    yield failures
    seconds = HistogramMetricFamily("jingka_card_read_seconds", "The exchange with a card read", labels=["reader"])
    for reader, times in history.times.items():
        upto = zip((*map(str, READ_S_BOUNDS), "+Inf"), accumulate(times.counts), strict=True)
        seconds.add_metric([reader], list(upto), times.sum_s)
    yield seconds
