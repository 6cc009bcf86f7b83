"""The terminal answers whatever is asked of it by its schema: no fault of ours, no answer that is not described."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from terminal.serving.people import People, Person, Role, add_person
from terminal.web.app import create_app
from tests.api.made_up import FAULTS, ask, named, operations, told
from tests.fakes.till import Till, open_till
from tests.sync.headquarters.client import served

SESSION = "/api/v1/session"  # tried last: a wrong PIN makes the next one wait, and leaving ends the session


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    opened = open_till(tmp_path)
    yield opened
    opened.ledger.close()


def test_whatever_is_asked_is_answered_as_described(till: Till, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    people = tmp_path / "people.toml"
    add_person(people, Person("m01", "李强", Role.MANAGER), "4321")
    app = create_app(till.parts(People.load(people), demo=True))
    faults: list[str] = []
    calls = sorted(operations(app.openapi()), key=lambda each: (each.path == SESSION, named(each)))
    with served(app) as client, requests.Session() as session:
        session.trust_env = False
        answer = session.post(f"{client.base_url}{SESSION}", json={"cashier": "m01", "pin": "4321"})
        assert answer.status_code == 200, answer.text
        for operation in calls:
            try:
                ask(operation, str(client.base_url), session, pytestconfig.getoption("--schema-examples"))
            except FAULTS as error:
                faults.append(f"{named(operation)}: {told(error)}")
    assert not faults, "\n\n".join(faults)


def test_an_answer_that_is_not_described_is_found(till: Till, tmp_path: Path) -> None:
    """The net itself: a schema that hides an answer lets the check fail."""
    people = tmp_path / "people.toml"
    add_person(people, Person("m01", "李强", Role.MANAGER), "4321")
    app = create_app(till.parts(People.load(people), demo=True))
    schema = app.openapi()
    del schema["paths"]["/api/v1/presentation"]["get"]["responses"]["401"]
    (operation,) = (each for each in operations(schema) if each.path == "/api/v1/presentation")
    with served(app) as client, requests.Session() as session:
        session.trust_env = False
        with pytest.raises(FAULTS):
            ask(operation, str(client.base_url), session, 1)
