"""New codes for vouchers: unguessable, easy to read aloud and to type, each with its check character.

The random part is drawn from Crockford's 32 characters, which leave out I, L, O and U; codes whose check character is
one of those are drawn again. Nine random characters are 45 bits: beside 200,000 good codes one guess in 170 million
hits one, and every guess is made in front of a cashier.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path

from config.errors import Words
from terminal.offers.voucher import ALPHABET, CODE_CHARS_MAX, GROUP_CHARS, check_character, grouped, well_formed
from terminal.vouchers.voucher_list import COLUMNS, VoucherListError

CLEAR_CHARACTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM_CHARS_MIN = 9
PREFIX_CHARS_MAX = 8
LIST_FILE_MODE = 0o600  # codes in the clear are money


class VoucherListExists(VoucherListError):
    """New codes would overwrite a list, perhaps the only one of vouchers that are printed already."""

    code = "voucher-list-exists"
    what = Words("{subject} 已存在，不会覆盖", "{subject} exists and is not overwritten")
    hint = Words("请换一个文件名", "choose another name")


class VoucherListNotWritten(VoucherListError):
    """The list of new codes could not be written; nothing of it remains."""

    code = "voucher-list-not-written"
    what = Words("券清单写入失败（{reason}）", "the list of vouchers could not be written ({reason})")
    hint = Words("请检查磁盘空间和目录权限", "check disk space and permissions")


def is_prefix(text: str) -> bool:
    """Whether codes may begin so: capitals and digits, few enough to leave room."""
    return len(text) <= PREFIX_CHARS_MAX and set(text) <= set(ALPHABET)


def new_codes(count: int, prefix: str, choose: Callable[[str], str]) -> Iterator[str]:
    """`count` different codes that begin with `prefix` (capitals and digits), in whole printed groups.

    `choose` draws one character of a text; give it `secrets.choice`.
    """
    assert is_prefix(prefix)
    length = -(-(len(prefix) + RANDOM_CHARS_MIN + 1) // GROUP_CHARS) * GROUP_CHARS
    assert length <= CODE_CHARS_MAX
    made: set[str] = set()
    while len(made) < count:
        stem = prefix + "".join(choose(CLEAR_CHARACTERS) for _ in range(length - len(prefix) - 1))
        check = check_character(stem)
        code = stem + check
        if check in CLEAR_CHARACTERS and code not in made and well_formed(code):
            made.add(code)
            yield code


def write_list(out: Path, codes: Iterable[str], offer: str, last_day: date | None) -> int:
    """A list of vouchers for whoever brings them, codes as they are printed; how many were written.

    Headquarters adds cards, persons or merchants to it before it builds the register. Raises `VoucherListExists`,
    `VoucherListNotWritten`.
    """
    day = last_day.isoformat() if last_day else ""
    rows = [(grouped(code), offer, "", "", day, "", "") for code in codes]
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, LIST_FILE_MODE)
    except FileExistsError:
        raise VoucherListExists("make vouchers", str(out)) from None
    except OSError as error:
        raise VoucherListNotWritten("make vouchers", str(out), reason=error.strerror) from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows((COLUMNS, *rows))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        out.unlink()
        raise VoucherListNotWritten("make vouchers", str(out), reason=error.strerror) from error
    return len(rows)
