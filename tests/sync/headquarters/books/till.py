"""A headquarters that serves, its campaign team, and the book's part of a till that is enrolled with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI

from sync.agent import Agent
from sync.book_feed import BookFeed
from sync.enrolment import enrol, load_enrolment
from sync.feeds import Feeds, Source
from sync.headquarters.app import create_app
from sync.headquarters.books.desk import CampaignDesk
from sync.headquarters.books.stages import Target
from sync.headquarters.enrolment import issue_code
from sync.headquarters.storage import open_storage
from sync.line import Line
from sync.released_book import ReleasedBook
from sync.signing import DeviceKey
from terminal.book_file import BookFile
from terminal.ledger.clock import SystemClock
from terminal.ledger.ledger import Ledger
from terminal.offers.book import LoadedBook
from tests.sync.headquarters.books.campaign import EDITOR, WINTER, desk_of, released
from tests.sync.headquarters.client import HandClock, hq_settings, served
from tests.sync.headquarters.following import follow

EVERYWHERE = Target(everywhere=True)


@dataclass
class Till:
    """The book's part of a terminal: what its daemon and its agent would ask."""

    directory: Path
    url: str
    clock: SystemClock
    signed_by: str | None = None
    settings_book: Path | None = None

    def __post_init__(self) -> None:
        self.released = ReleasedBook(self.directory, self.signed_by)
        self.feed = BookFeed(self.released)
        self.settings_book = self.settings_book or self.directory / "local.toml"
        if not self.settings_book.exists():
            self.settings_book.write_text(WINTER.replace("revision = 1", "revision = 99"), encoding="utf-8")
        self.file = BookFile(self.settings_book, self.signed_by, self.released)
        self.feeds = Feeds((self.feed,), lambda: 0.0)

    def beat(self) -> dict[str, str]:
        """Heartbeats and fetches until nothing is newer; what each feed failed with."""
        ledger = Ledger.open(self.directory / "ledger.sqlite", "bj-0001", self.clock)
        agent = Agent(ledger=ledger, data_dir=self.directory, url=self.url, clock=self.clock, feeds=(self.feed,))
        try:
            follow(agent)
            return {name: error.code for name, error in agent.feed_faults().items()}
        finally:
            agent._on_close.close()
            ledger.close()

    def source(self) -> Source:
        enrolment = load_enrolment(self.directory)
        key = DeviceKey.load(self.directory / "device.key")
        return Source(Line(self.url, key=key, key_id=enrolment.terminal), enrolment, lambda: datetime.now(UTC))

    def runs(self) -> int | str:
        """The revision that a daemon started now would sell by, or the code of why there is none."""
        loaded = BookFile(self.file._path, self.signed_by, ReleasedBook(self.directory, self.signed_by)).load()
        return loaded.revision if isinstance(loaded, LoadedBook) else loaded.code


@dataclass
class City:
    """A headquarters that serves, its campaign team, and one till."""

    app: FastAPI
    desk: CampaignDesk
    till: Till
    hq_dir: Path


@contextmanager
def running_city(tmp_path: Path) -> Iterator[City]:
    """On SQLite: what the databases do is tested one storey below."""
    hq_dir, directory = tmp_path / "hq", tmp_path / "till"
    directory.mkdir()
    settings = hq_settings(hq_dir)
    code = issue_code(settings, terminal="bj-0001", merchant="gongren-julebu", site="main")
    storage = open_storage("", hq_dir)
    clock = HandClock(datetime.now(UTC))
    app = create_app(settings, clock)
    with served(app) as client:
        url = str(client.base_url)
        enrol(url, code, directory)
        yield City(app, desk_of(storage, hq_dir, clock), Till(directory, url, SystemClock()), hq_dir)
    storage.close()


def release(city: City, text: str = WINTER, target: Target = EVERYWHERE) -> int:
    made = released(city.desk, text)
    city.desk.roll_out(EDITOR, made.revision, target)
    return made.revision
