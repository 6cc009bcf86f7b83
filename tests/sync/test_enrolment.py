"""A machine becomes a terminal, whatever breaks on the way, and only by the headquarters that invited it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from config.errors import Retry
from sync.enrolment import ENROLMENT_FILE, KEY_FILE, Enrolment, enrol, load_enrolment
from sync.errors import (
    AddressInvalid,
    AlreadyEnrolled,
    AnswerUnverified,
    CodeMistyped,
    CodeRefused,
    EnrolmentDamaged,
    HeadquartersBusy,
    HeadquartersFailing,
    HeadquartersUntrusted,
    KeyExposed,
    LineDown,
    NotEnrolled,
    SyncError,
    TerminalRefused,
)
from sync.signing import DeviceKey
from tests.fakes.headquarters import FakeHeadquarters, Fault, serve

URL = "http://hq.example:8600"


def test_a_machine_becomes_a_terminal_over_real_http(tmp_path: Path) -> None:
    headquarters = FakeHeadquarters()
    code = headquarters.issue_code("cinema-1", "dahua", "lobby")
    with serve(headquarters) as url:
        enrolment = enrol(url + "/", code.lower().replace("-", " "), tmp_path)
    assert enrolment == Enrolment("cinema-1", "dahua", "lobby", "dahua lobby", headquarters.key.public)
    assert load_enrolment(tmp_path) == enrolment
    assert headquarters.terminals == {"cinema-1": DeviceKey.load(tmp_path / KEY_FILE).public}
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        KEY_FILE: 0o600,
        ENROLMENT_FILE: 0o600,
    }


def test_the_secret_is_sent_and_the_private_key_is_not(tmp_path: Path) -> None:
    headquarters = FakeHeadquarters()
    enrol(URL, headquarters.issue_code("cinema-1"), tmp_path, headquarters.transport())
    private = DeviceKey.load(tmp_path / KEY_FILE).private_key().private_bytes_raw()
    sent = b"".join(request.body + repr(dict(request.headers)).encode() for request in headquarters.requests)
    assert private not in sent
    assert private.hex().encode() not in sent


@pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.CUT_ANSWER, Fault.SLOW_ANSWER])
def test_an_enrolment_whose_answer_was_lost_is_repaired_by_the_same_code(fault: Fault, tmp_path: Path) -> None:
    headquarters = FakeHeadquarters()
    code = headquarters.issue_code("cinema-1")
    headquarters.faults.append(fault)
    with pytest.raises(LineDown):
        enrol(URL, code, tmp_path, headquarters.transport())
    with pytest.raises(NotEnrolled):
        load_enrolment(tmp_path)
    assert enrol(URL, code, tmp_path, headquarters.transport()).terminal == "cinema-1"
    assert len(headquarters.terminals) == 1


def test_doing_it_again_with_the_same_code_changes_nothing_and_asks_nobody(tmp_path: Path) -> None:
    headquarters = FakeHeadquarters()
    code = headquarters.issue_code("cinema-1")
    first = enrol(URL, code, tmp_path, headquarters.transport())
    asked = len(headquarters.requests)
    assert enrol(URL, code, tmp_path, headquarters.transport()) == first
    assert len(headquarters.requests) == asked


def test_a_directory_belongs_to_one_headquarters(tmp_path: Path) -> None:
    first, second = FakeHeadquarters(), FakeHeadquarters()
    enrol(URL, first.issue_code("cinema-1"), tmp_path, first.transport())
    with pytest.raises(AlreadyEnrolled):
        enrol(URL, second.issue_code("cinema-1"), tmp_path, second.transport())
    assert load_enrolment(tmp_path).headquarters_key == first.key.public


def test_a_code_serves_one_machine(tmp_path: Path) -> None:
    headquarters = FakeHeadquarters()
    code = headquarters.issue_code("cinema-1")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    enrol(URL, code, tmp_path / "a", headquarters.transport())
    with pytest.raises(CodeRefused):
        enrol(URL, code, tmp_path / "b", headquarters.transport())


def test_a_mistyped_code_is_told_before_anything_is_sent_or_written(tmp_path: Path) -> None:
    headquarters = FakeHeadquarters()
    code = headquarters.issue_code("cinema-1")
    with pytest.raises(CodeMistyped):
        enrol(URL, ("0" if code[0] != "0" else "1") + code[1:], tmp_path, headquarters.transport())
    assert not headquarters.requests
    assert not list(tmp_path.iterdir())


def test_another_headquarters_cannot_take_a_terminal_in(tmp_path: Path) -> None:
    """It has seen the code and answers with a good signature, but by its own key."""
    inviting, stranger = FakeHeadquarters(), FakeHeadquarters()
    code = inviting.issue_code("cinema-1")
    stranger._codes = dict(inviting._codes)
    with pytest.raises(HeadquartersUntrusted) as caught:
        enrol(URL, code, tmp_path, stranger.transport())
    assert caught.value.retry is Retry.STOP
    assert not (tmp_path / ENROLMENT_FILE).exists()


def test_headquarters_key_without_headquarters_signature_is_not_believed(tmp_path: Path) -> None:
    """A stranger repeats the right key, which is public, and signs with his own."""
    inviting = FakeHeadquarters()
    code = inviting.issue_code("cinema-1")
    stranger = FakeHeadquarters(
        key=dataclasses.replace(DeviceKey.generate(), public=inviting.key.public), _codes=dict(inviting._codes)
    )
    with pytest.raises(HeadquartersUntrusted):
        enrol(URL, code, tmp_path, stranger.transport())
    assert not (tmp_path / ENROLMENT_FILE).exists()


def test_a_machine_with_a_dead_clock_can_be_enrolled(tmp_path: Path) -> None:
    headquarters = FakeHeadquarters()
    enrolment = enrol(
        URL,
        headquarters.issue_code("cinema-1"),
        tmp_path,
        headquarters.transport(),
        now=lambda: datetime(2000, 1, 1, tzinfo=UTC),
    )
    assert enrolment.terminal == "cinema-1"


def test_a_headquarters_that_always_complains_about_the_clock_is_asked_twice_only(tmp_path: Path) -> None:
    drift = iter(range(1, 100))
    headquarters = FakeHeadquarters(now=lambda: datetime.now(UTC) + timedelta(hours=next(drift)))
    with pytest.raises(TerminalRefused) as caught:
        enrol(URL, headquarters.issue_code("cinema-1"), tmp_path, headquarters.transport())
    assert caught.value.details["problem"] == "clock-skewed"
    assert len(headquarters.requests) == 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.DOWN, LineDown),
        (Fault.SLOW, LineDown),
        (Fault.ENDLESS_ANSWER, LineDown),
        (Fault.BUSY_429, HeadquartersBusy),
        (Fault.FAILING_500, HeadquartersFailing),
        (Fault.PROXY_502, HeadquartersFailing),
        (Fault.REFUSED_401, TerminalRefused),
        (Fault.SIGN_IN_PAGE, AnswerUnverified),
        (Fault.UNSIGNED_ANSWER, AnswerUnverified),
    ],
)
def test_a_line_in_trouble_is_told_by_its_kind_and_leaves_the_code_good(
    fault: Fault, error: type[SyncError], tmp_path: Path
) -> None:
    headquarters = FakeHeadquarters()
    code = headquarters.issue_code("cinema-1")
    headquarters.faults.append(fault)
    with pytest.raises(error):
        enrol(URL, code, tmp_path, headquarters.transport())
    assert enrol(URL, code, tmp_path, headquarters.transport()).terminal == "cinema-1"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "ftp://hq.example",
        "http://hq.example:port",
        "hq.example",
        "http://a:b@hq.example",
        "http://hq.example?x=1",
    ],
)
def test_an_address_that_is_none_is_a_mistake_in_the_settings(url: str, tmp_path: Path) -> None:
    code = FakeHeadquarters().issue_code("cinema-1")
    with pytest.raises(AddressInvalid) as caught:
        enrol(url, code, tmp_path)
    assert caught.value.retry is Retry.STOP


def test_an_exposed_key_is_not_used(tmp_path: Path) -> None:
    headquarters = FakeHeadquarters()
    DeviceKey.create(tmp_path / KEY_FILE)
    (tmp_path / KEY_FILE).chmod(0o644)
    with pytest.raises(KeyExposed):
        enrol(URL, headquarters.issue_code("cinema-1"), tmp_path, headquarters.transport())
    assert not headquarters.requests


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"terminal": "x"}'])
def test_a_damaged_enrolment_file_is_told_apart_from_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / ENROLMENT_FILE
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(EnrolmentDamaged):
        load_enrolment(tmp_path)


def test_redirects_are_not_followed(tmp_path: Path) -> None:
    seen: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(307, headers={"location": "http://evil.example"}, stream=httpx.ByteStream(b""))

    code = FakeHeadquarters().issue_code("cinema-1")
    with pytest.raises(SyncError):
        enrol(URL, code, tmp_path, httpx.MockTransport(redirect))
    assert seen == [f"{URL}/api/v1/enrolments"]
