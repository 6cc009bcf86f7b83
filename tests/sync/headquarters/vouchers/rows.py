"""Lists of vouchers for tests: who brings them, and their lines as headquarters is handed them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import datetime
from importlib.resources import files

from sync.headquarters.storage import Storage
from sync.headquarters.vouchers import lists
from sync.headquarters.vouchers.lists import ListView
from terminal.vouchers.voucher_list import COLUMNS, read_voucher_upload
from tests.fakes.vouchers import KEY, code_of
from tests.sync.headquarters.books.campaign import EDITOR
from tests.sync.headquarters.written_ledger import NOON

HEADER = ",".join(COLUMNS)
FAIR = "temple-fair"
EVERYDAY = files("config.books").joinpath("everyday.toml").read_text("utf-8")


def code(number: int) -> str:
    return code_of(f"MH{number:04d}")


def row(
    number: int, offer: str = FAIR, *, person: str = "", last_day: str = "", merchants: str = "", out: bool = False
) -> str:
    """One line of a list."""
    return f"{code(number)},{offer},,{person},{last_day},{merchants},{'yes' if out else ''}"


def listed(rows: Iterable[str]) -> bytes:
    return "\n".join([HEADER, *rows, ""]).encode()


def previewed(storage: Storage, rows: Iterable[str], now: datetime = NOON) -> ListView:
    lines = read_voucher_upload(io.BytesIO(listed(rows)), KEY)
    return lists.preview(storage, lines, KEY, by=EDITOR, now=now)


def imported(storage: Storage, rows: Iterable[str], now: datetime = NOON) -> ListView:
    """A list that counts."""
    return lists.confirm(storage, previewed(storage, rows, now).id, KEY, by=EDITOR, now=now)
