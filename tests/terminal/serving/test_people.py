from __future__ import annotations

from pathlib import Path

import pytest

from terminal.serving import people as people_module
from terminal.serving.lockouts import (
    GLOBAL_TRIES_MAX,
    GLOBAL_WINDOW_S,
    TRACKED_IDS_MAX,
    TRIES_BEFORE_WAIT,
    WAIT_FIRST_S,
    WAIT_S_MAX,
    LocalLockouts,
    PinLocked,
)
from terminal.serving.people import (
    ARGON2_MEMORY_KIB,
    PEOPLE_BYTES_MAX,
    PEOPLE_MAX,
    People,
    PeopleInvalid,
    PeopleMissing,
    Person,
    PersonKnown,
    PinUnusable,
    PinWrong,
    Role,
    add_person,
)

WANG = Person("c01", "王芳", Role.CASHIER)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "people.toml"
    add_person(path, WANG, "1234")
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PIN check without the hash, for tests that count hundreds of tries."""
    monkeypatch.setattr(people_module, "_verify", lambda pin_hash, pin: pin == "1234" and "nobody" not in pin_hash)
    monkeypatch.setattr(People, "_nobodys_hash", lambda self: "nobody")


def test_the_right_pin_gives_the_person(path: Path) -> None:
    assert People.load(path).check_pin("c01", "1234", 0) == WANG


@pytest.mark.parametrize(("person", "pin"), [("c01", "4321"), ("c01", ""), ("c99", "1234"), ("", "")])
def test_a_wrong_pin_and_an_unknown_id_sound_the_same(path: Path, person: str, pin: str) -> None:
    with pytest.raises(PinWrong) as refused:
        People.load(path).check_pin(person, pin, 0)
    assert refused.value.details == {}


def test_an_unknown_id_is_checked_against_a_hash_as_costly_as_a_real_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes: list[str] = []
    verify = people_module._verify
    monkeypatch.setattr(
        people_module, "_verify", lambda pin_hash, pin: hashes.append(pin_hash) or verify(pin_hash, pin)
    )
    people = People.load(path)
    for person in ("c99", "c01"):
        with pytest.raises(PinWrong):
            people.check_pin(person, "9999", 0)
    assert [text.split("$")[1:4] for text in hashes] == [["argon2id", "v=19", f"m={ARGON2_MEMORY_KIB},t=2,p=1"]] * 2


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("person", ["c01", "c99"])
def test_wrong_tries_make_the_next_one_wait_longer_and_longer(path: Path, person: str) -> None:
    people = People.load(path)
    now = 0.0
    for _ in range(TRIES_BEFORE_WAIT):
        with pytest.raises(PinWrong):
            people.check_pin(person, "0000", now)
    waits = []
    for _ in range(8):
        with pytest.raises(PinLocked) as locked:
            people.check_pin(person, "1234", now)
        waits.append(int(str(locked.value.details["wait_s"])) - 1)
        now += waits[-1] + 1
        with pytest.raises(PinWrong):
            people.check_pin(person, "0000", now)
    assert waits == [min(WAIT_FIRST_S * 2**n, WAIT_S_MAX) for n in range(8)]


@pytest.mark.usefixtures("quick")
def test_the_right_pin_forgets_the_slips_before_it(path: Path) -> None:
    people = People.load(path)
    for _ in range(3):
        for _ in range(TRIES_BEFORE_WAIT - 1):
            with pytest.raises(PinWrong):
                people.check_pin("c01", "0000", 0)
        assert people.check_pin("c01", "1234", 0) == WANG


@pytest.mark.usefixtures("quick")
def test_tries_over_many_ids_meet_the_global_bound(path: Path) -> None:
    people = People.load(path)
    for number in range(GLOBAL_TRIES_MAX):
        with pytest.raises(PinWrong):
            people.check_pin(f"x{number}", "1234", 0)
    with pytest.raises(PinLocked):
        people.check_pin("c01", "1234", 1)
    assert people.check_pin("c01", "1234", GLOBAL_WINDOW_S) == WANG


@pytest.mark.usefixtures("quick")
def test_invented_ids_do_not_pile_up(path: Path) -> None:
    lockouts = LocalLockouts()
    people = People.load(path, lockouts)
    for number in range(TRACKED_IDS_MAX + 1):
        with pytest.raises(PinWrong):
            people.check_pin(f"x{number}", "0000", number * GLOBAL_WINDOW_S)
    assert lockouts.tracked == TRACKED_IDS_MAX


def test_a_new_colleague_needs_no_restart(path: Path) -> None:
    people = People.load(path)
    li = Person("m01", '李"强\\', Role.MANAGER)
    add_person(path, li, "4321")
    assert people.check_pin("m01", "4321", 0) == li
    assert people.find("m01") == li


def test_a_taken_id_is_kept_unless_replaced(path: Path) -> None:
    with pytest.raises(PersonKnown):
        add_person(path, WANG, "9999")
    add_person(path, WANG, "9999", replace=True)
    assert People.load(path).check_pin("c01", "9999", 0) == WANG


def test_the_file_is_private_and_nothing_is_left_beside_it(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["people.toml"]
    assert "1234" not in path.read_text(encoding="utf-8").replace(People.load(path)._people["c01"][1], "")


def test_a_file_that_others_can_read_is_refused(path: Path) -> None:
    path.chmod(0o640)
    with pytest.raises(PeopleInvalid) as refused:
        People.load(path)
    assert "chmod 600" in refused.value.hint_text("zh")


@pytest.mark.parametrize("pin", ["123", "1" * 13, "12a4", "１２３４", ""])
def test_a_new_pin_is_four_to_twelve_digits(path: Path, pin: str) -> None:
    with pytest.raises(PinUnusable):
        add_person(path, Person("c02", "新人", Role.CASHIER), pin)


@pytest.mark.parametrize(
    ("person", "field"),
    [
        (Person("C02", "新人", Role.CASHIER), "person.id"),
        (Person("c" * 33, "新人", Role.CASHIER), "person.id"),
        (Person("c02", "", Role.CASHIER), "person.name"),
        (Person("c02", "新\n人", Role.CASHIER), "person.name"),
        (Person("c02", "新" * 65, Role.CASHIER), "person.name"),
    ],
)
def test_a_person_who_breaks_the_form_is_not_added(path: Path, person: Person, field: str) -> None:
    with pytest.raises(PeopleInvalid) as refused:
        add_person(path, person, "1234")
    assert refused.value.details["reason"] == field


GOOD = '[[person]]\nid = "a"\nname = "A"\nrole = "cashier"\npin_hash = "$argon2id$x"\n'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff", "utf-8"),
        (b"person = ", "Invalid value"),
        (b"persons = 1", "[[person]]"),
        (b"person = 1", "[[person]]"),
        (b"[[person]]\nid = 'a'", "pin_hash"),
        (GOOD.replace("cashier", "king").encode(), "person.role"),
        (GOOD.replace("$argon2id$x", "1234").encode(), "person.pin_hash"),
        (GOOD.replace('"a"', "7").encode(), "person.id"),
        ((GOOD * 2).encode(), "a × 2"),
        (("\n".join(GOOD.replace('"a"', f'"a{n}"') for n in range(PEOPLE_MAX + 1))).encode(), "1000"),
        (b"#" * (PEOPLE_BYTES_MAX + 1), "bytes"),
    ],
)
def test_a_faulty_file_says_what_is_wrong(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "people.toml"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(PeopleInvalid) as refused:
        People.load(path)
    assert reason in str(refused.value.details["reason"])


def test_a_hash_that_argon2_cannot_read_is_a_faulty_file(tmp_path: Path) -> None:
    path = tmp_path / "people.toml"
    path.touch(mode=0o600)
    path.write_text(GOOD, encoding="utf-8")
    with pytest.raises(PeopleInvalid):
        People.load(path).check_pin("a", "1234", 0)


def test_a_missing_file_is_said_at_load_and_at_sign_in(path: Path, tmp_path: Path) -> None:
    with pytest.raises(PeopleMissing):
        People.load(tmp_path / "none.toml")
    people = People.load(path)
    path.unlink()
    with pytest.raises(PeopleMissing):
        people.check_pin("c01", "1234", 0)
