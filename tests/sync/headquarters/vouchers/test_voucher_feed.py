"""The register at a till before a real headquarters: fetched whole or in changes, proved, or the old one goes on.

Longer than most files here: whole, in changes and refused are one conversation with one stand-in for the line.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.errors import JingkaError
from sync import voucher_feed, wire_vouchers
from sync.enrolment import Enrolment
from sync.errors import HeadquartersRefused, LineDown, MessageMalformed
from sync.feeds import Source
from sync.headquarters import fleet
from sync.headquarters.app import create_app
from sync.headquarters.books.stages import target_of
from sync.headquarters.door import headquarters_key
from sync.headquarters.pools.terms import ReleasedBooks
from sync.headquarters.projection import Place
from sync.headquarters.storage import Storage, open_storage
from sync.headquarters.vouchers import feed as hq_feed
from sync.headquarters.vouchers import register
from sync.headquarters.vouchers.feed import BUILT_NEVER, Shelf
from sync.line import Line
from sync.private_file import create_private
from sync.signing import DeviceKey
from sync.voucher_feed import VoucherFeed
from sync.wire import encode_message, parse_message
from sync.wire_vouchers import VouchersAnswer
from terminal.membership.token import ProgrammeKey
from terminal.offers.voucher import VoucherRecord
from terminal.vouchers.build import register_bytes
from terminal.vouchers.desk import VoucherDesk
from terminal.vouchers.register import Register, VouchersDamaged, VouchersKeyMismatch, code_hash
from tests.fakes.vouchers import BUILT, KEY, put_register
from tests.sync.headquarters.books.campaign import EDITOR, OPERATOR, desk_of, released
from tests.sync.headquarters.client import HandClock, hq_settings, served
from tests.sync.headquarters.vouchers.rows import EVERYDAY, FAIR, code, imported, row
from tests.sync.headquarters.written_ledger import NOON

PARK = Place("bj-0001", "ditan", "main")
CALLS_MAX = 50  # of a feed that gets somewhere
CHUNK = 4_096  # of these tests: a few dozen vouchers are several
REQUEST_S_MAX = 5.0


@dataclass
class Till:
    """A till's feed, its voucher desk, and the headquarters it follows. `spoil` changes what comes over the line."""

    storage: Storage
    source: Source
    desk: VoucherDesk
    clock: HandClock
    hq_dir: Path
    feed: VoucherFeed = field(init=False)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """As after a boot: only the file is left."""
        self.desk = VoucherDesk(self.desk.path, KEY, expected=False)
        self.feed = VoucherFeed(self.desk, KEY)

    def hear(self, place: Place = PARK) -> str | None:
        """What the next heartbeat names."""
        with self.storage.read() as connection:
            return hq_feed.VoucherFeed(ReleasedBooks()).version(connection, place)

    def follow(self) -> int:
        """Fetch as the agent does until nothing is new; how many requests it took."""
        before = len(self.asked)
        for _ in range(CALLS_MAX):
            wanted = self.hear()
            if wanted is None or wanted == self.feed.version():
                return len(self.asked) - before
            with suppress(LineDown):  # a connection that idled too long while the test did something else: once more
                self.feed.fetch(_Watched(self.source, self.asked), wanted)  # type: ignore[arg-type]
        raise AssertionError("never there")

    def bring(self, *rows: str) -> None:
        self.clock.now += timedelta(seconds=1)
        imported(self.storage, rows, self.clock.now)

    def withdraw(self, number: int, *, revoked: bool = True) -> None:
        self.clock.now += timedelta(seconds=1)
        with self.storage.write() as connection:
            hashed = code_hash(code(number), KEY)
            register.withdraw(connection, hashed, KEY, revoked=revoked, by=OPERATOR, now=self.clock.now)

    def knows(self, *numbers: int) -> list[bool | None]:
        """Of each voucher whether it is good here; None: unknown."""
        assert self.desk.known
        found = [self.desk.find(code(number)) for number in numbers]
        return [None if record is None else not record.revoked for record in found]

    def agrees(self, offers: tuple[str, ...] | None = None) -> bool:
        """Whether the till's register is headquarters', voucher for voucher."""
        with self.storage.read() as connection:
            return dict(Register.open(self.desk.path, KEY).records()) == dict(
                register.records(connection, offers=offers)
            )


@dataclass
class _Watched:
    """A source that keeps what was asked."""

    source: Source
    asked: list[str]

    @property
    def terminal(self) -> str:
        return self.source.terminal

    def get(self, path: str, **bounds: Any) -> bytes:
        body = self.source.get(path, **bounds)
        self.asked.append(path)
        return body


@dataclass
class _Spoilt:
    """A source whose answers are spoilt on the way, by somebody who can sign for headquarters."""

    source: Source
    answer: Any = None  # of the first question
    chunk: Any = None

    @property
    def terminal(self) -> str:
        return self.source.terminal

    def get(self, path: str, **bounds: Any) -> bytes:
        body = self.source.get(path, **bounds)
        if "?have=" in path:
            told = parse_message(VouchersAnswer, body)
            return encode_message(self.answer(told) if self.answer else told)
        return bytes(self.chunk(body)) if self.chunk else body


@pytest.fixture
def till(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    """In front of a headquarters on SQLite: what is tried here is the terminal's end."""
    with till_before("", tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def till_of_either(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    """In front of one on either database."""
    with till_before(database_url, tmp_path, monkeypatch) as made:
        yield made


@contextmanager
def till_before(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    for module in (voucher_feed, hq_feed, wire_vouchers):
        monkeypatch.setattr(module, "CHUNK_BYTES", CHUNK)
    hq_dir = tmp_path / "hq"
    key_file = tmp_path / "key.toml"
    create_private(key_file, f'version = 1\nkey = "{KEY.secret.hex()}"\n'.encode())
    clock = HandClock(NOON)
    app = create_app(hq_settings(hq_dir, database_url, programme_key=key_file), clock)
    storage = open_storage(database_url, hq_dir)
    device = DeviceKey.generate()
    with storage.write() as connection:
        placed = {"terminal": PARK.terminal, "merchant": PARK.merchant, "site": PARK.site}
        assert fleet.add(connection, **placed, public_key=device.public.hex(), version="0.1.0", now=NOON)
    with served(app) as client:
        line = Line(str(client.base_url), key=device, key_id=PARK.terminal)
        enrolment = Enrolment(PARK.terminal, PARK.merchant, PARK.site, "till", headquarters_key(hq_dir).public)
        desk = VoucherDesk(tmp_path / "vouchers.bin", KEY)
        yield Till(storage, Source(line, enrolment, clock), desk, clock, hq_dir)
        line.close()
    storage.close()


def roll_out(till: Till, text: str = EVERYDAY) -> None:
    desk = desk_of(till.storage, till.hq_dir, till.clock)
    desk.roll_out(EDITOR, released(desk, text).revision, target_of(everywhere=True))


def test_nothing_is_news_before_headquarters_keeps_a_register(till: Till) -> None:
    assert till.hear() is None
    put_register(till.desk.path, {code(1): VoucherRecord(FAIR, None, None)})
    assert till.follow() == 0  # what was handed out by hand goes on
    assert till.knows(1) == [True]
    with pytest.raises(HeadquartersRefused):
        till.feed.fetch(till.source, "1.00000000.00000000")


def test_the_register_comes_whole_then_in_changes_and_replaces_one_handed_out_by_hand(till_of_either: Till) -> None:
    till = till_of_either
    put_register(till.desk.path, {code(999): VoucherRecord(FAIR, None, None)})
    till.bring(*(row(number) for number in range(200)))
    chunks = -(-till_size(till) // CHUNK)
    assert chunks > 2
    assert till.follow() >= 1 + chunks
    assert till.knows(0, 199, 999) == [True, True, None]
    assert till.desk.check().version == till.hear()

    till.withdraw(7)
    assert till.follow() == 1  # a change is one request, however many vouchers there are
    assert till.knows(7, 8) == [False, True]
    till.bring(row(7), row(300, merchants="ditan;longtan"), row(8, last_day="2026-02-15"))
    assert till.follow() == 1
    assert till.knows(7, 300) == [True, True]
    assert till.agrees()
    till.start()  # the file alone says which version it is
    assert till.follow() == 0


def till_size(till: Till) -> int:
    with till.storage.read() as connection:
        found = dict(register.records(connection))
    return len(register_bytes(found, KEY, BUILT, version="1.00000000.00000000", subject="test")[1])


def test_a_till_is_given_the_vouchers_of_what_it_sells(till_of_either: Till) -> None:
    till = till_of_either
    till.bring(row(1), row(2, "winter-haircut"))
    everything = till.hear()
    till.follow()
    assert till.knows(1, 2) == [True, True]  # without a released book nobody knows what is sold
    roll_out(till)
    assert till.hear() not in (None, everything)
    till.follow()
    assert till.knows(1, 2) == [True, None]
    assert till.agrees((FAIR,))
    before = till.hear()
    till.bring(row(3, "winter-haircut"))
    assert till.hear() == before  # another trade's list is no news here
    assert till.hear(Place("bj-0002", "bookshop", "main")) is None
    till.clock.now += timedelta(seconds=1)
    with till.storage.write() as connection:
        register.forget(connection, FAIR, by=EDITOR, now=till.clock.now)
    till.follow()
    assert till.knows(1) == [None]
    assert till.desk.check().count == 0


def test_an_offer_without_any_voucher_yet_has_an_empty_register(till: Till) -> None:
    roll_out(till)
    till.bring(row(1, "winter-haircut"))
    till.follow()
    assert (till.desk.check().count, till.desk.check().built) == (0, BUILT_NEVER)
    assert till.knows(1) == [None]


def test_too_many_changes_are_fetched_whole(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    till.bring(row(1))
    till.follow()
    monkeypatch.setattr(hq_feed, "CHANGES_MAX", 5)
    till.bring(*(row(number) for number in range(2, 8)))
    assert till.follow() > 1
    monkeypatch.setattr(hq_feed, "CHANGES_BYTES_MAX", 100)
    till.withdraw(1)
    assert till.follow() > 1
    assert till.agrees()


def test_what_happened_to_the_old_file_does_not_matter(till: Till) -> None:
    till.bring(*(row(number) for number in range(9)))
    till.follow()
    sound = till.desk.path.read_bytes()
    for spoil in (b"rubbish", sound[:-1], b""):
        till.desk.path.write_bytes(spoil)
        assert till.feed.version() == ""
        till.follow()
        assert till.desk.path.read_bytes() == sound
    # A sound register that is not what its version says: a change over it does not lead to headquarters' own.
    version = till.desk.check().version
    till.desk.path.write_bytes(register_bytes({}, KEY, BUILT, version=version, subject="test")[1])
    till.withdraw(3)
    assert till.follow() > 1
    assert till.agrees()


def test_headquarters_restored_from_a_backup_is_followed_too(till_of_either: Till) -> None:
    till = till_of_either
    till.bring(row(1), row(2))
    till.follow()
    till.withdraw(1)
    till.follow()
    with till.storage.write() as connection:  # the withdrawal never was, and another change took its number
        connection.execute(register.voucher_state.update().values(version=1))
        connection.execute(register.voucher_offers.update().values(version=1))
        connection.execute(register.vouchers.update().values(version=1, revoked=False))
    till.withdraw(2)
    assert till.feed.version().split(".")[0] == str(till.hear()).split(".")[0]
    till.follow()
    assert till.knows(1, 2) == [True, False]


FORGED = ProgrammeKey(1, bytes(reversed(range(32))))


def _other_hash(told: VouchersAnswer) -> VouchersAnswer:
    return told.model_copy(update={"sha256": "0" * 64, "changes": ""})


def _whole(told: VouchersAnswer) -> VouchersAnswer:
    return told.model_copy(update={"changes": ""})


def _other_key(told: VouchersAnswer) -> VouchersAnswer:
    return told.model_copy(update={"key_fingerprint": FORGED.fingerprint})


def _forged(told: VouchersAnswer) -> bytes:
    content = register_bytes(
        {b"x" * 16: VoucherRecord(FAIR, None, None)}, FORGED, BUILT, version=told.version, subject=""
    )
    return content[1]


SPOILT: list[tuple[Any, Any, type[JingkaError]]] = [
    (_other_hash, None, VouchersDamaged),
    (_other_key, None, VouchersKeyMismatch),
    (lambda told: told.model_copy(update={"changes": "AAAA"}), None, VouchersDamaged),
    (lambda told: told.model_copy(update={"changes": "A"}), None, MessageMalformed),
    (lambda told: told.model_copy(update={"version": "x"}), None, MessageMalformed),
    (_whole, lambda body: body[:-1], MessageMalformed),
    (_whole, lambda body: body + b"x", MessageMalformed),
    (_whole, lambda body: bytes(len(body)), VouchersDamaged),
]


def test_a_damaged_register_is_refused_and_the_old_one_goes_on(till: Till) -> None:
    till.bring(row(1))
    till.follow()
    before = till.desk.path.read_bytes()
    till.withdraw(1)
    for answer, chunk, error in SPOILT:
        with pytest.raises(error):
            till.feed.fetch(_Spoilt(till.source, answer, chunk), str(till.hear()))  # type: ignore[arg-type]
        assert till.desk.path.read_bytes() == before
        assert till.knows(1) == [True]
    till.follow()
    assert till.knows(1) == [False]


def test_a_forged_register_is_refused_even_with_its_own_hash(till: Till) -> None:
    """Whoever speaks for headquarters without the programme's key can change nothing."""
    till.bring(row(1))
    till.follow()
    before = till.desk.path.read_bytes()
    till.withdraw(1)
    told: list[VouchersAnswer] = []

    def answer(sent: VouchersAnswer) -> VouchersAnswer:
        content = _forged(sent)
        digest = hashlib.sha256(content).hexdigest()
        told.append(sent.model_copy(update={"changes": "", "sha256": digest, "size_bytes": len(content)}))
        return told[-1]

    spoilt = _Spoilt(till.source, answer, lambda _: _forged(told[-1]))
    with pytest.raises(VouchersKeyMismatch):
        till.feed.fetch(spoilt, str(till.hear()))  # type: ignore[arg-type]
    assert till.desk.path.read_bytes() == before


def test_a_slow_line_brings_it_over_several_calls_and_a_newer_one_begins_again(till: Till) -> None:
    till.bring(*(row(number) for number in range(300)))
    seconds = itertools.count(step=3)  # every look at the clock: one request a call
    till.feed = VoucherFeed(till.desk, KEY, lambda: float(next(seconds)))
    wanted = str(till.hear())
    till.feed.fetch(till.source, wanted)
    till.feed.fetch(till.source, wanted)
    assert till.feed.version() == ""
    assert not till.desk.known
    till.withdraw(5)  # what has come of the old one is of no use now
    till.follow()
    assert till.knows(5, 6) == [False, True]


def test_two_workers_make_the_same_octets(till: Till) -> None:
    till.bring(*(row(number) for number in range(50)))
    answers = []
    for _ in range(2):
        shelf = Shelf(KEY, ReleasedBooks())
        with till.storage.read() as connection:
            answers.append(shelf.answer(connection, PARK, "", NOON))
    assert answers[0] == answers[1]


def test_the_shelf_is_bounded(till: Till) -> None:
    shelf = Shelf(KEY, ReleasedBooks(), bytes_max=1)
    for number in range(3):
        till.bring(row(number))
        with till.storage.read() as connection:
            shelf.answer(connection, PARK, "", NOON)
            assert len(shelf._made) == 1


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from([FAIR, "winter-haircut"]), st.booleans()), min_size=1, max_size=4
    ),
    skipped=st.sets(st.integers(0, 3)),
)
def test_whatever_was_changed_and_missed_the_till_ends_with_headquarters_register(
    till: Till, steps: list[tuple[int, str, bool]], skipped: set[int]
) -> None:
    for place, (number, offer, out) in enumerate(steps):
        till.bring(row(number, offer, out=out), row(number + 1, offer))
        if place not in skipped:
            till.follow()
    till.follow()
    assert till.agrees()


def test_a_citywide_register_is_told_and_changed_in_time(tmp_path: Path) -> None:
    """Of 20,000 vouchers: a tenth of the format's bound, well inside a tenth of what a request may take."""
    records = {
        hashlib.sha256(bytes([n % 251, n // 251])).digest()[:16]: VoucherRecord(FAIR, None, None) for n in range(20_000)
    }
    began = time.perf_counter()
    _, content = register_bytes(records, KEY, BUILT, version="1.00000000.00000000", subject="test")
    kept = dict(Register.of(content, KEY, "test").records())
    changed = next(iter(kept))
    kept[changed] = replace(kept[changed], revoked=True)
    register_bytes(kept, KEY, BUILT, version="2.00000000.00000000", subject="test")
    assert time.perf_counter() - began < REQUEST_S_MAX
