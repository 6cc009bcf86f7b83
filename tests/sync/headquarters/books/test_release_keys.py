"""The key that signs books is succeeded: terminals follow by the old key's word, and by nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync.enrolment import ENROLMENT_FILE, enrol
from sync.headquarters import keys
from sync.headquarters.books.release import RELEASE_KEY_FILE, succeed_release_key
from sync.headquarters.enrolment import issue_code
from sync.headquarters.errors import SuccessionsFull
from sync.headquarters.keys import read_successions, successions_file
from sync.release_keys import RELEASE_KEYS_FILE, ReleaseSuccessionBroken, leads, load_release_keys, steps_to
from sync.released_book import POINTER_FILE, ReleaseKeyChanged
from sync.signing import DeviceKey
from sync.wire_keys import SUCCESSIONS_MAX, Succession, Successions, release_statement, succession_statement
from terminal.ledger.clock import SystemClock
from tests.sync.headquarters.books.campaign import DEARER
from tests.sync.headquarters.books.till import City, Till, release, running_city
from tests.sync.headquarters.client import hq_settings

Statement = Callable[[str, str], bytes]
CHANGED = {"book": ReleaseKeyChanged.code}
BROKEN = {"book": ReleaseSuccessionBroken.code}


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    with running_city(tmp_path) as running:
        yield running


def key_file(city: City) -> Path:
    return city.hq_dir / RELEASE_KEY_FILE


def public(city: City) -> str:
    """Today's key that signs books, as the settings of a till would name it."""
    return base64.b64encode(DeviceKey.load(key_file(city)).public).decode()


def succeed(city: City) -> bytes:
    """The private file of the key that was succeeded: what a thief may have kept."""
    old = key_file(city).read_bytes()
    succeed_release_key(key_file(city))
    return old


def put_key(city: City, private: bytes) -> None:
    key_file(city).write_bytes(private)


def put_chain(city: City, *steps: Succession) -> None:
    path = successions_file(key_file(city))
    path.write_text(json.dumps({"successions": [step.model_dump() for step in steps]}), encoding="utf-8")
    path.chmod(0o600)


def step(old: DeviceKey, new: DeviceKey, statement: Statement = release_statement) -> Succession:
    signature = old.private_key().sign(statement(old.public.hex(), new.public.hex())).hex()
    return Succession(old=old.public.hex(), new=new.public.hex(), signature=signature)


def again(till: Till, signed_by: str | None = None) -> Till:
    """The same directory after a restart."""
    return Till(till.directory, till.url, SystemClock(), signed_by)


# --- a till that learned the key with its first book, and one whose settings name it ----------------------------------


@pytest.mark.parametrize("named", [False, True], ids=["learned", "in-the-settings"])
def test_a_till_follows_with_the_first_book_of_the_new_key_and_stays_with_it(city: City, named: bool) -> None:
    release(city)
    first = public(city)
    till = again(city.till, first if named else None)
    assert till.beat() == {}
    old = succeed(city)
    assert till.beat() == {}
    assert (till.runs(), till.released.signing_key()) == (1, first)  # its book of the old key goes on
    release(city, DEARER)
    assert till.beat() == {}
    assert (till.runs(), till.released.signing_key()) == (2, public(city))
    till = again(till, first if named else None)
    assert (till.runs(), till.released.signing_key()) == (2, public(city))
    put_key(city, old)  # who kept the old key, at headquarters itself
    release(city)
    assert till.beat() == CHANGED
    assert till.runs() == 2
    assert city.desk.release(3).reach.faults == {ReleaseKeyChanged.code: 1}


@pytest.mark.parametrize("named", [False, True], ids=["learned", "in-the-settings"])
def test_a_till_that_was_away_follows_through_several_changes(city: City, named: bool) -> None:
    release(city)
    till = again(city.till, public(city) if named else None)
    till.beat()
    for _ in range(3):
        succeed(city)
    release(city, DEARER)
    assert till.beat() == {}
    assert (till.runs(), till.released.signing_key()) == (2, public(city))
    succeed(city)
    release(city)
    assert till.beat() == {}
    till = again(till, till.signed_by)
    assert (till.runs(), till.released.signing_key()) == (3, public(city))
    kept = load_release_keys(till.directory)
    assert kept is not None
    assert len(kept.successions) == 4


def test_a_new_till_with_an_old_key_in_its_settings_follows_from_there(city: City) -> None:
    first = public(city)
    succeed(city)
    second = public(city)
    succeed(city)
    release(city)
    for signed_by in (first, second, public(city)):
        till = again(city.till, signed_by)
        assert till.beat() == {}
        assert till.runs() == 1
        for name in (RELEASE_KEYS_FILE, POINTER_FILE):
            (till.directory / name).unlink()


def test_what_led_to_the_key_is_fetched_again_when_it_is_lost(city: City) -> None:
    release(city)
    till = again(city.till, public(city))
    till.beat()
    succeed(city)
    release(city, DEARER)
    till.beat()
    path = till.directory / RELEASE_KEYS_FILE
    for damage in (b"", b"[]", b'{"key": "00"}', path.read_bytes().replace(b'"old": "', b'"old": "0')):
        path.write_bytes(damage)
        assert till.runs() == "book-signature-invalid"
        assert till.beat() == {}
        assert again(till, till.signed_by).runs() == 2


def test_the_settings_may_name_another_beginning(city: City) -> None:
    """The way out when the old key is lost: a person compares the new one and writes it down."""
    release(city)
    city.till.beat()
    key_file(city).unlink()
    DeviceKey.create(key_file(city))
    release(city, DEARER)
    assert city.till.beat() == CHANGED
    till = again(city.till, public(city))
    assert till.beat() == {}
    assert till.runs() == 2
    assert again(till).runs() == 2
    assert again(till).released.signing_key() == public(city)


def test_a_crash_between_the_key_and_the_book_is_mended(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    import sync.private_file as private_file

    release(city)
    till = again(city.till, public(city))
    till.beat()
    succeed(city)
    release(city, DEARER)

    def pulled_plug(path: Path, content: bytes) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(private_file, "replace_private", pulled_plug)  # of book.json: the key is kept already
        with pytest.raises(KeyboardInterrupt):
            till.beat()
    assert (till.runs(), till.released.signing_key()) == (1, public(city))
    assert again(till, till.signed_by).beat() == {}
    assert till.runs() == 2


def test_a_new_key_of_headquarters_itself_takes_no_release_key_away(city: City) -> None:
    """The word over the held book is by the old one then; what is believed of books stays believed."""
    release(city)
    city.till.beat()
    old = succeed(city)
    release(city, DEARER)
    city.till.beat()
    believed = city.till.released.signing_key()
    path = city.till.directory / ENROLMENT_FILE
    enrolment = json.loads(path.read_bytes())
    path.write_text(json.dumps(enrolment | {"headquarters_key": DeviceKey.generate().public.hex()}), encoding="utf-8")
    assert city.till.runs() == "book-not-meant"
    assert again(city.till).released.signing_key() == believed
    path.write_text(json.dumps(enrolment), encoding="utf-8")
    put_key(city, old)
    release(city)
    assert again(city.till).beat() == CHANGED


def test_the_old_keys_book_in_the_settings_place_is_refused_too(city: City, tmp_path: Path) -> None:
    """Who takes `book.json` away does not bring back what the old key signed."""
    release(city)
    first, signed = public(city), city.desk.signed(1)
    local = tmp_path / "local.json"
    local.write_text(signed, encoding="utf-8")
    till = Till(city.till.directory, city.till.url, SystemClock(), first, local)
    assert till.runs() == 1
    till.beat()
    succeed(city)
    release(city, DEARER)
    till.beat()
    (till.directory / POINTER_FILE).unlink()
    assert till.runs() == "book-signature-invalid"
    assert till.beat() == {}
    assert till.runs() == 2


def test_a_new_enrolment_begins_anew(city: City) -> None:
    release(city)
    city.till.beat()
    for name in (ENROLMENT_FILE, "device.key"):
        (city.till.directory / name).unlink()
    code = issue_code(hq_settings(city.hq_dir), terminal="bj-0002", merchant="gongren-julebu", site="main")
    enrol(city.till.url, code, city.till.directory)
    assert not (city.till.directory / RELEASE_KEYS_FILE).exists()


# --- what is no succession --------------------------------------------------------------------------------------------


def test_a_chain_that_does_not_hold_is_refused(city: City) -> None:
    release(city)
    till = again(city.till, public(city))
    till.beat()
    old, thief, between = DeviceKey.load(key_file(city)), DeviceKey.generate(), DeviceKey.generate()
    good = step(old, thief)
    put_key(city, pem(thief))
    release(city, DEARER)
    for chain, told in (
        ((good.model_copy(update={"signature": step(between, thief).signature}),), BROKEN),
        ((step(old, thief, succession_statement),), BROKEN),  # what headquarters' own key says is about another matter
        ((step(old, between), step(DeviceKey.generate(), thief)), BROKEN),  # a gap
        ((step(old, between), step(between, old), step(old, thief)), BROKEN),  # a loop
        ((step(between, thief),), CHANGED),
        ((), CHANGED),
    ):
        put_chain(city, *chain)
        assert till.beat() == told
        assert (till.runs(), again(till, till.signed_by).runs()) == (1, 1)
        assert not leads(old.public.hex(), thief.public.hex(), chain)
    put_chain(city, good)  # with the key's own word it is taken
    assert till.beat() == {}
    assert till.runs() == 2


def test_a_key_that_was_succeeded_never_comes_back(city: City) -> None:
    """Not even by the word of its successor, in a chain that begins there."""
    release(city)
    till = city.till
    till.beat()
    first = DeviceKey.load(key_file(city))
    succeed(city)
    second = DeviceKey.load(key_file(city))
    release(city, DEARER)
    till.beat()
    put_key(city, pem(first))
    release(city)
    for chain in ((step(second, first),), (step(first, second), step(second, first))):
        put_chain(city, *chain)
        assert till.beat() == BROKEN
    assert till.runs() == 2


def test_steps_lead_one_way_only() -> None:
    first, second, third = (DeviceKey.generate() for _ in range(3))
    told = (step(first, second), step(second, third))
    a, b, c = (key.public.hex() for key in (first, second, third))
    assert steps_to(a, c, told) == told
    assert steps_to(b, c, told) == told[1:]
    assert steps_to(a, b, told) == told[:1]
    assert steps_to(c, a, told) is None
    assert steps_to(c, c, told) is None
    assert steps_to(a, c, ()) is None
    assert leads(a, a, ())


# --- headquarters' end ------------------------------------------------------------------------------------------------


class CrashError(Exception):
    """The power went."""


@pytest.mark.parametrize("after", ["next key", "statement"])
def test_a_succession_that_was_cut_off_is_finished_by_the_next(
    city: City, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    old = DeviceKey.load(key_file(city)).public

    def crash(*_: object) -> None:
        raise CrashError

    with monkeypatch.context() as patched:
        if after == "next key":
            patched.setattr(keys, "replace_private", crash)
        else:
            patched.setattr(keys, "sync_directory", crash)
            patched.setattr(Path, "replace", _only_drafts(Path.replace, crash))
        with pytest.raises(CrashError):
            succeed_release_key(key_file(city))
    assert DeviceKey.load(key_file(city)).public == old
    release(city)
    assert city.till.beat() == {}  # the old key signs as long as the new one is not in its place
    before, after_it = succeed_release_key(key_file(city))
    assert (before, after_it) == (old, DeviceKey.load(key_file(city)).public)
    assert len(read_successions(key_file(city)).successions) == 1


def test_changes_of_the_release_key_are_bounded(city: City) -> None:
    for _ in range(SUCCESSIONS_MAX):
        succeed(city)
    with pytest.raises(SuccessionsFull):
        succeed(city)
    assert len(Successions.model_validate_json(successions_file(key_file(city)).read_bytes()).successions) == 16


def pem(key: DeviceKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _only_drafts(replace: Callable[..., Path], crash: Callable[..., None]) -> Callable[..., Path]:
    """`Path.replace` that goes on for files written in steps, and crashes when a key is to take its place."""

    def replaced(path: Path, target: Path) -> Path:
        if path.name.endswith(keys.NEXT_SUFFIX):
            crash()
        return replace(path, target)

    return replaced
