"""What terminals meet over HTTP: entries taken, and every request that must not be let in."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from sync.headquarters import door, fleet, service
from sync.headquarters.errors import StorageUnavailable
from sync.headquarters.tables import entries, nonces, terminals
from sync.signing import DeviceKey, HttpRequest, sign_request
from sync.wire import (
    ANSWER_BYTES_MAX,
    BODY_BYTES_MAX,
    Acknowledgement,
    EntryBatch,
    encode_message,
    entries_path,
    parse_message,
    timestamp,
)
from tests.sync.headquarters.scene import Scene, code_of, count
from tests.sync.headquarters.written_ledger import NOON, WrittenLedger, known_ledger


def test_entries_are_acknowledged_by_headquarters_key(scene: Scene) -> None:
    scene.ledger.authorise(1)
    answer = scene.terminal.push(scene.ledger.batch())
    assert answer.status == 200
    assert scene.terminal.proves(answer, scene.key)
    told = parse_message(Acknowledgement, answer.body)
    assert (told.acknowledged, told.time, told.head) == (1, timestamp(NOON), scene.ledger.messages[0].hash)
    assert (told.accepts, told.rotate_key) == (("condition",), False)


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
    plain = HttpRequest("POST", request.url, headers, packed)
    signature = sign_request(plain, key=scene.terminal.key, key_id="bj-0001", now=scene.clock.now, nonce="b" * 32)
    answer = scene.terminal.send(dataclasses.replace(plain, headers=headers | signature))
    assert (answer.status, code_of(answer)) == (413, "body-too-large")


def test_a_body_over_the_bound_is_not_read(scene: Scene) -> None:
    request = good(scene)
    answer = scene.terminal.send(dataclasses.replace(request, body=b"x" * (BODY_BYTES_MAX + 1)))
    assert (answer.status, code_of(answer)) == (413, "request-too-large")


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


def test_a_database_that_is_busy_is_told_with_a_signature(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise StorageUnavailable("use", "postgresql", reason="OperationalError")

    monkeypatch.setattr(service, "ingest", away)
    answer = scene.terminal.push(scene.ledger.batch())
    assert (answer.status, code_of(answer)) == (503, "storage-unavailable")
    assert scene.terminal.proves(answer, scene.key)


def test_an_answer_is_kept_small_however_much_is_flagged(scene: Scene) -> None:
    for number in range(1, 501):
        scene.ledger.complete(number)
    scene.clock.now += timedelta(hours=1)  # later than what is told
    answer = scene.terminal.push(scene.ledger.batch())
    assert len(json.loads(answer.body)["flagged"]) == 500
    assert len(answer.body) < ANSWER_BYTES_MAX


def test_news_wait_until_everything_is_sent(scene: Scene) -> None:
    class Feed:
        name = "thing"

        def version(self, connection: Any, place: Any) -> str:
            return "7"

    hq = service.Headquarters(
        scene.storage, DeviceKey.generate(), clock_skew_s_max=300, code_life_s=60, clock=scene.clock, feeds=(Feed(),)
    )
    for waiting, news in ((3, {}), (0, {"thing": "7"})):
        batch = scene.ledger.batch().model_copy(update={"waiting": waiting})
        request = scene.terminal.signed(entries_path("bj-0001"), encode_message(batch, leave_out_none=True))
        assert hq.push(request, "bj-0001").answer.news == news
