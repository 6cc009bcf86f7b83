"""A real terminal's feed against a real headquarters: what is meant arrives, and nothing else is ever run."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import sync.headquarters.books.office as office
from config.errors import JingkaError
from sync.enrolment import enrol
from sync.errors import AnswerUnverified
from sync.feeds import Source
from sync.headquarters.app import create_app
from sync.headquarters.books.release import RELEASE_KEY_FILE
from sync.headquarters.books.stages import Target
from sync.headquarters.enrolment import issue_code
from sync.headquarters.keys import rotate_headquarters_key
from sync.released_book import POINTER_FILE, BookNotMeant, BookOlder, ReleaseKeyChanged
from sync.signing import DeviceKey
from terminal.book_in_force import BookInForce
from terminal.ledger.clock import SystemClock
from terminal.offers.book import LoadedBook
from tests.sync.headquarters.books.campaign import APPROVER, DEARER, EDITOR
from tests.sync.headquarters.books.till import City, Till, release, running_city
from tests.sync.headquarters.client import hq_settings, served


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    with running_city(tmp_path) as running:
        yield running


def test_without_a_release_the_settings_book_goes_on(city: City) -> None:
    assert city.till.beat() == {}
    assert city.till.runs() == 99


def test_what_is_meant_arrives_is_told_and_runs(city: City) -> None:
    revision = release(city)
    assert city.till.beat() == {}
    assert city.till.runs() == revision == 1
    assert (city.desk.release(1).reach.has, city.desk.release(1).reach.meant) == (1, 1)
    assert city.till.feed.version() == f"1:{city.desk.release(1).release.sha256}"


def test_what_is_meant_for_others_does_not_arrive(city: City) -> None:
    release(city)
    city.till.beat()
    release(city, DEARER, Target(merchants=("another",)))
    assert city.till.beat() == {}
    assert city.till.runs() == 1
    city.desk.roll_out(EDITOR, 2, Target(sites=("gongren-julebu/main",)))
    city.till.beat()
    assert city.till.runs() == 2


def test_a_stop_and_a_rollback_reach_the_till_as_a_newer_revision(city: City) -> None:
    release(city)
    release(city, DEARER, Target(terminals=("bj-0001",)))
    city.till.beat()
    assert city.till.runs() == 2
    city.desk.stop(EDITOR, 2)
    assert city.till.beat() == {}
    assert city.till.runs() == 2
    city.desk.restore(APPROVER, 1, everywhere=True)
    city.till.beat()
    assert city.till.runs() == 3


def test_selling_goes_on_while_the_book_is_replaced_and_an_open_sale_ends_by_its_own(city: City) -> None:
    first = city.till.file.load()
    assert isinstance(first, LoadedBook)
    in_force = BookInForce(first, kept_ms=300_000)
    assert not city.till.file.changed
    release(city, DEARER)
    city.till.beat()
    assert in_force.book.revision == 99  # nothing has looked yet
    assert city.till.file.changed
    assert in_force.replace(city.till.file.load(), now_ms=1_000)
    assert (in_force.book.revision, in_force.pinned(first.hash, 2_000).revision) == (1, 99)
    assert not city.till.file.changed


def test_a_large_book_comes_in_parts(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office, "PART_BYTES_MAX", 700)
    asked: list[str] = []
    get = Source.get
    monkeypatch.setattr(Source, "get", lambda self, path, **more: asked.append(path) or get(self, path, **more))
    release(city)
    assert city.till.beat() == {}
    assert city.till.runs() == 1
    assert len(asked) > 3
    assert asked[1].endswith("?offset=700")


def test_another_release_between_two_parts_begins_anew(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office, "PART_BYTES_MAX", 700)
    release(city)
    source = city.till.source()
    try:
        city.till.feed.fetch(source, "1:whatever")
        release(city, DEARER)
        for _ in range(20):
            city.till.feed.fetch(source, "2:whatever")
            if city.till.runs() == 2:
                break
    finally:
        source.line.close()
    assert city.till.runs() == 2


def book_file(till: Till) -> Path:
    (path,) = (till.directory / "books").glob("*.json")
    return path


def test_a_tampered_book_never_runs_and_is_fetched_again(city: City) -> None:
    release(city)
    city.till.beat()
    path = book_file(city.till)
    whole = path.read_text("utf-8")
    path.write_text(whole.replace('"unit_fen": 1000', '"unit_fen": 1', 1), encoding="utf-8")
    assert city.till.runs() == "book-signature-invalid"
    assert city.till.beat() == {}
    assert city.till.runs() == 1
    assert book_file(city.till).read_text("utf-8") == whole
    path.unlink()
    assert city.till.runs() == "book-missing"
    city.till.beat()
    assert city.till.runs() == 1


def test_a_book_that_is_well_signed_by_somebody_else_never_runs(city: City, tmp_path: Path) -> None:
    """Signed, and even pointed at; but headquarters never said so, or another key signed it."""
    from terminal.offers.book import canonical_json, load_book
    from terminal.offers.signature import signed_form

    release(city)
    city.till.beat()
    thief = DeviceKey.generate()
    local = tmp_path / "forged.toml"
    local.write_text(DEARER, encoding="utf-8")
    forged = load_book(local)
    form = signed_form(canonical_json(forged.book), 1, thief.public, thief.private_key().sign)
    pointer_path = city.till.directory / POINTER_FILE
    pointer = json.loads(pointer_path.read_bytes())
    pointer |= {"sha256": forged.hash, "key": base64.b64encode(thief.public).decode()}
    (city.till.directory / "books" / f"1-{forged.hash[:12]}.json").write_text(form, encoding="utf-8")
    pointer_path.write_text(json.dumps(pointer), encoding="utf-8")
    assert city.till.runs() == "book-not-meant"
    city.till.beat()
    assert city.till.runs() == 1


def test_a_book_copied_from_another_till_is_not_run(city: City, tmp_path: Path) -> None:
    release(city)
    city.till.beat()
    settings = hq_settings(city.hq_dir)
    code = issue_code(settings, terminal="bj-0002", merchant="gongren-julebu", site="main")
    other = tmp_path / "other"
    other.mkdir()
    enrol(city.till.url, code, other)
    shutil.copytree(city.till.directory / "books", other / "books")
    shutil.copy(city.till.directory / POINTER_FILE, other / POINTER_FILE)
    copied = Till(other, city.till.url, SystemClock())
    assert copied.runs() == "book-not-meant"


def test_a_till_never_goes_back_to_a_smaller_number(city: City) -> None:
    """Headquarters restored from a backup, or somebody who kept an old book and its word."""
    release(city)
    city.till.beat()
    old = city.till.released.pointer()
    assert old is not None
    signed = book_file(city.till).read_bytes()
    release(city, DEARER)
    city.till.beat()
    with pytest.raises(BookOlder):
        city.till.released.install(old, signed)
    assert city.till.runs() == 2


def test_another_release_key_is_refused_until_a_person_sets_it(city: City) -> None:
    release(city)
    city.till.beat()
    (city.hq_dir / RELEASE_KEY_FILE).unlink()
    again = DeviceKey.create(city.hq_dir / RELEASE_KEY_FILE)
    release(city, DEARER)
    assert city.till.beat() == {"book": ReleaseKeyChanged.code}
    assert city.till.runs() == 1
    assert city.desk.release(2).reach.faults == {ReleaseKeyChanged.code: 1}
    trusting = Till(city.till.directory, city.till.url, SystemClock(), base64.b64encode(again.public).decode())
    assert trusting.beat() == {}
    assert trusting.runs() == 2


def test_a_till_that_names_the_key_takes_no_other_from_the_start(city: City) -> None:
    foreign = base64.b64encode(DeviceKey.generate().public).decode()
    release(city)
    till = Till(city.till.directory, city.till.url, SystemClock(), foreign)
    assert till.beat() == {"book": ReleaseKeyChanged.code}
    assert not (till.directory / POINTER_FILE).exists()


def test_a_damaged_pointer_stops_the_book_and_is_mended(city: City) -> None:
    release(city)
    city.till.beat()
    pointer = city.till.directory / POINTER_FILE
    for damage in (
        b"",
        b"{",
        b"[]",
        b'{"terminal": 1}',
        pointer.read_bytes().replace(b'"revision": 1', b'"revision": "1"'),
    ):
        pointer.write_bytes(damage)
        assert city.till.runs() == "released-book-damaged"
    city.till.beat()
    assert city.till.runs() == 1


def test_a_crash_before_the_pointer_leaves_the_old_book(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    import sync.private_file as private_file

    release(city)
    city.till.beat()
    release(city, DEARER)

    def pulled_plug(path: Path, content: bytes) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(private_file, "replace_private", pulled_plug)
        with pytest.raises(KeyboardInterrupt):
            city.till.beat()
    assert city.till.runs() == 1
    city.till.beat()
    assert city.till.runs() == 2


def test_what_does_not_verify_changes_nothing(city: City) -> None:
    release(city)
    city.till.beat()
    pointer = city.till.released.pointer()
    assert pointer is not None
    with pytest.raises(JingkaError):
        city.till.released.install(pointer, b"{}")
    with pytest.raises(BookNotMeant):
        city.till.released.install(
            type(pointer)(pointer.terminal, 5, pointer.sha256, pointer.key, pointer.meant), b"{}"
        )
    assert city.till.runs() == 1
    assert sorted(path.name for path in (city.till.directory / "books").iterdir()) == [pointer.file]


def test_a_headquarters_that_lost_releases_is_told_what_the_till_has(city: City) -> None:
    from sync.headquarters.books.office import UNKNOWN_BOOK
    from sync.wire_book import BookHeld

    release(city)
    source = city.till.source()
    try:
        held = BookHeld(revision=8, sha256="0" * 64)
        source.post("/api/v1/terminals/bj-0001/book", held.model_dump_json().encode())
    finally:
        source.line.close()
    assert city.desk.release(1).reach.faults == {UNKNOWN_BOOK: 1}


def test_only_the_terminal_itself_gets_its_book(city: City) -> None:
    release(city)
    with httpx.Client(base_url=city.till.url, trust_env=False) as client:
        assert client.get("/api/v1/terminals/bj-0001/book").status_code == 401
        assert client.post("/api/v1/terminals/bj-0001/book", json={}).status_code == 401
    source = city.till.source()
    try:
        with pytest.raises(JingkaError):
            source.get("/api/v1/terminals/bj-0002/book")
        with pytest.raises(JingkaError):
            source.get("/api/v1/terminals/bj-0001/book?offset=4000000")
    finally:
        source.line.close()


def test_a_book_is_proven_anew_when_headquarters_itself_has_a_new_key(tmp_path: Path) -> None:
    """So that a till that starts again without a line has a book that today's key says is meant for it."""
    with running_city(tmp_path) as city:
        release(city)
        till = city.till
        assert till.beat() == {}
    rotate_headquarters_key(city.hq_dir)
    with served(create_app(hq_settings(city.hq_dir))) as client:
        till.url = str(client.base_url)
        with pytest.raises(AnswerUnverified):  # finds that headquarters has another key, and follows
            till.beat()
        assert till.runs() == "book-not-meant"
        assert till.beat() == {}
    assert till.runs() == 1
