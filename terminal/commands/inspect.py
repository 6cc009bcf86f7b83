"""`jingka readers`, `jingka doctor`: what is here, what is wrong, and what to do next.

Each probe stands alone: one that fails becomes a line with its next step, never the end of the list.
"""

from __future__ import annotations

import json as json_format
import os
import stat
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import typer

from config.errors import JingkaError, Words
from config.places import LEDGER_FILE, PEOPLE_FILE, vouchers_file
from config.settings import DemoSection, PcscReaderSection, ReaderSection, TerminalSettings, load_terminal
from config.zone import SHANGHAI
from drivers.card import ReaderForbidden, ReaderMissing
from drivers.port import PortSettingsRefused
from drivers.wedge.device import InputDeviceWrong, InputForbidden
from terminal.commands.progress import progress_bar

FREE_BYTES_MIN = 200 * 1024 * 1024  # weeks of sales; below it the doctor warns
SERIAL_PORTS = "/dev/serial/by-id"  # names that stay when ttyUSB numbers move


@dataclass(frozen=True, slots=True)
class Check:
    """One probe's answer; `hint` is the next step when it is not ok."""

    name: str
    ok: bool
    found: str
    hint_zh: str = ""
    hint_en: str = ""


def list_readers(json: bool) -> None:
    """The PC/SC readers, serial ports and typing devices of this machine."""
    from drivers.pcsc import list_readers as pcsc_readers
    from drivers.wedge.device import list_keyboards

    try:
        pcsc, trouble = pcsc_readers(), ""
    except JingkaError as error:
        pcsc, trouble = [], f"{error.what_text('zh')} → {error.hint_text('zh')} / {error}"
    ports = sorted(str(path) for path in Path(SERIAL_PORTS).glob("*"))
    wedges = list_keyboards()
    if json:
        found = {"pcsc": pcsc, "serial": ports, "wedge": wedges, "trouble": trouble}
        typer.echo(json_format.dumps(found, ensure_ascii=False))
        return
    for name in pcsc:
        typer.echo(f"pcsc    {name}")
    for port in ports:
        typer.echo(f"serial  {port}")
    for path in wedges:
        typer.echo(f"wedge   {path}（或键盘 / or a keyboard）")
    if trouble:
        typer.echo(f"pcsc    {trouble}")
    if not (pcsc or ports or wedges or trouble):
        typer.echo("没有读卡器 / no readers")


def run_doctor(config: Path, json: bool) -> int:
    """Check the installation; exit code 1 when anything needs a person."""
    checks = examine(config)
    if json:
        typer.echo(json_format.dumps([asdict(check) for check in checks], ensure_ascii=False))
    else:
        for check in checks:
            typer.echo(f"{'ok  ' if check.ok else 'FAIL'} {check.name:<12} {check.found}")
            if not check.ok:
                typer.echo(f"     → {check.hint_zh}\n     → {check.hint_en}")
    return 0 if all(check.ok for check in checks) else 1


def examine(config: Path) -> list[Check]:
    """Every probe's answer; without readable settings only that one."""
    checks: list[Check] = []
    settings = _probe(checks, "settings", lambda: load_terminal(config), lambda _: str(config))
    if settings is None:
        return checks
    probes: tuple[tuple[str, Callable[[TerminalSettings], str]], ...] = (
        ("disk", _disk),
        ("key", _programme_key),
        ("roll", _roll),
        ("book", _book),
        ("vouchers", _vouchers),
        ("people", _people),
        ("ledger", _ledger),
        ("grants", _grants),
        ("enrolment", _enrolment),
        ("line", _line),
        ("chips", _chips),
    )
    for name, probe in probes:
        _probe(checks, name, lambda probe=probe: probe(settings), str)  # type: ignore[misc]
    for section in settings.readers:
        _probe(checks, f"reader {section.name}", partial(_reader, section, settings.demo), str)
    return checks


def _probe(checks: list[Check], name: str, work: Callable[[], Any], tell: Callable[[Any], str]) -> Any:
    try:
        found = work()
    except JingkaError as error:
        checks.append(Check(name, False, error.what_text("en"), error.hint_text("zh"), error.hint_text("en")))
        return None
    except OSError as error:
        reason = error.strerror or str(error)
        checks.append(
            Check(name, False, f"{reason}: {error.filename}", "请检查文件和权限", "check the file and its rights")
        )
        return None
    checks.append(Check(name, True, tell(found)))
    return found


class DiskNearlyFull(JingkaError):
    """Little room is left where the ledger lives."""

    code = "disk-nearly-full"
    what = Words("磁盘剩余 {free_mib} MiB", "{free_mib} MiB left on the disk")
    hint = Words("请清理磁盘：写满后将停止售卖", "make room: a full disk stops sales")


class LedgerNotWhole(JingkaError):
    """The ledger's proof failed."""

    code = "ledger-not-whole"
    what = Words("账本有 {findings} 处不符", "{findings} findings in the ledger")
    hint = Words("请执行 jingka ledger verify 并联系总部", "run jingka ledger verify and call headquarters")


def _disk(settings: TerminalSettings) -> str:
    from terminal.ledger.health import free_bytes

    free = free_bytes(settings.data_dir)
    if free < FREE_BYTES_MIN:
        raise DiskNearlyFull("check disk", str(settings.data_dir), free_mib=free // 1024**2)
    return f"{free // 1024**2} MiB free"


def _programme_key(settings: TerminalSettings) -> str:
    from terminal.membership.token import load_programme_key

    key = load_programme_key(settings.membership.programme_key)
    return f"version {key.version}, fingerprint {key.fingerprint}"


def _roll(settings: TerminalSettings) -> str:
    from terminal.membership.roll import Roll
    from terminal.membership.token import load_programme_key

    roll = Roll.open(settings.membership.roll)
    try:
        roll.check_key(load_programme_key(settings.membership.programme_key))
        with progress_bar("roll") as progress:
            roll.verify(progress)
        return f"{roll.count} cards, revision {roll.revision[:16]}"
    finally:
        roll.close()


def _book(settings: TerminalSettings) -> str:
    from sync.released_book import ReleasedBook
    from terminal.offers.book import load_book

    released = ReleasedBook(settings.data_dir, settings.offers.signed_by)
    pointer = released.pointer()
    book = released.load(pointer) if pointer else load_book(settings.offers.book, released.settings_key())
    origin = "headquarters" if pointer else "settings"
    return f"revision {book.revision}, {len(book.offers)} offers, from {origin}"


def _vouchers(settings: TerminalSettings) -> str:
    from terminal.membership.token import load_programme_key
    from terminal.vouchers.register import Register

    path = vouchers_file(settings.offers.vouchers, settings.data_dir)
    if settings.offers.vouchers is None and not path.exists():
        return "no register here: offers that ask for a registered voucher are refused"
    header = Register.open(path, load_programme_key(settings.membership.programme_key)).header
    origin = f"version {header.version} from headquarters" if header.version else "handed out by hand"
    return f"{header.count} vouchers of {len(header.offers)} offers, {origin}, of {header.built.isoformat()}"


def _people(settings: TerminalSettings) -> str:
    from terminal.serving.people import People

    return f"{len(People.load(settings.data_dir / PEOPLE_FILE).names())} people"


def _ledger(settings: TerminalSettings) -> str:
    from terminal.ledger.verify import verify

    path = settings.data_dir / LEDGER_FILE
    if not path.exists():
        return "none yet: the daemon makes it"
    with progress_bar("ledger") as progress:
        report = verify(path, progress)
    if not report.ok:
        raise LedgerNotWhole("verify ledger", str(path), findings=len(report.findings) + report.more)
    return f"{report.entries} entries, whole"


def _grants(settings: TerminalSettings) -> str:
    """What headquarters lets this terminal spend, and how much it knows of other shops; read beside the daemon."""
    from sync.elsewhere import UsageElsewhere
    from terminal.ledger.allowances import standing_in
    from terminal.ledger.clock import SystemClock

    path = settings.data_dir / LEDGER_FILE
    elsewhere = UsageElsewhere(settings.data_dir)
    if elsewhere.fault is not None:
        raise elsewhere.fault
    told = elsewhere.now
    known = f"{len(told)} counters of other shops as of {told.told}" if told.told else "nothing known of other shops"
    if not path.exists() or not (standing := standing_in(path)).lease.known:
        return f"no slices from headquarters; {known}"
    clock, lease = SystemClock(), standing.lease
    if lease.ended is not None:
        left = f"ended ({lease.ended})"
    else:
        left = f"{lease.left_ms(clock.boot(), clock.monotonic_ms()) // 1000} s left"
    unspent = ", ".join(f"{offer}/{limit} {units}" for (offer, limit), units in standing.unspent().items()) or "none"
    return f"lease {lease.generation}, {left}; unspent: {unspent}; {known}"


def _enrolment(settings: TerminalSettings) -> str:
    from sync.enrolment import load_enrolment

    if not settings.headquarters.url:
        return "no headquarters set: entries stay here"
    known = load_enrolment(settings.data_dir)
    return f"{known.terminal} of {known.merchant}, {known.site}"


def _line(settings: TerminalSettings) -> str:
    import httpx

    from sync.errors import LineDown

    if not settings.headquarters.url:
        return "no headquarters set"
    started = time.monotonic()
    try:
        httpx.get(f"{settings.headquarters.url}/healthz", timeout=5, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        raise LineDown("reach headquarters", settings.headquarters.url, reason=type(error).__name__) from error
    return f"{settings.headquarters.url} answers in {(time.monotonic() - started) * 1000:.0f} ms"


def _reader(section: ReaderSection, demo: DemoSection) -> str:
    """Whether the reader is plugged in and ours to use; the port is not opened, for the daemon may be at it."""
    if section.kind == "virtual" or (demo.cards and section.kind == demo.presenter):
        return "played by the demonstration"
    if isinstance(section, PcscReaderSection):
        return ", ".join(_plugged_in(section.name))
    device = section.device
    try:
        mode = Path(device).stat().st_mode
    except OSError as error:
        raise ReaderMissing("check reader", device) from error
    wedge = section.kind == "wedge"
    if not stat.S_ISCHR(mode):
        if wedge:
            raise InputDeviceWrong("check reader", device)
        raise PortSettingsRefused("check reader", device, settings=section.kind)
    if not os.access(device, os.R_OK if wedge else os.R_OK | os.W_OK):
        raise (InputForbidden if wedge else ReaderForbidden)("check reader", device)
    return f"{section.kind} at {os.path.realpath(device)}"


def _plugged_in(name: str) -> list[str]:
    """The PC/SC readers that a section called `name` stands for; raises `ReaderMissing` when there is none."""
    from drivers.pcsc import EVERY_READER, TOGETHER, list_readers

    found = [each for each in list_readers() if name in {EVERY_READER, each}]
    if not found:
        raise ReaderMissing("check reader", TOGETHER if name == EVERY_READER else name)
    return found


def _chips(settings: TerminalSettings) -> str:
    """Whether chips can be checked, and what keys still count today."""
    from drivers.pboc.authenticity.keys import load_scheme_keys

    if settings.authenticity.keys is None:
        return "not checked: no key file is set"
    today = datetime.now(SHANGHAI).date()
    keys = load_scheme_keys(settings.authenticity.keys)
    return "; ".join(
        f"key {key.name} {'until' if today <= key.expires else 'expired'} {key.expires.isoformat()}" for key in keys
    )
