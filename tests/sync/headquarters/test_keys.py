"""Keys that change, with both real ends: whatever is lost or crashes on the way, and headquarters' own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from sync.agent import Agent, PushReport
from sync.enrolment import ENROLMENT_FILE, KEY_FILE, enrol, load_enrolment
from sync.errors import AnswerUnverified, LineDown, ReceiptInvalid, SyncError, TerminalRefused, TerminalRevoked
from sync.headquarters import fleet, keys
from sync.headquarters.app import create_app
from sync.headquarters.door import headquarters_key
from sync.headquarters.enrolment import issue_code
from sync.headquarters.errors import SuccessionsFull
from sync.headquarters.keys import load_successions, rotate_headquarters_key
from sync.headquarters.people.tables import audit
from sync.headquarters.storage import Storage, open_storage
from sync.headquarters.tables import terminals
from sync.receipt import RECEIPT_FILE, load_receipt
from sync.rotation import NEXT_KEY_FILE, rotate_key, successor_of
from sync.signing import DeviceKey
from sync.wire import Condition, ReaderCondition
from sync.wire_keys import SUCCESSIONS_MAX, Successions
from terminal.ledger.clock import SystemClock
from terminal.ledger.ledger import Ledger
from terminal.serving.people import Person, Role
from tests.fakes.sales import sale
from tests.sync.headquarters.client import hq_settings, served
from tests.sync.headquarters.scene import terminal_of

LI = Person("op1", "李敏", Role.OPERATOR)
CONDITION = Condition(
    version="9.9.9", boot="boot-7", book="12", roll="r3", readers=(ReaderCondition(name="ACS", state="ready"),)
)


@dataclass
class Town:
    """A headquarters that may start again with other keys, and one terminal that is enrolled with it."""

    hq_dir: Path
    till_dir: Path
    storage: Storage
    ledger: Ledger
    clock: SystemClock
    url: str = ""
    sold: int = 0

    @contextmanager
    def open(self) -> Iterator[None]:
        with served(create_app(hq_settings(self.hq_dir))) as client:
            self.url = str(client.base_url)
            yield

    def sell(self) -> None:
        self.sold += 1
        self.ledger.authorise(sale(self.sold))

    def agent(self, **options: object) -> Agent:
        return Agent(ledger=self.ledger, data_dir=self.till_dir, url=self.url, clock=self.clock, **options)  # type: ignore[arg-type]

    def push(self) -> PushReport:
        return pushed(self.agent())

    def pinned(self) -> str:
        with self.storage.read() as connection:
            key: str = connection.execute(select(terminals.c.public_key)).scalar_one()
            return key

    def device_key(self) -> str:
        return DeviceKey.load(self.till_dir / KEY_FILE).public.hex()


def pushed(agent: Agent) -> PushReport:
    """What a push did; the agent ends with it."""
    try:
        return agent.push_now()
    finally:
        agent._on_close.close()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    hq_dir, till_dir = tmp_path / "hq", tmp_path / "till"
    till_dir.mkdir()
    code = issue_code(hq_settings(hq_dir), terminal="bj-0001", merchant="cinema", site="west")
    storage, clock = open_storage("", hq_dir), SystemClock()
    ledger = Ledger.open(till_dir / "ledger.sqlite", "bj-0001", clock)
    made = Town(hq_dir, till_dir, storage, ledger, clock)
    with made.open():
        enrol(made.url, code, till_dir)
    yield made
    ledger.close()
    storage.close()


class Losing(httpx.BaseTransport):
    """Every answer is lost after headquarters gave it."""

    def __init__(self) -> None:
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._inner.handle_request(request).read()
        raise httpx.ReadError("lost")

    def close(self) -> None:
        self._inner.close()


def test_a_new_key_is_pinned_and_the_old_one_void(town: Town) -> None:
    before = town.device_key()
    old = (town.till_dir / KEY_FILE).read_bytes()
    town.sell()
    with town.open():
        new = rotate_key(town.url, town.till_dir)
        assert new.hex() == town.device_key() == town.pinned() != before
        assert town.push().error is None
        (town.till_dir / KEY_FILE).write_bytes(old)
        assert isinstance(town.push().error, TerminalRefused)


def test_a_lost_answer_is_mended_by_the_agent_itself(town: Town) -> None:
    town.sell()
    before = town.device_key()
    with town.open():
        with pytest.raises(LineDown):
            rotate_key(town.url, town.till_dir, Losing())
        assert (town.device_key(), (town.till_dir / NEXT_KEY_FILE).exists()) == (before, True)
        assert town.pinned() != before  # headquarters has taken it, and the terminal does not know
        agent = town.agent()
        assert isinstance(agent.push_now().error, TerminalRefused)  # and is mended on the way
        assert pushed(agent).error is None
    assert town.device_key() == town.pinned()
    assert not (town.till_dir / NEXT_KEY_FILE).exists()


def test_a_crash_before_anything_was_sent_goes_on_with_the_same_key(town: Town) -> None:
    made = DeviceKey.create(town.till_dir / NEXT_KEY_FILE)
    with town.open():
        assert rotate_key(town.url, town.till_dir) == made.public
        assert town.push().error is None


def test_without_a_line_the_old_key_goes_on(town: Town) -> None:
    before = town.device_key()
    with town.open():
        pass
    with pytest.raises(LineDown):
        rotate_key(town.url, town.till_dir)
    with town.open():
        assert town.push().error is None
    assert town.device_key() == before


def test_headquarters_asks_and_the_terminal_does_it_once(town: Town) -> None:
    before = town.device_key()
    with town.storage.write() as connection:
        keys.ask_rotation(connection, "bj-0001", by=LI, now=town.clock.wall())
    with town.open():
        agent = town.agent(heartbeat_s=0.2)
        agent.start()
        try:
            terminal_of(town.storage, lambda row: row.public_key != before and row.rotate_asked_at is None)
            changed = town.pinned()
            seen = terminal_of(town.storage, lambda _: True).last_contact
            terminal_of(town.storage, lambda row: row.last_contact > seen)
        finally:
            agent.stop(10)
        assert town.pinned() == changed == town.device_key()
    with town.storage.read() as connection:
        assert set(connection.scalars(select(audit.c.action))) == {"terminal-invited", "key-asked"}


def test_a_running_agent_takes_up_keys_that_a_command_changed(town: Town) -> None:
    with town.open():
        agent = town.agent()
        assert agent.push_now().error is None
        rotate_key(town.url, town.till_dir)
        town.sell()
        assert pushed(agent).error is None


def test_another_terminal_s_key_is_not_taken(town: Town) -> None:
    taken = DeviceKey.create(town.till_dir / NEXT_KEY_FILE)
    with town.storage.write() as connection:
        assert fleet.add(
            connection,
            terminal="bj-0002",
            merchant="x",
            site="y",
            public_key=taken.public.hex(),
            version="1",
            now=town.clock.wall(),
        )
    with town.open(), pytest.raises(SyncError) as refused:
        rotate_key(town.url, town.till_dir)
    assert refused.value.details["problem"] == "message-malformed"


# --- headquarters' key ------------------------------------------------------------------------------------------------


def test_terminals_follow_headquarters_through_every_change(town: Town) -> None:
    for _ in range(2):
        rotate_headquarters_key(town.hq_dir)
    town.sell()
    with town.open():
        agent = town.agent()
        assert isinstance(agent.push_now().error, AnswerUnverified)
        assert pushed(agent).error is None
    assert load_enrolment(town.till_dir).headquarters_key == headquarters_key(town.hq_dir).public


@pytest.mark.parametrize("done", ["next key", "named"])
def test_a_change_that_crashed_goes_on(town: Town, done: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = headquarters_key(town.hq_dir).public

    class CrashError(Exception):
        pass

    def crash(*_: object) -> None:
        raise CrashError

    with monkeypatch.context() as patched:
        if done == "next key":
            patched.setattr(keys, "replace_private", crash)
        else:
            patched.setattr(Path, "replace", crash)
            patched.setattr(
                keys, "replace_private", lambda path, content: path.write_bytes(content) and path.chmod(0o600)
            )
        with pytest.raises(CrashError):
            rotate_headquarters_key(town.hq_dir)
    assert headquarters_key(town.hq_dir).public == old
    with town.open():
        assert town.push().error is None
    before, after = rotate_headquarters_key(town.hq_dir)
    assert (before, after) == (old, headquarters_key(town.hq_dir).public)
    assert len(load_successions(town.hq_dir).successions) == 1


def _write_plainly(path: Path, content: bytes) -> None:
    """Without the rename that the test lets crash."""
    path.touch(mode=0o600)
    path.write_bytes(content)


def test_a_chain_that_the_known_key_did_not_sign_leads_nowhere(town: Town) -> None:
    rotate_headquarters_key(town.hq_dir)
    good = load_successions(town.hq_dir)
    link = good.successions[0]
    assert successor_of(link.old, good) == link.new
    forged = link.model_copy(update={"new": "ab" * 32})
    assert successor_of(link.old, Successions(successions=(forged,))) == link.old
    assert successor_of("cd" * 32, good) == "cd" * 32
    keys.successions_file(town.hq_dir / "headquarters.key").write_text(
        json.dumps({"successions": [forged.model_dump()]})
    )
    with town.open():
        agent = town.agent()
        for _ in range(2):
            assert isinstance(agent.push_now().error, AnswerUnverified)
        pushed(agent)


def test_changes_of_headquarters_key_are_bounded(town: Town) -> None:
    for _ in range(SUCCESSIONS_MAX):
        rotate_headquarters_key(town.hq_dir)
    with pytest.raises(SuccessionsFull):
        rotate_headquarters_key(town.hq_dir)


# --- what a terminal says of itself, and what it is told --------------------------------------------------------------


def test_a_terminal_says_how_it_is_once_headquarters_knows_the_field(town: Town) -> None:
    with town.open():
        agent = town.agent(condition=lambda: CONDITION)
        agent.push_now()
        assert terminal_of(town.storage, lambda _: True).boot is None  # not known yet whether it may be said
        pushed(agent)
    with town.storage.read() as connection:
        view = fleet.terminal_of(connection, "bj-0001")
    assert (view.version, view.boot, view.book, view.roll) == ("9.9.9", "boot-7", "12", "r3")
    assert view.readers == (("ACS", "ready"),)


def test_a_revoked_terminal_knows_it_for_sure(town: Town) -> None:
    with town.open():
        agent = town.agent()
        assert agent.push_now().error is None
        assert not agent.status().revoked
        with town.storage.write() as connection:
            fleet.revoke(connection, "bj-0001", by=LI, now=town.clock.wall())
        assert isinstance(agent.push_now().error, TerminalRevoked)
        assert agent.status().revoked
        with town.storage.write() as connection:
            connection.execute(update(terminals).values(state="active"))
        assert pushed(agent).error is None
        assert not agent.status().revoked


def test_the_receipt_is_provable_later_and_without_a_line(town: Town) -> None:
    key = load_enrolment(town.till_dir).headquarters_key
    assert load_receipt(town.till_dir, key) is None
    town.sell()
    with town.open():
        town.push()
    receipt = load_receipt(town.till_dir, key)
    assert receipt is not None
    assert (receipt.sequence, receipt.head) == (town.ledger.last_sequence(), town.ledger.last_hash())
    town.sell()
    with town.open():
        town.push()
    later = load_receipt(town.till_dir, key)
    assert later is not None
    assert later.sequence == receipt.sequence + 1
    with pytest.raises(ReceiptInvalid):
        load_receipt(town.till_dir, DeviceKey.generate().public)


@pytest.mark.parametrize("spoil", ["cut", "body", "not json"])
def test_a_receipt_that_was_changed_proves_nothing(town: Town, spoil: str) -> None:
    town.sell()
    with town.open():
        town.push()
    path = town.till_dir / RECEIPT_FILE
    document = json.loads(path.read_text())
    if spoil == "body":
        document["response"]["body"] = "e30="
    text = {"cut": path.read_text()[:-40], "body": json.dumps(document), "not json": "\0"}[spoil]
    path.write_text(text)
    with pytest.raises(ReceiptInvalid):
        load_receipt(town.till_dir, load_enrolment(town.till_dir).headquarters_key)


def test_the_enrolment_keeps_everything_else(town: Town) -> None:
    before = json.loads((town.till_dir / ENROLMENT_FILE).read_text())
    rotate_headquarters_key(town.hq_dir)
    with town.open():
        town.push()
    after = json.loads((town.till_dir / ENROLMENT_FILE).read_text())
    assert before | {"headquarters_key": after["headquarters_key"]} == after
