"""Vouchers for tests: good codes, and registers put in place in one line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from terminal.membership.token import ProgrammeKey
from terminal.offers.voucher import VoucherRecord, check_character
from terminal.vouchers.build import write_register
from terminal.vouchers.register import RegisterHeader
from terminal.vouchers.voucher_list import VoucherLine

KEY = ProgrammeKey(1, bytes(range(32)))
BUILT = datetime(2013, 2, 1, 8, 30, tzinfo=UTC)


def code_of(stem: str) -> str:
    """The stem with its check character."""
    return stem + check_character(stem)


def put_register(path: Path, vouchers: Mapping[str, VoucherRecord], key: ProgrammeKey = KEY) -> RegisterHeader:
    """A register of these vouchers by their code."""
    return write_register((VoucherLine(code, record) for code, record in vouchers.items()), path, key, BUILT)
