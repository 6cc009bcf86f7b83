"""Joins the parts of the vouchers for the application: one object to make, and the routes that it brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from fastapi import APIRouter

from sync.headquarters.pools.terms import Books
from sync.headquarters.service import Headquarters
from sync.headquarters.storage import Storage
from sync.headquarters.vouchers.api import voucher_feed_routes, voucher_routes
from sync.headquarters.vouchers.desk import VouchersDesk
from sync.headquarters.vouchers.feed import Shelf, VoucherFeed
from sync.headquarters.vouchers.pages import voucher_pages
from terminal.membership.token import load_programme_key
from terminal.serving.pages import Pages
from terminal.serving.sign_in import Gate

if TYPE_CHECKING:
    from config.settings import HqSettings


class VouchersOffice:
    """The vouchers at headquarters. Without a programme key nothing is hashed and no register is made."""

    def __init__(self, settings: HqSettings, storage: Storage, books: Books, clock: Callable[[], datetime]) -> None:
        """Raises the errors of the programme key's file."""
        key = load_programme_key(settings.programme_key) if settings.programme_key else None
        self._language = settings.language
        self._shelf = Shelf(key, books) if key else None
        self.feed = VoucherFeed(books)
        self.desk = VouchersDesk(storage, key, clock)

    def routes(self, hq: Headquarters, gate: Gate, pages: Pages) -> Iterator[APIRouter]:
        """Everything that the vouchers serve."""
        yield voucher_routes(self.desk, gate)
        yield voucher_feed_routes(hq, self._shelf, self._language)
        yield voucher_pages(self.desk, gate, pages)
