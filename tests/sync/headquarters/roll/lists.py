"""Cards, lists of them and people for the tests of the roll. The numbers are made up and pass the check digit."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from drivers.card import Pan, luhn_valid
from sync.headquarters.roll.imports import ImportView, confirm, preview_file
from sync.headquarters.storage import Storage
from terminal.membership.official_lists import LIST_COLUMNS, ListKind
from terminal.membership.token import ProgrammeKey, card_token, person_token
from terminal.serving.people import Person, Role

KEY = ProgrammeKey(1, bytes(range(32)))
OPERATOR = Person("op1", "李敏", Role.OPERATOR)
SECOND = Person("op2", "赵强", Role.OPERATOR)
NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)  # noon in Shanghai
JUMP_PERCENT_MAX = 2.0


@cache
def digits(number: int) -> str:
    """The card number of the member `number`."""
    body = f"621094{number:012d}"
    return next(body + check for check in "0123456789" if luhn_valid(body + check))


def token(number: int) -> str:
    return card_token(Pan(digits(number)), KEY)


def holder(number: int) -> str:
    return person_token(f"P-{number}", KEY)


def line(number: int, standing: str = "active", *, member_class: str = "ordinary", person: int | None = None) -> str:
    return f"{digits(number)},{standing},{member_class},2020-05-04,P-{number if person is None else person}"


def write_list(folder: Path, kind: ListKind, lines: list[str]) -> Path:
    path = folder / f"{kind.value}.csv"
    path.write_text("\n".join([",".join(LIST_COLUMNS[kind]), *lines]) + "\n", encoding="utf-8")
    return path


def previewed(
    storage: Storage, folder: Path, lines: list[str], kind: ListKind = ListKind.COMBINED, at: datetime = NOON
) -> ImportView:
    path = write_list(folder, kind, lines)
    return preview_file(storage, path, kind, KEY, by=OPERATOR, now=at, jump_percent_max=JUMP_PERCENT_MAX)


def imported(
    storage: Storage, folder: Path, lines: list[str], kind: ListKind = ListKind.COMBINED, at: datetime = NOON
) -> ImportView:
    """A list in force, whatever it takes away."""
    view = previewed(storage, folder, lines, kind, at)
    view = confirm(storage, view.id, KEY, by=OPERATOR, now=at)
    return view if view.state == "done" else confirm(storage, view.id, KEY, by=SECOND, now=at)
