"""The roll on its way to a terminal: a real headquarters, real signed exchanges, the files that the desk reads."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from config.errors import JingkaError
from sync import roll_feed, wire_roll
from sync.enrolment import Enrolment
from sync.feeds import Source
from sync.headquarters.app import create_app
from sync.headquarters.door import headquarters_key
from sync.headquarters.projection import Place
from sync.headquarters.roll import feed as hq_feed
from sync.headquarters.roll import members, snapshot
from sync.headquarters.roll.rules import Action
from sync.headquarters.storage import Storage, open_storage
from sync.line import Line
from sync.roll_feed import RollFeed, RollFiles
from sync.signing import DeviceKey
from terminal.membership.roll import Roll, RollKeyMismatch
from terminal.membership.standing import Standing
from terminal.membership.token import ProgrammeKey
from tests.sync.headquarters.client import HandClock, hq_settings, served
from tests.sync.headquarters.roll.lists import KEY, OPERATOR, imported, line, token
from tests.sync.headquarters.written_ledger import MERCHANT, NOON, SITE, known_ledger

PLACE = Place("bj-0001", MERCHANT, SITE)
CALLS_MAX = 200


class Interrupted(Exception):
    """The power went."""


@dataclass
class Till:
    """A terminal's files and its feed, in front of a headquarters that serves."""

    storage: Storage
    source: Source
    files: RollFiles
    hq_dir: Path
    clock: HandClock
    elapsed: Iterator[float] = field(default_factory=lambda: itertools.count(0.0, 0.05))
    feed: RollFeed = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """As after a boot: only the files are left."""
        self.feed = RollFeed(self.files, KEY, lambda: next(self.elapsed))

    @property
    def news(self) -> str:
        with self.storage.read() as connection:
            return hq_feed.RollFeed().version(connection, PLACE) or ""

    def follow(self) -> int:
        """Fetch as the agent does until nothing is new; how many calls it took."""
        for call in range(CALLS_MAX):
            if self.feed.version() == self.news:
                return call
            self.feed.fetch(self.source, self.news)
        raise AssertionError(f"never there: {self.feed.version()} for {self.news}")

    def change(self, number: int, action: Action) -> None:
        with self.storage.write() as connection:
            members.change(connection, KEY, token(number), action, by=OPERATOR, now=self.clock())

    def build(self) -> wire_roll.Base:
        return snapshot.build(self.storage, KEY, data_dir=self.hq_dir, now=self.clock())

    def standing(self, number: int) -> Standing | None:
        """As the desk finds it."""
        for path in (self.files.changes, self.files.roll):
            if path.exists():
                roll = Roll.open(path)
                try:
                    found = roll.find(token(number))
                finally:
                    roll.close()
                if found:
                    return found.standing
        return None

    def agrees(self, numbers: range) -> bool:
        """Whether the terminal says of each card what headquarters says."""
        with self.storage.read() as connection:
            told = [members.find(connection, token(number)).standing for number in numbers]
        return [self.standing(number) for number in numbers] == told

    def counts(self) -> tuple[int, int]:
        """Cards in the roll, and in the changes."""
        found = []
        for path in (self.files.roll, self.files.changes):
            roll = Roll.open(path)
            found.append(roll.count)
            roll.close()
        return found[0], found[1]


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
    for module in (roll_feed, snapshot):
        monkeypatch.setattr(module, "CHUNK_BYTES", 64 * 1024)  # a roll of any size has a front of half a megabyte
    monkeypatch.setattr(hq_feed, "PAGE_RECORDS_MAX", 7)
    hq_dir, till_dir = tmp_path / "hq", tmp_path / "till"
    till_dir.mkdir()
    clock = HandClock(NOON)
    app = create_app(hq_settings(hq_dir, database_url), clock)
    storage = open_storage(database_url, hq_dir)
    device = DeviceKey.generate()
    known_ledger(storage, "bj-0001", device.public.hex())
    files = RollFiles(till_dir / "roll.bin", till_dir / "roll.bin.changes", till_dir)
    with served(app) as client:
        url = str(client.base_url)
        line_up = Line(url, key=device, key_id="bj-0001")
        enrolment = Enrolment("bj-0001", MERCHANT, SITE, "till", headquarters_key(hq_dir).public)
        yield Till(storage, Source(line_up, enrolment, clock), files, hq_dir, clock)
        line_up.close()
    storage.close()


def test_nothing_is_news_until_there_is_a_file(till: Till, tmp_path: Path) -> None:
    assert till.news == ""
    imported(till.storage, tmp_path, [line(1)])
    assert till.news == ""
    till.build()
    assert till.news == "1"


def test_a_roll_is_fetched_once_and_then_only_changes(till_of_either: Till, tmp_path: Path) -> None:
    till = till_of_either
    imported(till.storage, tmp_path, [line(number) for number in range(40)])
    base = till.build()
    till.follow()
    assert till.agrees(range(40))
    assert till.standing(41) is None
    inode = till.files.roll.stat().st_ino
    for number in range(20):
        till.change(number, Action.SUSPEND)
    till.follow()
    assert till.agrees(range(40))
    assert (till.files.roll.stat().st_ino, till.counts()) == (inode, (40, 20))
    till.change(3, Action.REINSTATE)
    till.follow()
    assert (till.standing(3), till.standing(4), till.counts()) == (Standing.ACTIVE, Standing.SUSPENDED, (40, 20))
    assert base.version == 40


def test_a_terminal_that_starts_again_goes_on_where_it_was(till: Till, tmp_path: Path) -> None:
    imported(till.storage, tmp_path, [line(number) for number in range(10)])
    till.build()
    till.change(1, Action.SUSPEND)
    till.follow()
    till.start()
    assert till.follow() == 0
    till.change(2, Action.SUSPEND)
    till.start()
    assert till.follow() == 1
    assert till.agrees(range(10))


def test_a_download_goes_on_after_a_restart(till: Till, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported(till.storage, tmp_path, [line(number) for number in range(10)])
    till.build()
    asked: list[str] = []
    get = Source.get

    def cut(source: Source, path: str, **bounds: int) -> bytes:
        asked.append(path)
        if path.endswith("/4") and asked.count(path) == 1:
            raise Interrupted
        return get(source, path, **bounds)

    monkeypatch.setattr(Source, "get", cut)
    with pytest.raises(Interrupted):
        till.follow()
    with next(till.files.data_dir.glob(".*.part")).open("ab") as part:
        part.write(b"half a chunk")
    till.start()
    till.follow()
    chunks = [path.rpartition("/")[2] for path in asked if "after=" not in path]
    assert chunks == ["0", "1", "2", "3", "4", "4", "5", "6", "7", "8"]
    assert till.agrees(range(10))


def test_changes_come_before_a_new_roll_and_fall_away_with_it(
    till: Till, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(till.storage, tmp_path, [line(number) for number in range(30)])
    till.build()
    till.follow()
    for number in range(9):
        till.change(number, Action.SUSPEND)
    till.build()
    assert till.follow() == 1, "an old base does as long as the changes are few"
    assert till.counts() == (30, 9)
    till.change(20, Action.SUSPEND)
    monkeypatch.setattr(hq_feed, "CHANGES_MAX", 9)
    till.feed.fetch(till.source, till.news)
    assert till.standing(20) is Standing.SUSPENDED
    assert till.feed.version() == f"{till.news}+"
    till.change(21, Action.LOSE)
    till.follow()
    assert till.agrees(range(30))
    assert till.counts() == (30, 2)


@pytest.mark.parametrize("moment", ["before noting", "before the changes"])
def test_a_crash_around_a_new_roll_costs_no_card(
    till: Till, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    imported(till.storage, tmp_path, [line(number) for number in range(30)])
    till.build()
    till.follow()
    for number in range(12):
        till.change(number, Action.SUSPEND)
    till.follow()
    till.change(3, Action.REINSTATE)
    till.build()
    monkeypatch.setattr(hq_feed, "CHANGES_MAX", 5)
    keep = RollFeed._keep

    def crash(feed: RollFeed, **changed: object) -> None:
        if changed.get("base") and moment == "before noting":
            raise Interrupted
        keep(feed, **changed)
        if changed.get("base"):
            raise Interrupted

    monkeypatch.setattr(RollFeed, "_keep", crash)
    with pytest.raises(Interrupted):
        till.follow()
    assert till.agrees(range(30)), "the old changes hold over the new roll"
    monkeypatch.setattr(RollFeed, "_keep", keep)
    till.start()
    till.follow()
    assert till.agrees(range(30))


def test_a_roll_that_is_not_headquarters_is_never_in_force(
    till: Till, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(till.storage, tmp_path, [line(number) for number in range(10)])
    till.build()
    get = Source.get

    def spoilt(source: Source, path: str, **bounds: int) -> bytes:
        body = get(source, path, **bounds)
        return body if "after=" in path or not path.endswith("/2") else bytes(len(body))

    monkeypatch.setattr(Source, "get", spoilt)
    with pytest.raises(JingkaError) as fault:
        till.follow()
    assert fault.value.code == "roll-damaged"
    assert not till.files.roll.exists()
    monkeypatch.setattr(Source, "get", get)
    till.follow()
    assert till.agrees(range(10))


def test_lost_or_damaged_changes_are_fetched_anew(till: Till, tmp_path: Path) -> None:
    imported(till.storage, tmp_path, [line(number) for number in range(10)])
    till.build()
    till.follow()
    till.change(1, Action.SUSPEND)
    till.follow()
    spoils = (till.files.changes.unlink, lambda: till.files.changes.write_bytes(b"rubbish"))
    for number, spoil in enumerate(spoils, start=2):
        spoil()
        till.start()
        till.follow()
        assert till.standing(1) is Standing.SUSPENDED
        spoil()
        till.change(number, Action.SUSPEND)
        till.follow()
        assert till.agrees(range(10))


def test_another_programme_key_is_said_so(till: Till, tmp_path: Path) -> None:
    imported(till.storage, tmp_path, [line(1)])
    till.build()
    stranger = RollFeed(till.files, ProgrammeKey(1, bytes(32)))
    with pytest.raises(RollKeyMismatch):
        stranger.fetch(till.source, till.news)
    assert not till.files.roll.exists()


def test_headquarters_from_an_older_backup_is_followed_from_the_start(till: Till, tmp_path: Path) -> None:
    imported(till.storage, tmp_path, [line(number) for number in range(10)])
    till.build()
    till.change(1, Action.SUSPEND)
    till.follow()
    state = till.files.data_dir / roll_feed.STATE_FILE
    state.write_text(state.read_text().replace('"version": 11', '"version": 99'))
    till.start()
    assert till.feed.version() == "99"
    till.follow()
    assert till.agrees(range(10))


def test_a_base_that_cannot_be_fetched_holds_up_no_change(
    till: Till, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(till.storage, tmp_path, [line(number) for number in range(10)])
    till.build()
    till.follow()
    for number in range(6):
        till.change(number, Action.SUSPEND)
    till.build()
    monkeypatch.setattr(hq_feed, "CHANGES_MAX", 3)
    get = Source.get

    def no_chunks(source: Source, path: str, **bounds: int) -> bytes:
        if "after=" not in path:
            raise httpx_down()
        return get(source, path, **bounds)

    monkeypatch.setattr(Source, "get", no_chunks)
    till.feed.fetch(till.source, till.news)
    assert till.agrees(range(10))
    assert till.feed.version() == till.news, "no hurry: it is tried again later"
    till.change(7, Action.SUSPEND)
    till.clock.now += timedelta(seconds=1)
    till.follow()
    assert till.agrees(range(10))


def httpx_down() -> JingkaError:
    from sync.errors import LineDown

    return LineDown("get", "headquarters", reason=httpx.ConnectError.__name__, timed_out=False)


def test_old_snapshots_go_and_so_does_what_a_cut_off_build_left(till_of_either: Till, tmp_path: Path) -> None:
    till = till_of_either
    imported(till.storage, tmp_path, [line(number) for number in range(3)])
    names = []
    for number in range(3):
        till.change(number, Action.SUSPEND)
        names.append(till.build().name)
    with till.storage.read() as connection:
        assert [snapshot.base_of(connection, name) is not None for name in names] == [False, True, True]
