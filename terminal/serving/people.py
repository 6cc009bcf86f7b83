"""Who may sign in: people, their roles, and the check of a PIN.

The file `people.toml` (mode 0600) holds one table per person:

    [[person]]
    id = "c01"
    name = "王芳"
    role = "cashier"
    pin_hash = "$argon2id$…"
"""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
import threading
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from config.errors import JingkaError, Retry, Words
from terminal.serving.lockouts import LocalLockouts, Lockouts
from terminal.serving.problems import WebError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

# OWASP password storage cheat sheet, argon2id: the least memory still recommended, for the daemon's 120 MB.
ARGON2_MEMORY_KIB = 19_456
ARGON2_TIME = 2
ARGON2_LANES = 1

PIN_DIGITS_MIN = 4
PIN_DIGITS_MAX = 12
PERSON_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
NAME_CHARACTERS_MAX = 64
PEOPLE_MAX = 1000  # far beyond one merchant's staff
PEOPLE_BYTES_MAX = 512 * 1024  # PEOPLE_MAX entries of about 200 bytes, with room for comments


class Role(StrEnum):
    """What a person may do. At a terminal: a cashier sells; a manager also voids and sees the day.

    At headquarters: an operator looks after terminals, members and findings; an editor drafts campaigns, an approver
    releases them; finance closes settlements; an auditor sees everything and changes nothing.
    """

    CASHIER = "cashier"
    MANAGER = "manager"
    OPERATOR = "operator"
    EDITOR = "editor"
    APPROVER = "approver"
    FINANCE = "finance"
    AUDITOR = "auditor"


HEADQUARTERS_ROLES: Final = (Role.OPERATOR, Role.EDITOR, Role.APPROVER, Role.FINANCE, Role.AUDITOR)


@dataclass(frozen=True, slots=True)
class Person:
    """One person who may sign in."""

    id: str
    name: str
    role: Role


class PeopleMissing(JingkaError):
    """There is no file of people, or it cannot be read."""

    code = "people-missing"
    retry = Retry.STOP
    what = Words("读不到人员文件 {subject}({reason})", "the file of people {subject} cannot be read ({reason})")
    hint = Words("请建立人员文件并加入收银员", "create it and add the cashiers")


class PeopleInvalid(JingkaError):
    """The file of people breaks its form, or others can read it."""

    code = "people-invalid"
    retry = Retry.STOP
    what = Words("人员文件有误：{reason}", "the file of people is not valid: {reason}")
    hint = Words("请改正 {subject}，权限应为 600（chmod 600）", "correct {subject}; its mode must be 600 (chmod 600)")


class PersonKnown(JingkaError):
    """The id is taken."""

    code = "person-known"
    retry = Retry.PARK
    what = Words("工号 {subject} 已存在", "{subject} is taken")
    hint = Words("请换一个工号，或选择更新密码", "take another id, or replace this one")


class PinUnusable(JingkaError):
    """A new PIN that nobody should have."""

    code = "pin-unusable"
    retry = Retry.PARK
    what = Words("密码应为 {digits_min} 到 {digits_max} 位数字", "a PIN has {digits_min} to {digits_max} digits")
    hint = Words("请换一个密码", "choose another PIN")


class PinWrong(WebError):
    """The id or the PIN is not right; the answer never says which."""

    code = "pin-wrong"
    status = 401
    what = Words("工号或密码不对", "the number or the PIN is not right")
    hint = Words("请重新输入", "enter them again")


class People:
    """Everyone in the file. Thread-safe; `check_pin` takes about 30 ms and 19 MiB, so call it off the loop."""

    def __init__(self, path: Path, lockouts: Lockouts | None = None) -> None:
        """`lockouts`: where tries are counted; this process's memory unless workers share a database."""
        self._path = path
        self._lock = threading.Lock()
        self._lockouts = LocalLockouts() if lockouts is None else lockouts
        self._nobody = ""
        self._stamp, self._people = _read(path)

    @classmethod
    def load(cls, path: Path, lockouts: Lockouts | None = None) -> People:
        """Read the file. Raises `PeopleMissing` or `PeopleInvalid`."""
        return cls(path, lockouts)

    def find(self, person: str) -> Person | None:
        """The person of that id."""
        known = self._people.get(person)
        return known[0] if known else None

    def current(self, person: str) -> Person | None:
        """The person of that id as the file has them now: one who was struck off is gone at once.

        Raises `PeopleMissing`, `PeopleInvalid`.
        """
        self._reload()
        return self.find(person)

    def names(self) -> dict[str, str]:
        """Everyone's name by id, for reports."""
        return {person.id: person.name for person, _ in self._people.values()}

    def check_pin(self, person: str, pin: str, now: float) -> Person:
        """The person, when the PIN is theirs. `now` is elapsed seconds of any clock that never goes back.

        The file is read again when it has changed, so a new cashier or PIN needs no restart. One check runs at a time.
        Raises `PinWrong`, `PinLocked` (wait `wait_s`), `PeopleMissing`, `PeopleInvalid`.
        """
        with self._lock:
            self._reload()
            self._lockouts.begin(person, now)
            known = self._people.get(person)
            if not _verify(known[1] if known else self._nobodys_hash(), pin) or known is None:
                raise PinWrong("sign in", "person")
            self._lockouts.succeeded(person)
            return known[0]

    def _nobodys_hash(self) -> str:
        """A hash that an unknown id is checked against, so that it takes as long as a known one."""
        if not self._nobody:
            self._nobody = _hasher().hash(os.urandom(16).hex())
        return self._nobody

    def _reload(self) -> None:
        try:
            stamp = _stamp(self._path)
        except OSError as error:
            raise PeopleMissing("read people", str(self._path), reason=error.strerror) from error
        if stamp != self._stamp:
            self._stamp, self._people = _read(self._path)


def add_person(path: Path, person: Person, pin: str, *, replace: bool = False) -> None:
    """Add a person to the file, making it when it is not there; the file is replaced in one step and stays private.

    Raises `PersonKnown` unless `replace`, `PinUnusable`, `PeopleInvalid`.
    """
    if not (pin.isascii() and pin.isdigit() and PIN_DIGITS_MIN <= len(pin) <= PIN_DIGITS_MAX):
        raise PinUnusable("add person", person.id, digits_min=PIN_DIGITS_MIN, digits_max=PIN_DIGITS_MAX)
    people = _read(path)[1] if path.exists() else {}
    if person.id in people and not replace:
        raise PersonKnown("add person", person.id)
    people[person.id] = _entry(
        path, {"id": person.id, "name": person.name, "role": person.role.value, "pin_hash": _hasher().hash(pin)}
    )
    _replace(path, "\n".join(_table(known, pin_hash) for known, pin_hash in people.values()))


_Stamp = tuple[int, int, int]
_Entries = dict[str, tuple[Person, str]]


def _read(path: Path) -> tuple[_Stamp, _Entries]:
    try:
        stamp = _stamp(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            # A PIN of few digits is guessed from its hash within minutes: nobody else may read the file.
            raise PeopleInvalid("read people", str(path), reason="mode")
        content = path.read_bytes()
    except OSError as error:
        raise PeopleMissing("read people", str(path), reason=error.strerror) from error
    if len(content) > PEOPLE_BYTES_MAX:
        raise PeopleInvalid("read people", str(path), reason=f"> {PEOPLE_BYTES_MAX} bytes")
    try:
        tables = tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PeopleInvalid("read people", str(path), reason=str(error)) from error
    listed = tables.get("person", [])
    if tables.keys() - {"person"} or not isinstance(listed, list) or len(listed) > PEOPLE_MAX:
        raise PeopleInvalid("read people", str(path), reason=f"[[person]] × 0…{PEOPLE_MAX}")
    people: _Entries = {}
    for table in listed:
        entry = _entry(path, table)
        if entry[0].id in people:
            raise PeopleInvalid("read people", str(path), reason=f"{entry[0].id} × 2")
        people[entry[0].id] = entry
    return stamp, people


def _entry(path: Path, table: Any) -> tuple[Person, str]:
    """One `[[person]]`: exactly its four keys, each in its form."""
    checks: dict[str, Callable[[str], bool]] = {
        "id": lambda text: PERSON_ID.fullmatch(text) is not None,
        "name": lambda text: 0 < len(text) <= NAME_CHARACTERS_MAX and text.isprintable(),
        "role": lambda text: text in set(Role),
        "pin_hash": lambda text: text.startswith("$argon2id$") and text.isascii() and text.isprintable(),
    }
    if not isinstance(table, dict) or table.keys() != checks.keys():
        raise PeopleInvalid("read people", str(path), reason=f"[[person]] = {', '.join(checks)}")
    for key, good in checks.items():
        if not isinstance(table[key], str) or not good(table[key]):
            raise PeopleInvalid("read people", str(path), reason=f"person.{key}")
    return Person(table["id"], table["name"], Role(table["role"])), table["pin_hash"]


def _table(person: Person, pin_hash: str) -> str:
    """A person as TOML. JSON strings of printable text are TOML basic strings (TOML 1.0, "String")."""
    pairs = {"id": person.id, "name": person.name, "role": person.role.value, "pin_hash": pin_hash}
    lines = (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in pairs.items())
    return "[[person]]\n" + "\n".join(lines) + "\n"


def _replace(path: Path, text: str) -> None:
    """Write beside the file and rename: a reader sees the old file or the new one. mkstemp makes it private (0600)."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # only a sign-in needs it

    return PasswordHasher(time_cost=ARGON2_TIME, memory_cost=ARGON2_MEMORY_KIB, parallelism=ARGON2_LANES)


def _verify(pin_hash: str, pin: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

    try:
        return _hasher().verify(pin_hash, pin)
    except VerifyMismatchError:
        return False
    except (InvalidHashError, VerificationError) as error:
        raise PeopleInvalid("check PIN", "pin_hash", reason="argon2") from error
