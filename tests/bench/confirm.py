"""From the request to redeem to its durable reply, over HTTP, beside the raw limits met in the same rounds.

Every round makes one raw commit, one request to a bare FastAPI application, and one redemption with its own id and
quote, while a page listens to live events as it does at a counter.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import uuid_utils

from tests.bench.figures import Spread, heading, line
from tests.bench.processes import free_port, running
from tests.bench.site import Load, bench_card, measured_terminal
from tests.bench.till import Till
from tests.bench.yardsticks import RawCommits

WARM_UP = 30
COMMITS_AIM = 4  # durable commits that a confirmation may cost, beside one bare request
LINES = [{"category": "film-ticket", "quantity": 2, "list_price": 8000, "attributes": {"format": "2d"}}]


def measure(cache: Path, load: Load, rounds: int) -> None:
    """Print the confirmation's time for `rounds` redemptions and its ratio to the limit."""
    heading(f"confirm: {load}")
    raw_ms: list[float] = []
    bare_ms: list[float] = []
    ours_ms: list[float] = []
    with (
        tempfile.TemporaryDirectory(dir=cache) as root,
        contextlib.closing(RawCommits(Path(root) / "raw.sqlite")) as raw,
        bare_post() as post,
        measured_terminal(Path(root), cache, load) as (reader, till),
        till.events() as events,
    ):
        events.next("presentation")  # the greeting
        reader.present(bench_card(0))
        _, told = events.next("presentation")
        for number in range(WARM_UP + rounds):
            sale = str(uuid_utils.uuid7())
            taken = (timed(raw.commit), timed(post), redeem_ms(till, told["id"], sale))
            events.next("redemption")
            till.post(f"/api/v1/redemptions/{sale}/complete", {})  # not timed; a counter does not leave sales open
            events.next("redemption")
            if number >= WARM_UP:
                for times, ms in zip((raw_ms, bare_ms, ours_ms), taken, strict=True):
                    times.append(ms)
    commit, bare, ours = Spread.of(raw_ms), Spread.of(bare_ms), Spread.of(ours_ms)
    limit_ms = COMMITS_AIM * commit.p50 + bare.p50
    line("raw SQLite commit, WAL, synchronous=FULL", commit, f"slowest {max(raw_ms):.3f} ms")
    line("bare FastAPI POST", bare, f"slowest {max(bare_ms):.3f} ms")
    line("confirm: request to durable reply", ours, f"slowest {max(ours_ms):.3f} ms")
    line(
        f"{COMMITS_AIM} raw commits and one bare request",
        f"{limit_ms:.3f} ms",
        f"ours is {ours.p50 / limit_ms:.2f} of it; aim: 1",
    )


def redeem_ms(till: Till, presentation: str, sale: str) -> float:
    """Quote anew, then time the redemption alone."""
    quoted = till.post("/api/v1/quotes", {"presentation": presentation, "offer": "film", "lines": LINES})
    wanted = {"id": sale, "quote": quoted["quote"]}
    return timed(lambda: till.post("/api/v1/redemptions", wanted))


@contextlib.contextmanager
def bare_post() -> Iterator[Callable[[], object]]:
    """One request with a body like ours to the bare application."""
    port = free_port()
    with running([sys.executable, "-m", "tests.bench.yardsticks", str(port)], port):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        wanted = {"id": str(uuid_utils.uuid7()), "quote": str(uuid_utils.uuid7())}

        def post() -> object:
            connection.request("POST", "/redemptions", json.dumps(wanted), {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())

        yield post
        connection.close()


def timed(call: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000
