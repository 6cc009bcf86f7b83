"""What terminals meet over HTTP: enrolment, entries, and every request that must not be let in."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from sync.enrolment_code import parse_code
from sync.headquarters import door, enrolment, fleet
from sync.headquarters.app import create_app
from sync.headquarters.door import headquarters_key
from sync.headquarters.storage import Storage, open_storage
from sync.headquarters.tables import attempts, enrolment_codes, entries, nonces, terminals
from sync.signing import DeviceKey, HttpRequest, HttpResponse
from sync.wire import (
    BODY_BYTES_MAX,
    ENROLMENTS_PATH,
    Acknowledgement,
    EnrolmentAnswer,
    EnrolmentRequest,
    EntryBatch,
    encode_message,
    entries_path,
    parse_message,
    timestamp,
)
from tests.sync.headquarters.client import HandClock, SigningTerminal, hq_settings, served
from tests.sync.headquarters.written_ledger import MERCHANT, NOON, SITE, WrittenLedger, known_ledger


@dataclasses.dataclass
class Scene:
    """One headquarters and one terminal that it knows."""

    app: FastAPI
    clock: HandClock
    storage: Storage
    terminal: SigningTerminal
    ledger: WrittenLedger
    key: bytes
    data_dir: Path
    database_url: str


@pytest.fixture
def scene(database_url: str, tmp_path: Path) -> Iterator[Scene]:
    clock = HandClock()
    app = create_app(hq_settings(tmp_path, database_url), clock)
    storage = open_storage(database_url, tmp_path)
    with served(app) as client:
        terminal = SigningTerminal(client, clock, "bj-0001")
        ledger = known_ledger(storage, "bj-0001", terminal.key.public.hex())
        key = headquarters_key(tmp_path).public
        yield Scene(app, clock, storage, terminal, ledger, key, tmp_path, database_url)
    storage.close()


def code_of(answer: HttpResponse) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    document = json.loads(answer.body)
    assert document["status"] == answer.status
    assert document["hint"]
    code: str = document["code"]
    return code


def count(storage: Storage, table: Any) -> int:
    with storage.read() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def test_entries_are_acknowledged_by_headquarters_key(scene: Scene) -> None:
    scene.ledger.authorise(1)
    answer = scene.terminal.push(scene.ledger.batch())
    assert answer.status == 200
    assert scene.terminal.proves(answer, scene.key)
    told = parse_message(Acknowledgement, answer.body)
    assert told == Acknowledgement(acknowledged=1, flagged=(), time=timestamp(NOON))


def test_a_flag_is_told_with_its_number(scene: Scene) -> None:
    scene.ledger.complete(1)
    answer = scene.terminal.push(scene.ledger.batch())
    assert json.loads(answer.body)["flagged"] == [{"sequence": 1, "code": "without-authorisation"}]


def test_gap_and_fork_are_told_apart_and_proven(scene: Scene) -> None:
    for number in range(1, 4):
        scene.ledger.authorise(number)
    gap = scene.terminal.push(scene.ledger.batch(first=2))
    assert (gap.status, code_of(gap), json.loads(gap.body)["expected"]) == (409, "sequence-gap", 1)
    assert scene.terminal.proves(gap, scene.key)
    scene.terminal.push(scene.ledger.batch())
    clone = WrittenLedger()
    clone.authorise(9)
    fork = scene.terminal.push(clone.batch())
    assert (fork.status, code_of(fork), json.loads(fork.body)["expected"]) == (409, "chain-forked", 1)
    assert scene.terminal.proves(fork, scene.key)


def test_the_clock_s_difference_is_noted(scene: Scene) -> None:
    batch = scene.ledger.batch()
    late = scene.terminal.signed(
        entries_path("bj-0001"), encode_message(batch), at=scene.clock.now + timedelta(seconds=45)
    )
    assert scene.terminal.send(late).status == 200
    with scene.storage.read() as connection:
        assert connection.scalar(select(terminals.c.skew_ms)) == 45_000


Spoil = Callable[[Scene], HttpRequest]


def good(scene: Scene, **changes: Any) -> HttpRequest:
    return scene.terminal.signed(entries_path("bj-0001"), encode_message(scene.ledger.batch()), **changes)


def without_signature(scene: Scene) -> HttpRequest:
    request = good(scene)
    headers = {name: value for name, value in request.headers.items() if "signature" not in name.lower()}
    return dataclasses.replace(request, headers=headers)


def without_digest(scene: Scene) -> HttpRequest:
    request = good(scene)
    return dataclasses.replace(request, headers={k: v for k, v in request.headers.items() if k != "Content-Digest"})


def another_body(scene: Scene) -> HttpRequest:
    request = good(scene)
    scene.ledger.authorise(77)
    other = good(scene)
    return dataclasses.replace(request, body=other.body)


def another_key(scene: Scene) -> HttpRequest:
    scene.terminal.key = DeviceKey.generate()
    return good(scene)


def stale(scene: Scene) -> HttpRequest:
    return good(scene, at=scene.clock.now - timedelta(seconds=301))


def too_early(scene: Scene) -> HttpRequest:
    return good(scene, at=scene.clock.now + timedelta(seconds=301))


def replayed(scene: Scene) -> HttpRequest:
    request = good(scene)
    assert scene.terminal.send(request).status == 200
    return request


def replayed_near_the_end_of_its_window(scene: Scene) -> HttpRequest:
    request = good(scene, at=scene.clock.now + timedelta(seconds=299))
    assert scene.terminal.send(request).status == 200
    scene.clock.now += timedelta(seconds=599)
    return request


def unknown_terminal(scene: Scene) -> HttpRequest:
    return scene.terminal.signed(entries_path("bj-9999"), b"{}", key_id="bj-9999")


def other_terminals_address(scene: Scene) -> HttpRequest:
    known_ledger(scene.storage, "bj-0002")
    return scene.terminal.signed(entries_path("bj-0002"), encode_message(EntryBatch(terminal="bj-0002", entries=())))


def other_terminals_name(scene: Scene) -> HttpRequest:
    known_ledger(scene.storage, "bj-0002")
    path = entries_path("bj-0002")
    return scene.terminal.signed(path, encode_message(EntryBatch(terminal="bj-0002", entries=())), key_id="bj-0002")


def other_terminals_batch(scene: Scene) -> HttpRequest:
    return scene.terminal.signed(entries_path("bj-0001"), encode_message(EntryBatch(terminal="bj-0002", entries=())))


def revoked(scene: Scene) -> HttpRequest:
    with scene.storage.write() as connection:
        fleet.revoke(connection, "bj-0001")
    return good(scene)


def moved_to_another_path(scene: Scene) -> HttpRequest:
    request = good(scene)
    return dataclasses.replace(request, url=request.url + "?x=1")


def another_method_s_signature(scene: Scene) -> HttpRequest:
    return dataclasses.replace(good(scene), headers=dict(good(scene).headers) | {"Signature": "jingka=:AAAA:"})


def not_json(scene: Scene) -> HttpRequest:
    return scene.terminal.signed(entries_path("bj-0001"), b"\xff\xfe")


def unknown_field(scene: Scene) -> HttpRequest:
    return scene.terminal.signed(entries_path("bj-0001"), b'{"terminal":"bj-0001","entries":[],"more":1}')


def hole_in_the_batch(scene: Scene) -> HttpRequest:
    for number in range(1, 4):
        scene.ledger.authorise(number)
    batch = scene.ledger.batch().model_copy(update={"entries": tuple(scene.ledger.messages[::2])})
    return scene.terminal.signed(entries_path("bj-0001"), batch.model_dump_json().encode())


def a_bomb(scene: Scene) -> HttpRequest:
    return scene.terminal.signed(entries_path("bj-0001"), b"[" + b" " * (BODY_BYTES_MAX - 2) + b"]")


REFUSED: dict[str, tuple[Spoil, int, str]] = {
    "unsigned": (without_signature, 401, "signature-missing"),
    "no digest": (without_digest, 401, "signature-invalid"),
    "another body": (another_body, 401, "signature-invalid"),
    "another key": (another_key, 401, "signature-invalid"),
    "another signature": (another_method_s_signature, 401, "signature-invalid"),
    "another query": (moved_to_another_path, 401, "signature-invalid"),
    "stale": (stale, 401, "clock-skewed"),
    "too early": (too_early, 401, "clock-skewed"),
    "replayed": (replayed, 401, "nonce-replayed"),
    "replayed late": (replayed_near_the_end_of_its_window, 401, "nonce-replayed"),
    "unknown terminal": (unknown_terminal, 401, "terminal-unknown"),
    "other terminal's address": (other_terminals_address, 401, "signature-invalid"),
    "other terminal's name": (other_terminals_name, 401, "signature-invalid"),
    "other terminal's batch": (other_terminals_batch, 422, "message-malformed"),
    "revoked": (revoked, 401, "terminal-revoked"),
    "not JSON": (not_json, 422, "message-malformed"),
    "unknown field": (unknown_field, 422, "message-malformed"),
    "hole in the batch": (hole_in_the_batch, 422, "message-malformed"),
    "blanks without end": (a_bomb, 422, "message-malformed"),
}


@pytest.mark.parametrize(("spoil", "status", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_requests_that_are_not_let_in(scene: Scene, spoil: Spoil, status: int, code: str) -> None:
    request = spoil(scene)
    taken = count(scene.storage, entries)
    answer = scene.terminal.send(request)
    assert (answer.status, code_of(answer)) == (status, code)
    assert json.loads(answer.body)["time"] == timestamp(scene.clock.now)
    assert count(scene.storage, entries) == taken
    if code != "signature-missing":
        assert scene.terminal.proves(answer, scene.key)


def test_a_signed_bomb_is_refused_before_it_is_opened(scene: Scene) -> None:
    packed = gzip.compress(b" " * (BODY_BYTES_MAX + 1))
    request = scene.terminal.signed(entries_path("bj-0001"), b"{}")
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    from sync.signing import sign_request

    plain = HttpRequest("POST", request.url, headers, packed)
    signature = sign_request(plain, key=scene.terminal.key, key_id="bj-0001", now=scene.clock.now, nonce="b" * 32)
    answer = scene.terminal.send(dataclasses.replace(plain, headers=headers | signature))
    assert (answer.status, code_of(answer)) == (413, "body-too-large")


def test_a_body_over_the_bound_is_not_read(scene: Scene) -> None:
    request = good(scene)
    answer = scene.terminal.send(dataclasses.replace(request, body=b"x" * (BODY_BYTES_MAX + 1)))
    assert (answer.status, code_of(answer)) == (413, "body-too-large")


def test_a_failed_request_may_come_again(scene: Scene) -> None:
    """The nonce goes with the work: what did nothing was not fresh in vain."""
    request = other_terminals_batch(scene)
    assert scene.terminal.send(request).status == 422
    assert count(scene.storage, nonces) == 0


def test_nonces_are_forgotten_after_their_window(scene: Scene) -> None:
    for _ in range(3):
        scene.terminal.push(scene.ledger.batch())
    assert count(scene.storage, nonces) == 3
    scene.clock.now += timedelta(seconds=302)
    scene.terminal.push(scene.ledger.batch())
    assert count(scene.storage, nonces) == 1


def test_more_nonces_than_the_store_may_hold_are_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "NONCES_PER_KEY_MAX", 2)
    answers = [scene.terminal.push(scene.ledger.batch()) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 503]
    assert code_of(answers[2]) == "busy"


# --- enrolment --------------------------------------------------------------------------------------------------------


def invite(scene: Scene, terminal: str = "bj-0100") -> str:
    """A new code, as the command line makes it."""
    settings = hq_settings(scene.data_dir, scene.database_url)
    return enrolment.issue_code(settings, terminal=terminal, merchant=MERCHANT, site=SITE)


@pytest.fixture
def newcomer(scene: Scene) -> SigningTerminal:
    """A machine with a key and no name. Codes made by the command line use the machine's own clock."""
    from sync.headquarters.service import utc_now

    scene.clock.now = utc_now()
    return SigningTerminal(scene.terminal.client, scene.clock, "")


def ask(newcomer: SigningTerminal, typed: str, **changes: Any) -> HttpResponse:
    fields = {"code": parse_code(typed).secret_text, "public_key": newcomer.key.public.hex(), "version": "0.1.0"}
    body = encode_message(EnrolmentRequest(**(fields | changes)))
    return newcomer.send(newcomer.signed(ENROLMENTS_PATH, body, key_id=newcomer.key.public.hex()))


def test_a_code_makes_a_terminal_once_and_says_so_again(scene: Scene, newcomer: SigningTerminal) -> None:
    code = invite(scene)
    assert parse_code(code).promises(scene.key)
    first = ask(newcomer, code)
    assert first.status == 201
    assert newcomer.proves(first, scene.key)
    told = parse_message(EnrolmentAnswer, first.body)
    assert (told.terminal, told.merchant, told.site) == ("bj-0100", MERCHANT, SITE)
    assert told.headquarters_key == scene.key.hex()
    scene.clock.now += timedelta(hours=5)  # the answer was lost, the line came back late
    again = parse_message(EnrolmentAnswer, ask(newcomer, code).body)
    assert again.model_copy(update={"time": told.time}) == told
    newcomer.terminal = "bj-0100"
    pushed = newcomer.push(EntryBatch(terminal="bj-0100", entries=()))
    assert pushed.status == 200


def test_the_code_is_not_kept(scene: Scene, newcomer: SigningTerminal) -> None:
    code = invite(scene)
    with scene.storage.read() as connection:
        row = connection.execute(select(enrolment_codes)).one()
    assert parse_code(code).secret_text not in str(row)


def test_a_used_code_is_refused_to_another_machine(scene: Scene, newcomer: SigningTerminal) -> None:
    code = invite(scene)
    ask(newcomer, code)
    other = SigningTerminal(newcomer.client, scene.clock, "")
    answer = ask(other, code)
    assert (answer.status, code_of(answer)) == (403, "code-refused")


def test_an_expired_code_is_refused(scene: Scene, newcomer: SigningTerminal) -> None:
    code = invite(scene)
    scene.clock.now += timedelta(seconds=3601)
    answer = ask(newcomer, code)
    assert (answer.status, code_of(answer)) == (403, "code-refused")
    assert count(scene.storage, terminals) == 1


def test_an_unknown_code_is_refused(scene: Scene, newcomer: SigningTerminal) -> None:
    answer = ask(newcomer, invite(scene), code="0" * 16)
    assert (answer.status, code_of(answer)) == (403, "code-refused")


def test_a_second_code_for_a_name_that_was_taken_meanwhile_is_refused(scene: Scene, newcomer: SigningTerminal) -> None:
    codes = [invite(scene), invite(scene)]
    ask(newcomer, codes[0])
    other = SigningTerminal(newcomer.client, scene.clock, "")
    assert code_of(ask(other, codes[1])) == "code-refused"


def test_one_key_is_one_terminal(scene: Scene, newcomer: SigningTerminal) -> None:
    codes = [invite(scene), invite(scene, "bj-0101")]
    assert ask(newcomer, codes[0]).status == 201
    assert code_of(ask(newcomer, codes[1])) == "code-refused"


def test_a_code_is_not_made_for_a_terminal_there_is(scene: Scene) -> None:
    with pytest.raises(enrolment.TerminalTaken):
        invite(scene, "bj-0001")


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65, "终端"])
def test_a_code_is_not_made_for_a_name_that_cannot_be(scene: Scene, name: str) -> None:
    from sync.errors import MessageMalformed

    with pytest.raises(MessageMalformed):
        invite(scene, name)


def test_a_key_that_is_not_held_cannot_be_enrolled(scene: Scene, newcomer: SigningTerminal) -> None:
    code = invite(scene)
    answer = ask(newcomer, code, public_key=DeviceKey.generate().public.hex())
    assert (answer.status, code_of(answer)) == (401, "terminal-unknown")
    assert ask(newcomer, code).status == 201


def test_guessing_is_slowed_down(scene: Scene, newcomer: SigningTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrolment, "ATTEMPTS_MAX", 3)
    scene.clock.now = scene.clock.now.replace(second=10, microsecond=0)
    code = invite(scene)
    answers = [ask(newcomer, code, code="0" * 16) for _ in range(3)] + [ask(newcomer, code)]
    assert [answer.status for answer in answers] == [403, 403, 403, 429]
    assert code_of(answers[3]) == "too-many-attempts"
    assert answers[3].headers["retry-after"] == "50"
    scene.clock.now += timedelta(seconds=50)
    assert ask(newcomer, code).status == 201
    assert count(scene.storage, attempts) == 1


def test_two_machines_with_one_code_at_once_make_one_terminal(scene: Scene, newcomer: SigningTerminal) -> None:
    from concurrent.futures import ThreadPoolExecutor

    code = invite(scene)
    machines = [SigningTerminal(newcomer.client, scene.clock, "") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(answer.status for answer in pool.map(lambda machine: ask(machine, code), machines))
    assert statuses == [201, 403, 403, 403]


def test_a_database_that_is_busy_is_told_with_a_signature(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from sync.headquarters import service
    from sync.headquarters.errors import StorageUnavailable

    def away(*_: Any, **__: Any) -> None:
        raise StorageUnavailable("use", "postgresql", reason="OperationalError")

    monkeypatch.setattr(service, "ingest", away)
    answer = scene.terminal.push(scene.ledger.batch())
    assert (answer.status, code_of(answer)) == (503, "storage-unavailable")
    assert scene.terminal.proves(answer, scene.key)


def test_an_answer_is_kept_small_however_much_is_flagged(scene: Scene) -> None:
    from sync.wire import ANSWER_BYTES_MAX

    for number in range(1, 501):
        scene.ledger.complete(number)
    answer = scene.terminal.push(scene.ledger.batch())
    assert len(json.loads(answer.body)["flagged"]) == 500
    assert len(answer.body) < ANSWER_BYTES_MAX
