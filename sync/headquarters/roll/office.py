"""Joins the parts of the roll for the application: one object to make, and the routes that it brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from fastapi import APIRouter

from sync.headquarters.roll.api import list_routes, member_routes, roll_feed_routes
from sync.headquarters.roll.desk import RollDesk
from sync.headquarters.roll.feed import RollFeed
from sync.headquarters.roll.judge import RollJudge
from sync.headquarters.roll.keeper import RollKeeper
from sync.headquarters.roll.pages import roll_pages
from sync.headquarters.service import Headquarters
from sync.headquarters.storage import Storage
from terminal.membership.token import load_programme_key
from terminal.serving.pages import Pages
from terminal.serving.sign_in import Gate

if TYPE_CHECKING:
    from config.settings import HqSettings


class RollOffice:
    """The roll at headquarters. Without a programme key nothing is hashed and nothing runs by itself."""

    def __init__(self, settings: HqSettings, storage: Storage, clock: Callable[[], datetime]) -> None:
        """Raises the errors of the programme key's file."""
        key = load_programme_key(settings.programme_key) if settings.programme_key else None
        self._language = settings.language
        self._keeper = (
            RollKeeper(storage, key, changes_max=settings.roll_changes_max, data_dir=settings.data_dir, clock=clock)
            if key
            else None
        )
        self.judge = RollJudge()
        self.feed = RollFeed()
        self.desk = RollDesk(
            storage, key, clock=clock, jump_percent_max=settings.roll_jump_percent, on_import=self._wake
        )

    def routes(self, hq: Headquarters, gate: Gate, pages: Pages) -> Iterator[APIRouter]:
        """Everything that the roll serves."""
        yield member_routes(self.desk, gate)
        yield list_routes(self.desk, gate)
        yield roll_feed_routes(hq, self._language)
        yield roll_pages(self.desk, gate, pages)

    def start(self) -> None:
        """Begin what happens by itself."""
        if self._keeper is not None:
            self._keeper.start()

    def stop(self) -> None:
        """End it."""
        if self._keeper is not None:
            self._keeper.stop()

    def _wake(self) -> None:
        if self._keeper is not None:
            self._keeper.wake()
