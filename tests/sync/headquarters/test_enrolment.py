"""From a code to a terminal: once, by whoever holds the key, within the code's life."""

from __future__ import annotations

import os
import pwd
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from sync.enrolment_code import parse_code
from sync.errors import MessageMalformed
from sync.headquarters import enrolment
from sync.headquarters.errors import TerminalTaken
from sync.headquarters.people.audit import AuditView, page_of_audit, system_user
from sync.headquarters.service import utc_now
from sync.headquarters.tables import attempts, enrolment_codes, terminals
from sync.signing import DeviceKey, HttpResponse
from sync.wire import ENROLMENTS_PATH, EnrolmentAnswer, EnrolmentRequest, EntryBatch, encode_message, parse_message
from tests.sync.headquarters.client import SigningTerminal, hq_settings
from tests.sync.headquarters.scene import Scene, code_of, count
from tests.sync.headquarters.written_ledger import MERCHANT, SITE


def invite(scene: Scene, terminal: str = "bj-0100") -> str:
    """A new code, as the command line makes it."""
    settings = hq_settings(scene.data_dir, scene.database_url)
    return enrolment.issue_code(settings, terminal=terminal, merchant=MERCHANT, site=SITE)


@pytest.fixture
def newcomer(scene: Scene) -> SigningTerminal:
    """A machine with a key and no name. Codes made by the command line use the machine's own clock."""
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
    with pytest.raises(TerminalTaken):
        invite(scene, "bj-0001")


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65, "终端"])
def test_a_code_is_not_made_for_a_name_that_cannot_be(scene: Scene, name: str) -> None:
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
    code = invite(scene)
    machines = [SigningTerminal(newcomer.client, scene.clock, "") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(answer.status for answer in pool.map(lambda machine: ask(machine, code), machines))
    assert statuses == [201, 403, 403, 403]


def _noted(scene: Scene) -> list[AuditView]:
    with scene.storage.read() as connection:
        return page_of_audit(connection)


def test_a_code_made_on_the_command_line_is_noted_with_the_systems_user(scene: Scene) -> None:
    invite(scene)
    (row,) = _noted(scene)
    assert (row.person, row.role) == (pwd.getpwuid(os.getuid()).pw_name, "command-line")
    assert (row.action, row.subject) == ("terminal-invited", "bj-0100")
    with scene.storage.read() as connection:
        assert connection.scalar(select(enrolment_codes.c.created_by)) == row.person


def test_a_code_that_is_refused_leaves_no_note(scene: Scene) -> None:
    with pytest.raises(TerminalTaken):
        invite(scene, "bj-0001")
    assert _noted(scene) == []


def test_a_user_without_a_name_is_noted_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    assert system_user().id == "uid 4000000000"
