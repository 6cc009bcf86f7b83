"""The demonstration: headquarters on SQLite and one terminal of a sample cinema, both real processes, in one directory.

Everything is made afresh unless `--data` names a directory: keys, people, a small roll of the virtual cards, and the
winter campaign moved so that it is on today. Nothing here is for a real merchant.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import date, datetime
from importlib.resources import files
from pathlib import Path

from config.errors import JingkaError, Retry, Words
from config.places import PEOPLE_FILE
from config.settings import TerminalSettings, load_hq, load_terminal
from config.zone import SHANGHAI
from drivers.virtual.card import DEMO_CARDS, DEMO_ISSUERS
from drivers.virtual.demo_authority import DEMO_AUTHORITY
from terminal.membership.build import write_roll
from terminal.membership.card_list import RosterLine
from terminal.membership.standing import MemberClass, Standing
from terminal.membership.token import ProgrammeKey, create_programme_key, load_programme_key

TERMINAL, MERCHANT, SITE = "till-1", "gongren-julebu", "main"  # a cinema that the winter book names
PEOPLE = (("c01", "王芳", "cashier", "1234"), ("m01", "李明", "manager", "4321"))
OPERATOR = ("h01", "总部值班", "operator", "2468")  # the first of `demo_headquarters.STAFF`
READY_S = 30  # both services answer within this, or the demonstration gives up
HEALTH_BYTES_MAX = 64 * 1024  # of an answer that says how a service is: under a kilobyte
STOP_S = 10  # a clean end takes well under this
ISSUED = date(2020, 5, 4)
PLAYED_DEVICES = {"serial": "pty", "pn532": "pty", "wedge": "virtual"}  # the device names that mean: play it
SCHEME_KEY_EXPIRES = date(2049, 12, 31)  # as the cards do

ON_THE_ROLL: dict[str, tuple[Standing, MemberClass]] = {
    "member": (Standing.ACTIVE, MemberClass.ORDINARY),
    "member-2": (Standing.ACTIVE, MemberClass.ORDINARY),
    "model-worker": (Standing.ACTIVE, MemberClass.MODEL_WORKER),
    "hardship": (Standing.ACTIVE, MemberClass.HARDSHIP),
    "stripe-member": (Standing.ACTIVE, MemberClass.ORDINARY),
    "chip-swiped": (Standing.ACTIVE, MemberClass.ORDINARY),  # asked for its chip, unless no chip reader works
    "copied": (Standing.ACTIVE, MemberClass.ORDINARY),  # its number is good, its chip is not
    "expired": (Standing.ACTIVE, MemberClass.ORDINARY),  # the card's own date has passed
    "suspended": (Standing.SUSPENDED, MemberClass.ORDINARY),
    "lost": (Standing.LOST, MemberClass.ORDINARY),
    "inactive": (Standing.INACTIVE, MemberClass.ORDINARY),
    "withdrawn": (Standing.WITHDRAWN, MemberClass.ORDINARY),
}


class DemoNotReady(JingkaError):
    """One of the demonstration's processes did not come up."""

    code = "demo-not-ready"
    retry = Retry.STOP
    what = Words("演示程序 {subject} 未能启动：{reason}", "the demonstration's {subject} did not start: {reason}")
    hint = Words("日志见上；端口可能被占用", "see the log above; its port may be in use")


class ReaderChoiceUnknown(JingkaError):
    """`--reader` names no kind of reader."""

    code = "reader-choice-unknown"
    retry = Retry.STOP
    what = Words("不认识的读卡器 {subject}", "no reader is called {subject}")
    hint = Words(
        "可选：virtual、pcsc、serial:pty、pn532:pty、wedge:virtual，或 serial、pn532、wedge 加冒号和设备路径",
        "one of: virtual, pcsc, serial:pty, pn532:pty, wedge:virtual, or serial, pn532 or wedge with :DEVICE",
    )


def run_demo(reader: str, data: Path | None) -> int:
    """Set up, start both services, say where they are, wait for Ctrl-C or SIGTERM; returns the exit code."""
    with _directory(data) as root:
        terminal_file, hq_file = prepare(root, reader)
        terminal, hq = load_terminal(terminal_file), load_hq(hq_file)
        stopped = _Stopped()
        with _service("hq", hq_file):
            _wait_ready(hq.host, hq.port, "headquarters")
            _enrol(terminal_file, hq_file, terminal)
            with _service("run", terminal_file) as till:
                _wait_ready("127.0.0.1", terminal.terminal.port, "terminal", b'"online":true')
                _announce(terminal.terminal.port, hq.port, root)
                stopped.wait(till)
    return 0


def prepare(root: Path, reader: str, database_url: str = "") -> tuple[Path, Path]:
    """Write everything both services need under `root`; returns the two settings files. Harmless when repeated.

    `database_url` is headquarters'; empty means SQLite.
    """
    sections, demo = _reader_sections(reader)
    terminal_dir, hq_dir = root / "terminal", root / "headquarters"
    for directory in (terminal_dir, hq_dir):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = _programme_key(root / "programme-key.toml")
    write_roll((_line(name, key) for name in ON_THE_ROLL), root / "roll.bin", key)
    _write_book(root / "book.json")
    (root / "scheme-keys.toml").write_text(DEMO_AUTHORITY.key_file(SCHEME_KEY_EXPIRES), encoding="utf-8")
    _add_people(terminal_dir / PEOPLE_FILE, PEOPLE)
    hq_file = _prepare_headquarters(root, key, database_url)
    hq = load_hq(hq_file)
    issuers = ", ".join(f'{{ name = "北京银行", low = "{low}", high = "{low}" }}' for low in DEMO_ISSUERS)
    terminal_file = root / "terminal.toml"
    terminal_file.write_text(
        f"""data_dir = "terminal"
{sections}
[terminal]
merchant = "{MERCHANT}"
site = "{SITE}"
name = "{TERMINAL}"
[membership]
roll = "roll.bin"
changes = "changes.bin"
programme_key = "programme-key.toml"
issuers = [{issuers}]
[authenticity]
keys = "scheme-keys.toml"
[counter]
manual_entry = true
[offers]
book = "book.json"
[headquarters]
url = "http://127.0.0.1:{hq.port}"
[demo]
{demo}
""",
        encoding="utf-8",
    )
    return terminal_file, hq_file


def _prepare_headquarters(root: Path, key: ProgrammeKey, database_url: str) -> Path:
    from terminal.demo_headquarters import furnish, staff_file

    staff_file(root / "headquarters" / PEOPLE_FILE)
    hq_file = root / "headquarters.toml"
    database = f"database_url = {json.dumps(database_url)}\n" if database_url else ""
    hq_file.write_text(
        f'data_dir = "headquarters"\n[hq]\nprogramme_key = "programme-key.toml"\n{database}', encoding="utf-8"
    )
    furnish(load_hq(hq_file), key, (root / "book.json").read_text(encoding="utf-8"), ON_THE_ROLL, ISSUED)
    return hq_file


def _reader_sections(reader: str) -> tuple[str, str]:
    """The `[[readers]]` table and the `[demo]` keys for `--reader`. Raises `ReaderChoiceUnknown`."""
    kind, _, device = reader.partition(":")
    if kind == "virtual" and not device:
        return '[[readers]]\nkind = "virtual"', "cards = true"
    if kind == "pcsc" and not device:
        return '[[readers]]\nkind = "pcsc"', 'cards = true\npresenter = "vpcd"'
    if kind in PLAYED_DEVICES and device:
        section = f'[[readers]]\nkind = "{kind}"\ndevice = {json.dumps(device)}'
        return section, f'cards = true\npresenter = "{kind}"' if device == PLAYED_DEVICES[kind] else "cards = false"
    raise ReaderChoiceUnknown("start demonstration", reader)


def _programme_key(path: Path) -> ProgrammeKey:
    return load_programme_key(path) if path.exists() else create_programme_key(path)


def _line(name: str, key: ProgrammeKey) -> RosterLine:
    standing, member_class = ON_THE_ROLL[name]
    card = DEMO_CARDS[name]
    return RosterLine.of(
        card.pan, key, standing=standing, member_class=member_class, issued=ISSUED, person=f"demo-{name}"
    )


def _write_book(path: Path) -> None:
    """The published winter campaign, moved so that all of it is on today; kept when it is there already."""
    from terminal.offers.book import canonical_json, moved_to, parse_book

    if not path.exists():
        published = files("config.books").joinpath("winter-2012.toml").read_bytes()
        today = datetime.now(SHANGHAI).date()
        path.write_text(canonical_json(moved_to(parse_book(published, "toml"), today)), encoding="utf-8")


def _add_people(path: Path, people: tuple[tuple[str, str, str, str], ...]) -> None:
    from terminal.serving.people import Person, Role, add_person

    for person, name, role, pin in people:
        add_person(path, Person(person, name, Role(role)), pin, replace=True)


def _enrol(terminal_file: Path, hq_file: Path, terminal: TerminalSettings) -> None:
    """As an installer does it: a one-time code from headquarters, typed at the terminal."""
    from sync.enrolment import enrol, load_enrolment
    from sync.errors import NotEnrolled
    from sync.headquarters.enrolment import issue_code

    try:
        load_enrolment(terminal.data_dir)
    except NotEnrolled:
        code = issue_code(load_hq(hq_file), terminal=TERMINAL, merchant=MERCHANT, site=SITE)
        enrol(load_terminal(terminal_file).headquarters.url, code, terminal.data_dir)


@contextlib.contextmanager
def _directory(data: Path | None) -> Iterator[Path]:
    if data is not None:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        yield data.resolve()
        return
    fresh = Path(tempfile.mkdtemp(prefix="jingka-demo-"))
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh)


@contextlib.contextmanager
def _service(command: str, settings_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One `jingka` process in its own session, so that Ctrl-C reaches it through us, in order."""
    arguments = [sys.executable, "-m", "terminal", command, "--config", str(settings_file)]
    process = subprocess.Popen(arguments, start_new_session=True, env=_environment())  # noqa: S603 - our own program
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment() -> dict[str, str]:
    """The two services share one environment but not one data directory: each has its own in its settings."""
    return {name: value for name, value in os.environ.items() if name != "JINGKA_DATA_DIR"}


def _wait_ready(host: str, port: int, subject: str, wanted: bytes = b"") -> None:
    """Wait until `/healthz` answers, with `wanted` in its answer. Raises `DemoNotReady`."""
    deadline = time.monotonic() + READY_S
    reason = "no answer"
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://{host}:{port}/healthz", timeout=2) as answer:
                if answer.status == 200 and wanted in answer.read(HEALTH_BYTES_MAX):
                    return
        except OSError as error:
            reason = str(error)
        time.sleep(0.05)
    raise DemoNotReady("start demonstration", subject, reason=reason)


class _Stopped:
    """Ctrl-C and SIGTERM, noticed from before the first child starts."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: object) -> None:
        self._asked = True

    def wait(self, till: subprocess.Popen[bytes]) -> None:
        """Until asked to stop, or until the terminal ends by itself."""
        while not self._asked and till.poll() is None:
            time.sleep(0.2)


def _staff() -> str:
    from terminal.demo_headquarters import STAFF

    return ", ".join(f"{person.id} ({person.role.value})" for person, _ in STAFF)


def _announce(terminal_port: int, hq_port: int, root: Path) -> None:
    from rich.console import Console

    cashier, manager = PEOPLE
    Console(highlight=False, soft_wrap=True).print(
        f"""
[bold]京卡 demonstration is ready[/bold]
  counter       http://127.0.0.1:{terminal_port}/   cashier {cashier[0]}, PIN {cashier[3]}
  manager       http://127.0.0.1:{terminal_port}/day   {manager[0]}, PIN {manager[3]}
  headquarters  http://127.0.0.1:{hq_port}/   {_staff()}, PIN {OPERATOR[3]}
  data          {root}
Present a card with a click on the counter page. Ctrl-C ends everything."""
    )
