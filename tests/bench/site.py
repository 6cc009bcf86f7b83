"""One terminal to be measured: its settings, key, roll, book and people in a directory.

A swipe reader on a pseudo-terminal that the measuring process holds; an offer of which one card may have very many, so
that every round sells; a headquarters that does not answer, for that is when the terminal must be as quick.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.errors import Words
from drivers.virtual.card import VirtualCard
from drivers.virtual.pty import PtyPresenter
from sync.enrolment import enrol
from terminal.ledger import steps
from terminal.ledger.clock import SystemClock
from terminal.ledger.ledger import Ledger
from terminal.ledger.project import Redemption
from terminal.membership.build import write_roll
from terminal.membership.card_list import RosterLine
from terminal.membership.roll import Roll
from terminal.membership.standing import MemberClass, Standing
from terminal.membership.token import ProgrammeKey, create_programme_key, load_programme_key
from terminal.serving.people import Person, Role, add_person
from tests.bench.figures import heading
from tests.bench.processes import free_port, running
from tests.bench.till import CASHIER, PIN, REPLY_S_MAX, Till
from tests.fakes.headquarters import FakeHeadquarters
from tests.fakes.sales import sale

CARDS = 200  # of the measuring process, spread over the roll by their tokens
TERMINAL = "till-1"
SETTLE_S = 2.0  # after its first answer the terminal still compiles templates and loads what sync needs
LEDGER_FILE = "ledger.sqlite"
FILL_ENTRIES = 20_000  # in one transaction while a ledger is filled
AWAY = "http://127.0.0.1:9"  # nobody listens on the discard port: the line is down
TITLE = Words("测试卡", "synthetic card")
BOOK = """
schema = 1
revision = 1
tz = "Asia/Shanghai"
[categories.film-ticket]
name = { zh = "电影票", en = "film tickets" }
unit = { zh = "张", en = "ticket(s)" }
[attributes.format]
kind = "choice"
label = { zh = "制式", en = "format" }
options = { 2d = { zh = "2D", en = "2D" }, 3d = { zh = "3D", en = "3D" } }
[[offers]]
id = "film"
name = { zh = "十元电影票", en = "10-yuan film ticket" }
campaign = "bench"
where = { merchants = ["cinema"] }
what = { categories = ["film-ticket"], none = { format = ["3d"] } }
when = { first_day = 2012-12-25, last_day = 2099-12-31 }
price = { kind = "fixed_unit", unit_fen = 1000 }
limits = [
  { id = "tickets", max = 1000000, count = "units", per = ["card"], window = "campaign", offline = "flag" },
  { id = "purchase", max = 1000000, count = "uses", per = ["card"], window = "campaign", offline = "flag" },
  { id = "pool", max = 1000000, count = "units", per = ["campaign"], window = "campaign", offline = "lease" },
]
[[merchants]]
id = "cinema"
name = { zh = "电影院", en = "cinema" }
agreement = { first_day = 2012-12-01, last_day = 2099-12-31 }
sites = [{ id = "main", name = { zh = "一号厅", en = "first hall" } }]
"""


@dataclass(frozen=True, slots=True)
class Load:
    """How full the terminal is."""

    roll_cards: int
    ledger_entries: int

    def __str__(self) -> str:
        return f"a roll of {self.roll_cards:,} cards, a ledger of {self.ledger_entries:,} entries"


EMPTY = Load(CARDS, 0)


def bench_card(number: int) -> VirtualCard:
    """A synthetic member card; its check digit makes it Luhn-good (ISO/IEC 7812-1, annex B)."""
    digits = f"62312070000{number:07d}"
    total = sum(sum(divmod(int(digit) * (2 - at % 2), 10)) for at, digit in enumerate(reversed(digits)))
    return VirtualCard(f"bench-{number}", title=TITLE, digits=digits + str(-total % 10), service_code="220")


def prepare(root: Path, cache: Path, load: Load, device: str) -> tuple[Path, int]:
    """Write everything the terminal needs; its settings file and its port. Large files come from `cache`."""
    data = root / "terminal"
    data.mkdir(mode=0o700)
    key_path, roll_path = _roll(cache, load.roll_cards)
    if load.ledger_entries:
        for part in filled_ledger(cache, load.ledger_entries).iterdir():
            shutil.copy2(part, data / part.name)
        os.sync()  # else the first commits wait until the copy is on disk
    (root / "book.toml").write_text(BOOK, encoding="utf-8")
    add_person(data / "people.toml", Person(CASHIER, "王芳", Role.CASHIER), PIN)
    headquarters = FakeHeadquarters()
    enrol(AWAY, headquarters.issue_code(TERMINAL, "cinema", "main"), data, headquarters.transport())
    port = free_port()
    settings = root / "terminal.toml"
    settings.write_text(
        f"""data_dir = "terminal"
readers = [{{ kind = "serial", device = "{device}" }}]
[terminal]
merchant = "cinema"
site = "main"
name = "{TERMINAL}"
port = {port}
[membership]
roll = "{roll_path}"
programme_key = "{key_path}"
issuers = [{{ name = "北京银行", low = "623120", high = "623120" }}]
[offers]
book = "book.toml"
slices = {{ "film/pool" = 1000000 }}
[counter]
presentation_s = 3600
[log]
level = "error"
[headquarters]
url = "{AWAY}"
""",
        encoding="utf-8",
    )
    return settings, port


def command(settings: Path) -> list[str]:
    """How the terminal is started."""
    return [sys.executable, "-m", "terminal", "run", "--config", str(settings)]


def _roll(cache: Path, cards: int) -> tuple[Path, Path]:
    """Key and roll; built once for each size. Tokens of nobody fill the roll up."""
    key_path, roll_path = cache / "programme-key.toml", cache / f"roll-{cards}.bin"
    key = load_programme_key(key_path) if key_path.exists() else create_programme_key(key_path)
    if not roll_path.exists():
        if cards > CARDS:
            heading(f"building a roll of {cards:,} cards in {cache}")
        write_roll(_roster(cards, key), roll_path, key)
    with contextlib.closing(Roll.open(roll_path)) as roll:
        assert roll.count == cards
    return key_path, roll_path


def _roster(cards: int, key: ProgrammeKey) -> Iterator[RosterLine]:
    for number in range(CARDS):
        yield RosterLine.of(bench_card(number).pan, key, person=f"bench-{number}")
    for number in range(CARDS, cards):
        token = f"v{key.version}:{hashlib.sha256(number.to_bytes(8, 'big')).hexdigest()}"
        yield RosterLine(token, Standing.ACTIVE, MemberClass.ORDINARY, None, token)


def filled_ledger(cache: Path, entries: int) -> Path:
    """A directory that holds a closed ledger; filled once for each size."""
    directory = cache / f"ledger-{entries}"
    if not directory.exists():
        heading(f"filling a ledger with {entries:,} entries in {cache}")
        draft = directory.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        with contextlib.closing(Ledger.open(draft / LEDGER_FILE, TERMINAL, SystemClock())) as ledger:
            fill(ledger, entries)
        draft.rename(directory)
    return directory


def fill(ledger: Ledger, entries: int) -> None:
    """Completed sales until the ledger holds `entries`, many to a transaction."""

    def batch(first: int) -> None:
        with ledger._writing.transaction("fill", "bench") as step:
            for number in range(first, first + FILL_ENTRIES // 2):
                asked = sale(number)
                opened: Redemption = step.record(None, asked.id, "c01", asked)
                done = steps.completion(opened, "000000000001")
                assert done is not None
                step.record(opened, asked.id, "c01", done)

    for first in range(0, entries // 2, FILL_ENTRIES // 2):
        ledger.writer.run(batch, first)


@contextlib.contextmanager
def measured_terminal(root: Path, cache: Path, load: Load) -> Iterator[tuple[PtyPresenter, Till]]:
    """A running terminal: the reader to swipe cards through, and a signed-in till."""
    reader = PtyPresenter()
    try:
        settings, port = prepare(root, cache, load, str(reader.device))
        with running(command(settings), port):
            till = Till(port)
            _wait_reader(till)
            time.sleep(SETTLE_S)
            try:
                yield reader, till
            finally:
                till.close()
    finally:
        reader.unplug()


def _wait_reader(till: Till) -> None:
    deadline = time.monotonic() + REPLY_S_MAX
    while till.get("/healthz")["readers"][0]["state"] != "ready":
        assert time.monotonic() < deadline, "the reader is not ready"
        time.sleep(0.02)
