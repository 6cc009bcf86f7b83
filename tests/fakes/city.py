"""A city of real processes: headquarters with several workers on PostgreSQL, and terminals, each on a line of its own.

    with PostgresCluster.start() as cluster, cluster.database() as url, City(tmp_path, url, terminals=3) as city:
        city.start()                          # headquarters, the book released as people do, every terminal enrolled
        city.terminals[0].line.weather = Weather.CUT
        city.terminals[0].service.kill()      # kill -9; `start()` brings it back
        city.kill_worker()

All terminals have the same programme key, roll and book; none has a slice in its settings, so every lease comes from
headquarters. Members are made-up cards on that roll, typed at the counter with a manager's PIN.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from config.places import PEOPLE_FILE
from config.settings import ENV_PREFIX, HqSettings, load_hq
from config.zone import SHANGHAI
from drivers.card import Pan, luhn_valid
from sync.enrolment import enrol
from sync.headquarters.enrolment import issue_code
from terminal.membership.build import write_roll
from terminal.membership.card_list import RosterLine
from terminal.membership.token import create_programme_key
from terminal.offers.book import canonical_json, moved_to, parse_book
from terminal.serving.people import Person, Role, add_person
from tests.fakes.installation import HEARTBEAT_S, LOOPBACK, Service, eventually, free_port
from tests.fakes.leaky_line import LeakyLine, Lines

OFFER: Final = "winter-film"
POOL: Final = "pool"
PER_CARD: Final = 2  # tickets of the winter film offer on one card, in one purchase
CINEMAS: Final = ("gongren-julebu", "wudaokou", "dongsi", "xicheng", "haidian", "pinggu", "miyun", "liangxiang")
CASHIER: Final = Person("c01", "王芳", Role.CASHIER)
MANAGER: Final = Person("m01", "李明", Role.MANAGER)
EDITOR: Final = Person("e01", "赵编", Role.EDITOR)
APPROVER: Final = Person("a01", "孙批", Role.APPROVER)
PINS: Final = {CASHIER.id: "1234", MANAGER.id: "4321", EDITOR.id: "1111", APPROVER.id: "2222"}
BOOK: Final = Path(__file__).parents[2] / "config" / "books" / "winter-2012.toml"
ISSUER: Final = "621094"
ISSUED: Final = date(2020, 5, 4)
STARTED_TOGETHER: Final = 2  # one for each core
BOOK_WAIT_S: Final = 60.0  # until every terminal runs the released book


@dataclass
class CityTerminal:
    """One terminal: its process, its line, and where its data lies."""

    name: str
    merchant: str
    service: Service
    line: LeakyLine
    directory: Path


class City:
    """`with` prepares everything and ends every process. `terminals` at most 20: so many may enrol in a minute."""

    def __init__(
        self, root: Path, database_url: str, *, terminals: int, pool: int, members: int, workers: int = 2, seed: int = 0
    ) -> None:
        self.root = root
        self.database_url = database_url
        self.pool = pool
        self.cards = [_card(number) for number in range(members)]
        self.terminals: list[CityTerminal] = []
        self._count = terminals
        self._workers = workers
        self._chance = random.Random(seed)
        self._lines = Lines(seed)
        self._open = ExitStack()
        plain = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        self._environment = {**plain, "PYTHONUNBUFFERED": "1"}
        self.headquarters_dir = root / "headquarters"
        self.settings_file = root / "headquarters.toml"
        self.headquarters = self._service("hq", self.settings_file, free_port(), "headquarters")

    def __enter__(self) -> Self:
        (self.root / "logs").mkdir(parents=True)
        self._open.enter_context(self._lines)
        self._write_shared()
        self._write_headquarters()
        for number in range(self._count):
            self._write_terminal(number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for terminal in self.terminals:
                terminal.service.stop()
        finally:
            try:
                self.headquarters.stop()
            finally:
                self._open.close()

    # --- written before anything runs ---------------------------------------------------------------------------------

    def _write_shared(self) -> None:
        key = create_programme_key(self.root / "programme-key.toml")
        lines = (RosterLine.of(Pan(card), key, issued=ISSUED, person=card[-6:]) for card in self.cards)
        write_roll(lines, self.root / "roll.bin", key)
        book = moved_to(parse_book(BOOK.read_bytes(), "toml"), datetime.now(SHANGHAI).date())
        offers = []
        for offer in book.offers:
            limits = tuple(
                limit.model_copy(update={"max": self.pool}) if (offer.id, limit.id) == (OFFER, POOL) else limit
                for limit in offer.limits
            )
            offers.append(offer.model_copy(update={"limits": limits}))
        text = canonical_json(book.model_copy(update={"offers": tuple(offers)}))
        (self.root / "book.json").write_text(text, encoding="utf-8")

    def _write_headquarters(self) -> None:
        self.headquarters_dir.mkdir(mode=0o700)
        _add_people(self.headquarters_dir, EDITOR, APPROVER)
        self.settings_file.write_text(
            f"""data_dir = "headquarters"
[hq]
port = {self.headquarters.port}
workers = {self._workers}
database_url = "{self.database_url}"
""",
            encoding="utf-8",
        )

    def _write_terminal(self, number: int) -> None:
        name, merchant = f"till-{number:02}", CINEMAS[number % len(CINEMAS)]
        line, directory, port = self._lines.lay(self.headquarters.port), self.root / name, free_port()
        directory.mkdir(mode=0o700)
        _add_people(directory, CASHIER, MANAGER)
        settings_file = self.root / f"{name}.toml"
        settings_file.write_text(
            f"""data_dir = "{name}"
[[readers]]
kind = "virtual"
[terminal]
merchant = "{merchant}"
site = "main"
name = "{name}"
port = {port}
[membership]
roll = "roll.bin"
changes = "{name}/roll.changes"
programme_key = "programme-key.toml"
issuers = [{{ name = "北京银行", low = "{ISSUER}", high = "{ISSUER}" }}]
[counter]
manual_entry = true
[offers]
book = "book.json"
[headquarters]
url = "http://{LOOPBACK}:{line.port}"
heartbeat_s = {HEARTBEAT_S}
""",
            encoding="utf-8",
        )
        service = self._service("run", settings_file, port, name)
        self.terminals.append(CityTerminal(name, merchant, service, line, directory))

    def _service(self, command: str, settings_file: Path, port: int, name: str) -> Service:
        return Service(command, settings_file, port, self.root / "logs" / f"{name}.log", self._environment)

    # --- running ------------------------------------------------------------------------------------------------------

    @property
    def hq_settings(self) -> HqSettings:
        """As the service has them."""
        return load_hq(self.settings_file)

    def start(self) -> Self:
        """Headquarters, the book, the enrolments, and every terminal, each with the released book."""
        self.headquarters.start()
        self.release_book()
        for terminal in self.terminals:
            code = issue_code(self.hq_settings, terminal=terminal.name, merchant=terminal.merchant, site="main")
            enrol(f"http://{LOOPBACK}:{terminal.line.port}", code, terminal.directory)
        for first in range(0, len(self.terminals), STARTED_TOGETHER):
            together = self.terminals[first : first + STARTED_TOGETHER]
            for terminal in together:
                terminal.service.launch()  # on this thread: the kernel ends a process with the thread that started it
            for terminal in together:
                eventually(terminal.service.healthz, f"{terminal.name} answers", BOOK_WAIT_S)
        for terminal in self.terminals:
            found = terminal.directory / "book.json"
            eventually(found.exists, f"{terminal.name} has the released book", BOOK_WAIT_S)
        return self

    def release_book(self) -> None:
        """As two people do it on the command line: drafted, approved by the other, released, rolled out everywhere."""
        self.jingka_hq("book", "keygen")
        self.jingka_hq("book", "draft", str(self.root / "book.json"), "--title", "冬季活动", by=EDITOR)
        self.jingka_hq("book", "submit", "1", by=EDITOR)
        self.jingka_hq("book", "approve", "1", by=APPROVER)
        self.jingka_hq("book", "release", "1", by=EDITOR)
        self.jingka_hq("book", "rollout", "1", "--everywhere", by=EDITOR)

    def jingka_hq(self, *arguments: str, by: Person | None = None) -> str:
        """`jingka hq` as a person runs it; with `by` they type their PIN."""
        who = ["--person", by.id] if by else []
        command = [sys.executable, "-m", "terminal", "hq", "--config", str(self.settings_file), *arguments, *who]
        typed = f"{PINS[by.id]}\n" if by else ""
        done = subprocess.run(
            command, input=typed, capture_output=True, text=True, env=self._environment, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def kill_worker(self) -> bool:
        """Kill one of headquarters' workers without a word; whether there was one."""
        process = self.headquarters.process
        assert process is not None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        found = [int(pid) for pid in children.read_text().split()]
        if found:
            os.kill(self._chance.choice(found), signal.SIGKILL)
        return bool(found)

    def wait_acknowledged(self, wait_s: float) -> None:
        """Until headquarters has every entry of every terminal; every line must be up."""
        for terminal in self.terminals:
            eventually(lambda terminal=terminal: _is_quiet(terminal), f"{terminal.name} has pushed all", wait_s)  # type: ignore[misc]

    def stop_terminals(self) -> None:
        """All of them, as systemd would."""
        with ThreadPoolExecutor(max_workers=len(self.terminals)) as hands:
            for done in [hands.submit(terminal.service.stop) for terminal in self.terminals]:
                done.result()


def _is_quiet(terminal: CityTerminal) -> bool:
    answer = terminal.service.healthz()
    if answer is None:
        return False
    line = answer.json()["headquarters"]
    return bool(line["online"]) and line["waiting"] == 0


def _add_people(directory: Path, *people: Person) -> None:
    for person in people:
        add_person(directory / PEOPLE_FILE, person, PINS[person.id])


def _card(number: int) -> str:
    """A test number for each member."""
    body = f"{ISSUER}700{number:09}"
    return next(body + digit for digit in "0123456789" if luhn_valid(body + digit))
