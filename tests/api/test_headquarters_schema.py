"""Headquarters answers whatever is asked of it by its schema: no fault of ours, no answer that is not described."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from config.places import PEOPLE_FILE
from sync.headquarters.app import create_app
from sync.headquarters.storage import open_storage
from sync.signing import DeviceKey, HttpRequest, sign_request
from terminal.serving.people import Person, Role, add_person
from tests.api.made_up import FAULTS, ask, named, operations, told
from tests.sync.headquarters.client import hq_settings, served
from tests.sync.headquarters.written_ledger import known_ledger

TERMINAL = "bj-0001"
PIN = "13572468"
SESSION = "/api/v1/session"  # tried last: a wrong PIN makes the next one wait, and leaving ends the session


@dataclass
class Desk:
    """A headquarters that serves, and who asks: a person of each role in turn, and a terminal that signs."""

    url: str
    schema: dict[str, Any]
    sessions: dict[Role, requests.Session]
    key: DeviceKey


class Signing(requests.auth.AuthBase):
    """Signs as the terminal does, whatever is sent."""

    def __init__(self, key: DeviceKey) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        assert request.method is not None
        assert request.url is not None
        asked = HttpRequest(request.method, request.url, dict(request.headers), body)
        nonce = secrets.token_hex(16)
        signature = sign_request(asked, key=self._key, key_id=TERMINAL, now=datetime.now(UTC), nonce=nonce)
        request.headers.update(signature)
        return request


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    directory: Path = tmp_path_factory.mktemp("hq")
    roles = (Role.OPERATOR, Role.EDITOR, Role.APPROVER, Role.FINANCE, Role.AUDITOR)
    for role in roles:
        add_person(directory / PEOPLE_FILE, Person(role.value, role.value, role), PIN)
    app = create_app(hq_settings(directory))
    storage = open_storage("", directory)
    key = DeviceKey.generate()
    known_ledger(storage, TERMINAL, key.public.hex())
    storage.close()
    with served(app) as client:
        sessions = {}
        for role in roles:
            sessions[role] = requests.Session()
            sessions[role].trust_env = False
            answer = sessions[role].post(f"{client.base_url}{SESSION}", json={"person": role.value, "pin": PIN})
            assert answer.status_code == 200, answer.text
        yield Desk(str(client.base_url), app.openapi(), sessions, key)
        for session in sessions.values():
            session.close()


def test_whatever_is_asked_is_answered_as_described(desk: Desk, pytestconfig: pytest.Config) -> None:
    examples = pytestconfig.getoption("--schema-examples")
    faults: list[str] = []
    calls = sorted(operations(desk.schema), key=lambda each: (each.path == SESSION, named(each)))
    for number, operation in enumerate(calls):
        session = list(desk.sessions.values())[number % len(desk.sessions)]
        signed = "terminals" in operation.definition.raw.get("tags", ())

        def prepare(case: Any, signed: bool = signed) -> None:
            case.headers = {name: value for name, value in (case.headers or {}).items() if name.lower() != "cookie"}
            if signed and case.path_parameters and "terminal" in case.path_parameters:
                case.path_parameters["terminal"] = TERMINAL

        session.auth = Signing(desk.key) if signed else None
        try:
            ask(operation, desk.url, session, examples, prepare)
        except FAULTS as error:
            faults.append(f"{named(operation)}: {told(error)}")
    assert not faults, "\n\n".join(faults)
