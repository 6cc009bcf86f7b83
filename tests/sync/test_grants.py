"""The feeds of leases and usage against answers made by hand: what is sent, believed, and told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sync.elsewhere import UsageElsewhere, UsageSet, fingerprint
from sync.enrolment import Enrolment
from sync.errors import HeadquartersRefused, LeaseFrozen, LeaseOutdated, LineDown, MessageMalformed, TerminalRevoked
from sync.feeds import Source
from sync.grants import WANTED_KEYS_MAX, Leases, UsageFeed, Wants, report_message
from sync.line import Line
from sync.signing import DeviceKey, HttpRequest, HttpResponse, sign_response
from sync.wire import encode_message, parse_message
from sync.wire_grants import LEASE_KEYS_MAX, Grant, LeaseAnswer, LeaseReport
from sync.wire_usage import UsageHead, encode_usage, pack, rice_parameter
from terminal.ledger.bodies import UsageClaim
from terminal.ledger.grants import Report, Right
from terminal.ledger.ledger import Ledger
from tests.fakes.clock import SteppedClock
from tests.fakes.escrow import TIME, PaperHeadquarters, source
from tests.fakes.sales import sale

POOL = "film|pool|campaign=c|campaign=c"


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: SteppedClock) -> Iterator[Ledger]:
    opened = Ledger.open(tmp_path / "ledger.db", "t1", clock)
    yield opened
    opened.close()


def test_an_exchange_says_how_it_stands_and_takes_what_is_granted(ledger: Ledger, clock: SteppedClock) -> None:
    paper, wants = PaperHeadquarters(POOL, 20), Wants()
    wants.note(POOL, 2)
    wants.note(POOL, 1)
    leases = Leases(ledger.allowances, clock, wants)
    assert leases.version() == ""
    leases.fetch(source("t1", lambda _, body: paper.exchange(body, 0)), "new")
    (report,) = paper.reports
    assert (report.generation, report.sequence, report.boot, report.monotonic_ms) == (0, 0, clock.boot(), 60_000)
    assert [(each.key, each.returned, each.wanted) for each in report.keys] == [(POOL, 0, 3)]
    assert leases.version() == "v1"
    assert ledger.allowances.standing().unspent() == {("film", "pool"): 3}
    ledger.authorise(sale(units=2, claims=(UsageClaim(POOL, 2, 20),)), Right(frozenset({POOL})))
    assert not wants


def test_what_is_asked_back_is_given_up_and_reported_at_once(ledger: Ledger, clock: SteppedClock) -> None:
    paper = PaperHeadquarters(POOL, 20)
    leases = Leases(ledger.allowances, clock)
    asked = source("t1", lambda _, body: paper.exchange(body, 0, more=not paper.reports))
    leases.fetch(asked, "new")
    paper.accounts["t1"].recall = 2
    leases.fetch(asked, "again")
    assert [len(report.keys) for report in paper.reports] == [0, 0, 1]
    assert (paper.out, ledger.allowances.standing().unspent()) == (1, {("film", "pool"): 1})


def test_a_terminal_that_stops_gives_up_what_is_unspent_first_on_its_own_disk(
    ledger: Ledger, clock: SteppedClock
) -> None:
    paper = PaperHeadquarters(POOL, 20)
    leases = Leases(ledger.allowances, clock)
    asked = source("t1", lambda _, body: paper.exchange(body, 0, more=not paper.reports))
    leases.fetch(asked, "new")
    ledger.authorise(sale(units=1, claims=(UsageClaim(POOL, 1, 20),)), Right(frozenset({POOL})))

    def gone(_path: str, _body: bytes) -> bytes:
        raise LineDown("post", "headquarters", reason="refused", timed_out=False)

    with pytest.raises(LineDown):
        leases.leave(source("t1", gone))
    assert ledger.allowances.standing().unspent() == {("film", "pool"): 0}
    assert not ledger.allowances.surrender(), "given up already"
    leases.fetch(asked, "again")
    assert [(each.key, each.returned) for each in paper.reports[-1].keys] == [(POOL, 2)]
    assert not paper.reports[-1].closing
    assert paper.out == 1


def test_nothing_unspent_needs_no_goodbye(ledger: Ledger, clock: SteppedClock) -> None:
    def nobody(_path: str, _body: bytes) -> bytes:
        raise AssertionError("headquarters was asked")

    Leases(ledger.allowances, clock).leave(source("t1", nobody))


def test_half_of_the_lease_over_is_a_reason_to_ask_again(ledger: Ledger, clock: SteppedClock) -> None:
    paper = PaperHeadquarters(POOL, 20, life_s=100)
    leases = Leases(ledger.allowances, clock)
    leases.fetch(source("t1", lambda _, body: paper.exchange(body, 0)), "new")
    clock.step(49_999)
    assert leases.version() == "v1"
    clock.step(1)
    assert leases.version() == ""


def test_frozen_and_outdated_answers_stop_the_lease_in_words(ledger: Ledger, clock: SteppedClock) -> None:
    paper = PaperHeadquarters(POOL, 20)
    leases = Leases(ledger.allowances, clock)
    asked = source("t1", lambda _, body: paper.exchange(body, 0))
    leases.fetch(asked, "new")
    paper.life_s = 0
    with pytest.raises(LeaseFrozen):
        leases.fetch(asked, "new")
    assert ledger.allowances.lease().ended == "lease-frozen"
    paper.life_s = 60
    leases.fetch(asked, "new")
    assert ledger.allowances.lease().ended is None
    old = LeaseAnswer(generation=1, life_s=60, version="old", time=TIME)
    with pytest.raises(LeaseOutdated):
        leases.fetch(source("t1", lambda *_: encode_message(old)), "new")
    assert ledger.allowances.lease().generation == 3


class Answering(httpx.BaseTransport):
    """Headquarters' key, and one answer to everything; signed when `signed`."""

    def __init__(self, status: int, code: str, *, signed: bool) -> None:
        self.key = DeviceKey.generate()
        self.status, self.code, self.signed = status, code, signed

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = httpx.Response(200, json={"code": self.code}).content
        asked = HttpRequest(request.method, str(request.url), request.headers, request.read())
        plain = HttpResponse(self.status, {"content-type": "application/problem+json"}, body)
        headers = dict(plain.headers)
        if self.signed:
            headers |= sign_response(plain, asked, key=self.key, now=SteppedClock().wall())
        return httpx.Response(self.status, headers=headers, stream=httpx.ByteStream(body))


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [(401, "terminal-revoked", TerminalRevoked), (409, "chain-forked", HeadquartersRefused)],
)
@pytest.mark.parametrize("signed", [True, False])
def test_only_a_refusal_that_is_headquarters_own_ends_the_lease(
    ledger: Ledger, clock: SteppedClock, status: int, code: str, error: type[Exception], signed: bool
) -> None:
    paper = PaperHeadquarters(POOL, 20)
    leases = Leases(ledger.allowances, clock)
    leases.fetch(source("t1", lambda _, body: paper.exchange(body, 0)), "new")
    transport = Answering(status, code, signed=signed)
    enrolment = Enrolment("t1", "m", "s", "n", transport.key.public)
    line = Line("http://hq.test", key=DeviceKey.generate(), key_id="t1", transport=transport)
    with pytest.raises(error):
        leases.fetch(Source(line, enrolment, clock.wall), "new")
    line.close()
    assert (ledger.allowances.lease().ended is not None) is signed
    assert ledger.allowances.is_live(ledger.allowances.lease()) is not signed


def test_only_so_many_keys_are_wanted_at_a_time() -> None:
    wants = Wants()
    for number in range(WANTED_KEYS_MAX + 5):
        wants.note(f"k{number}", 1)
    seen = wants.seen()
    assert len(seen) == WANTED_KEYS_MAX
    wants.note("k0", 4)
    wants.told(seen)
    assert wants.seen() == {"k0": 4}


def test_a_report_of_too_many_keys_says_what_was_returned_first(ledger: Ledger, clock: SteppedClock) -> None:
    returned = {f"r{number:03}": 1 for number in range(LEASE_KEYS_MAX)}
    message = report_message("t1", Report(1, 0, returned), {"a": 1}, clock.boot(), 1)
    assert len(message.keys) == LEASE_KEYS_MAX
    assert all(each.returned for each in message.keys)


# --- usage ------------------------------------------------------------------------------------------------------------


class PaperUsage:
    """Pages of two pairs, from a history of versions."""

    def __init__(self) -> None:
        self.pairs: dict[int, int] = {}
        self.version = 1
        self.changed: dict[int, dict[int, int]] = {}
        self.asked: list[str] = []

    def change(self, **amounts: int) -> None:
        self.version += 1
        self.changed[self.version] = {fingerprint(key): amount for key, amount in amounts.items()}
        self.pairs |= self.changed[self.version]

    def reply(self, path: str, _: bytes) -> bytes:
        self.asked.append(path)
        query = dict(part.split("=", 1) for part in path.partition("?")[2].split("&"))
        snapshot = not query["after"]
        after = 0 if snapshot else int(query["after"].partition(".")[0])
        told: dict[int, int] = dict(self.pairs) if snapshot else {}
        for number, delta in self.changed.items():
            if not snapshot and number > after:
                told |= delta
        cursor = int(query["cursor"], 16) if "cursor" in query else -1
        rest = sorted(pair for pair in told.items() if pair[0] > cursor)
        page, more = rest[:2], len(rest) > 2
        rice = rice_parameter(page)
        head = UsageHead(
            version=f"{self.version}.{'0' * 16}",
            snapshot=snapshot,
            count=len(page),
            rice=rice,
            next=f"{page[-1][0]:016x}" if more else None,
            time=TIME,
        )
        return encode_usage(head, pack(page, rice))


def test_a_snapshot_comes_once_and_changes_after_it(tmp_path: Path) -> None:
    paper, kept, changes = PaperUsage(), UsageElsewhere(tmp_path), []
    feed = UsageFeed(kept, lambda: 0.0, lambda: changes.append(1))
    paper.change(a=1, b=2, c=1, d=1, e=7)
    feed.fetch(source("t1", paper.reply), "x")
    assert [kept.used(key) for key in "abcdef"] == [1, 2, 1, 1, 7, 0]
    assert (feed.version(), len(paper.asked), len(changes)) == (f"2.{'0' * 16}", 3, 1)
    paper.change(a=0, f=1)
    feed.fetch(source("t1", paper.reply), "x")
    assert [kept.used(key) for key in "abcdef"] == [0, 2, 1, 1, 7, 1]
    assert UsageElsewhere(tmp_path).now == kept.now


def test_a_long_fetch_is_spread_over_several_turns(tmp_path: Path) -> None:
    paper, kept = PaperUsage(), UsageElsewhere(tmp_path)
    now_s = [0.0]

    def slow(path: str, body: bytes) -> bytes:
        now_s[0] += 0.6
        return paper.reply(path, body)

    feed = UsageFeed(kept, lambda: now_s[0])
    paper.change(**{f"k{number}": number + 1 for number in range(9)})
    turns = 0
    while feed.version() == "":
        feed.fetch(source("t1", slow), "x")
        turns += 1
        if turns == 1:
            paper.change(k0=100)  # while pages are under way: told with the next changes
    assert turns > 1
    feed.fetch(source("t1", slow), "x")
    assert [kept.used(f"k{number}") for number in range(9)] == [100, *range(2, 10)]


def test_a_fetch_cut_off_begins_anew(tmp_path: Path) -> None:
    paper, kept = PaperUsage(), UsageElsewhere(tmp_path)
    feed = UsageFeed(kept, lambda: 0.0)
    paper.change(a=1, b=2, c=1)

    def cut(path: str, body: bytes) -> bytes:
        if "cursor" in path:
            raise LineDown("fetch", "headquarters", reason="cut", timed_out=False)
        return paper.reply(path, body)

    with pytest.raises(LineDown):
        feed.fetch(source("t1", cut), "x")
    assert kept.used("a") == 0
    feed.fetch(source("t1", paper.reply), "x")
    assert [kept.used(key) for key in "abc"] == [1, 2, 1]


def test_a_snapshot_where_changes_were_asked_for_replaces_everything(tmp_path: Path) -> None:
    paper, kept = PaperUsage(), UsageElsewhere(tmp_path)
    kept.replace(UsageSet.of([(5, 5)], f"9.{'1' * 16}", TIME))
    paper.change(a=1, b=1, c=1)

    def other_offers(path: str, body: bytes) -> bytes:
        return paper.reply(path.replace(f"9.{'1' * 16}", ""), body)

    UsageFeed(kept, lambda: 0.0).fetch(source("t1", other_offers), "x")
    assert (kept.now.amount(5), kept.used("c")) == (0, 1)


def test_nothing_used_elsewhere_is_an_answer_too(tmp_path: Path) -> None:
    paper, kept = PaperUsage(), UsageElsewhere(tmp_path)
    feed = UsageFeed(kept, lambda: 0.0)
    feed.fetch(source("t1", paper.reply), "x")
    assert (feed.version(), len(kept.now)) == (f"1.{'0' * 16}", 0)


def test_a_page_that_is_none_changes_nothing(tmp_path: Path) -> None:
    kept = UsageElsewhere(tmp_path)
    with pytest.raises(MessageMalformed):
        UsageFeed(kept, lambda: 0.0).fetch(source("t1", lambda *_: b"{}\n"), "x")
    assert kept.now == UsageSet()


def test_reports_have_one_form() -> None:
    """What this end sends is what the wire's own model reads."""
    report = LeaseReport(terminal="t1", generation=0, boot="b", monotonic_ms=0, sequence=0)
    assert parse_message(LeaseReport, encode_message(report)) == report
    assert Grant(key="k", offer="o", limit="l", granted=1, returned=0).recall == 0
