"""No card number leaves the reader's process, neither on a wire nor into a file, at the most talkative log level.

Everything that two real processes and a real PostgreSQL send, answer, log and store while cards are read, sold to,
refused and misread is searched for the numbers of those cards, in every form in which a number is likely to slip out.
"""

from __future__ import annotations

import base64
import contextlib
import io
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from drivers.transcript import parse_transcript
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.pty import PtyPresenter
from drivers.virtual.replay import read_again
from drivers.virtual.vpcd import VpcdCard
from terminal.demo import PEOPLE
from tests.fakes.installation import Installation, eventually, free_port
from tests.fakes.line import SWIPE_PAUSE_S
from tests.fakes.pcscd import PcscDaemon
from tests.fakes.postgres import PostgresCluster, postgres_binaries
from tests.fakes.tap import Tap

CHIPS = ("member", "model-worker", "suspended", "other-bank")
STRIPE = "stripe-member"
TYPED = "hardship"
NUMBERS = tuple(DEMO_CARDS[name].digits for name in (*CHIPS, STRIPE, TYPED))
GZIP_MAGIC = b"\x1f\x8b\x08"
GZIP_WBITS = 31  # zlib: gzip framing only
READS = "reads"  # where readings are recorded, beneath what is searched
FILE_BYTES_MIN = 1000  # what a run leaves behind is far more; less means that the search looked at nothing
SERIAL_READER = """
[[readers]]
kind = "serial"
device = "{device}"
[terminal]"""


def forms(digits: str) -> dict[str, bytes]:
    """Every form in which a card number might be written, by name."""
    ascii_digits = digits.encode()
    groups = [digits[start : start + 4] for start in range(0, len(digits), 4)]
    even, odd = digits[: len(digits) // 2 * 2], digits[1 : 1 + (len(digits) - 1) // 2 * 2]
    return {
        "ASCII": ascii_digits,
        "groups": " ".join(groups).encode(),
        "hyphens": "-".join(groups).encode(),
        "UTF-16": digits.encode("utf-16-le"),
        "hex of ASCII": ascii_digits.hex().encode(),
        "BCD": bytes.fromhex(even),  # as a chip sends it
        "BCD, half an octet later": bytes.fromhex(odd),
        **{f"base64 at {shift}": _base64_core(ascii_digits, shift) for shift in range(3)},
    }


def _base64_core(text: bytes, shift: int) -> bytes:
    """What base64 of any text shows in the middle when `text` begins at an offset of `shift` octets modulo 3."""
    lead = -shift % 3
    core = text[lead : lead + (len(text) - lead) // 3 * 3]
    return base64.b64encode(core)


def found_in(data: bytes) -> list[str]:
    """Which numbers stand in `data`, in which form; gzip streams within are searched too. Never the numbers."""
    layers = [data, *_unpacked(data)]
    return [
        f"number {number} as {form}"
        for number, digits in enumerate(NUMBERS)
        for form, needle in forms(digits).items()
        if any(needle in layer for layer in layers)
    ]


def _unpacked(data: bytes) -> Iterator[bytes]:
    start = data.find(GZIP_MAGIC)
    while start >= 0:
        with contextlib.suppress(zlib.error):  # three octets that only look like a beginning
            yield zlib.decompressobj(GZIP_WBITS).decompress(data[start:])
        start = data.find(GZIP_MAGIC, start + 1)


def files_with_numbers(*roots: Path) -> dict[str, list[str]]:
    """Every file under `roots` in which a number stands; raises when there is hardly anything to search."""
    files = [path for root in roots for path in root.rglob("*") if path.is_file()]
    contents = {str(path): path.read_bytes() for path in files}
    assert sum(map(len, contents.values())) >= FILE_BYTES_MIN, f"nothing to search: {sorted(contents)}"
    return {name: found for name, data in contents.items() if (found := found_in(data))}


@contextmanager
def listening(client: httpx.Client, path: str) -> Iterator[Callable[[], bytes]]:
    """A stream of live events, read while the block runs; yields how to see what has come so far."""
    came = bytearray()
    with client.stream("GET", path, timeout=None) as answer:
        assert answer.status_code == 200

        def read() -> None:
            try:
                for chunk in answer.iter_raw():
                    came.extend(chunk)
            except httpx.TransportError:
                return  # the server was stopped, or this block has ended

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield lambda: bytes(came)
        finally:
            answer.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
            reader.join()


class Watched:
    """An installation with taps on its three lines: terminal to headquarters, and clients to each of them."""

    def __init__(self, site: Installation, taps: list[Tap]) -> None:
        self.site = site
        self.taps = taps

    @classmethod
    @contextmanager
    def prepared(cls, root: Path, pcscd: PcscDaemon, database_url: str, stripe_device: str) -> Iterator[Watched]:
        """Prepared, with both kinds of reader, the most talkative log, and readings recorded; nothing runs yet."""
        hq_port = free_port()
        with Tap.on(hq_port) as line:
            site = Installation(
                root,
                reader="pcsc",
                database_url=database_url,
                environment={
                    **pcscd.environment,
                    "JINGKA_LOG__LEVEL": "traffic",
                    "JINGKA_SUPPORT__READS_DIR": str(root / READS),
                },
                line_port=line.port,
                hq_port=hq_port,
            )
            with Tap.on(site.terminal.port) as till, Tap.on(hq_port) as office, site:
                site.terminal.front_port, site.headquarters.front_port = till.port, office.port
                settings = site.terminal.settings_file
                table = SERIAL_READER.format(device=stripe_device)
                settings.write_text(settings.read_text("utf-8").replace("\n[terminal]", table), "utf-8")
                yield cls(site, [line, till, office])

    def on_the_wires(self) -> bytes:
        """Everything that has passed on the three lines."""
        assert all(tap.kept for tap in self.taps), "a tap on which nothing passes proves nothing"
        return b"\n".join(kept for tap in self.taps for kept in tap.kept)


def sell_and_refuse(site: Installation, slot: VpcdCard, stripes: PtyPresenter) -> None:
    """Cards of all kinds: a sale by chip, voided, and one by stripe; refused, foreign and misread cards."""
    for card in CHIPS:
        before = site.presented()
        slot.present(DEMO_CARDS[card])
        shown = site.next_presentation(before)
        if card == "member":
            sold = site.buy(shown, 2)
        else:
            site.quote(shown, 1)
        slot.remove()
    good = stripes.frame_of(DEMO_CARDS[STRIPE])
    for swipe in (good.replace(b"?", b"?:"), good[:25] + b"\r\n", good):  # a wrong check character; cut short
        time.sleep(SWIPE_PAUSE_S)
        before = site.presented()
        stripes.send(swipe)
        shown = site.next_presentation(before)
        assert bool(shown["notice"]) == (swipe != good)
    site.buy(shown, 1)
    type_numbers(site)
    voided = site.manager.post(f"/api/v1/redemptions/{sold['id']}/void", json={"reason": "sold twice"})
    assert voided.status_code == 200, voided.text
    site.wait_acknowledged()


def type_numbers(site: Installation) -> None:
    """A typed number sold to, and the same mistyped, unapproved or in a wrong field; on the API and on the page.

    Straight to the daemon, for a body on its way in holds the number by nature: no tap hears it. What is answered, here
    searched at once, and what is written afterwards must not.
    """
    digits, manager = DEMO_CARDS[TYPED].digits, {"manager": PEOPLE[1][0], "pin": PEOPLE[1][3]}
    direct = f"http://127.0.0.1:{site.terminal.port}"
    groups = " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))
    bad: tuple[dict[str, object], ...] = (
        {"number": digits, "manager": PEOPLE[1][0], "pin": "0000"},
        {"number": digits, "manager": digits, "pin": digits},
        {"number": digits, "expiry": "99/99", **manager},
        {"number": digits * 4, **manager},
        {"number": int(digits), **manager},
        {digits: digits},
    )
    with httpx.Client(base_url=direct, trust_env=False, cookies=site.cashier.cookies) as client:
        answers = [client.post("/api/v1/presentation/manual", json=body) for body in bad]
        assert {answer.status_code for answer in answers} == {401, 422}
        pieces = [{**manager, "number": groups, "pin": "0000"}, {**manager, "number": groups}]
        answers += [client.post("/counter/manual", data=piece, headers={"hx-request": "true"}) for piece in pieces]
        answers.append(client.post("/api/v1/presentation/manual", json={"number": groups, **manager}))
    shown = answers[-1].json()
    assert (shown["entry_mode"], shown["masked"]) == ("manual", f"**** {digits[-4:]}")
    assert [found for answer in answers if (found := found_in(answer.content))] == []
    site.buy(shown, 1)


def read_all_pages(site: Installation) -> dict[str, bytes]:
    """Every document the two services offer, by name."""
    till = ("/", "/day", "/status", "/healthz", "/metrics", "/openapi.json", "/api/v1/redemptions", "/api/v1/readers")
    reports = ("/api/v1/reports/daily", "/api/v1/reports/daily.csv", "/api/v1/reports/daily.xlsx")
    office = ("/", "/healthz", "/openapi.json", "/api/v1/redemptions", "/api/v1/terminals", "/api/v1/conflicts")
    answers = {path: site.manager.get(path) for path in (*till, *reports)}
    answers |= {f"headquarters{path}": site.operator.get(path) for path in office}
    assert {path: each.status_code for path, each in answers.items() if each.status_code != 200} == {}
    pages = {path: each.content for path, each in answers.items()}
    with zipfile.ZipFile(io.BytesIO(pages["/api/v1/reports/daily.xlsx"])) as workbook:
        pages |= {f"xlsx/{name}": workbook.read(name) for name in workbook.namelist()}
    return pages


def run_all_commands(site: Installation) -> dict[str, bytes]:
    """What the commands print that a person sends on: the support dump, the report, the ledger's export."""
    settings = str(site.terminal.settings_file)
    commands = {
        "support": ("support", "--config", settings),
        "report": ("report", "--config", settings, "--format", "json"),
        "export": ("ledger", "export", "--config", settings),
    }
    printed = {}
    for name, arguments in commands.items():
        program = [sys.executable, "-m", "terminal", *arguments]
        done = subprocess.run(program, check=False, capture_output=True, env=site.environment)
        assert done.returncode == 0, done.stderr.decode()
        printed[name] = done.stdout + done.stderr
    return printed


def dump(database_url: str) -> bytes:
    """The whole database as SQL, where no compressed column can hide anything."""
    plain = database_url.replace("postgresql+psycopg", "postgresql")
    return subprocess.run([postgres_binaries() / "pg_dump", plain], check=True, capture_output=True).stdout


def test_no_card_number_on_a_wire_in_a_page_or_in_a_file(
    tmp_path: Path, pcscd: PcscDaemon, cluster: PostgresCluster, database_url: str, stripes: PtyPresenter
) -> None:
    root = tmp_path / "site"
    with Watched.prepared(root, pcscd, database_url, stripes.device) as watched:
        site = watched.site.start()
        eventually(
            lambda: len(found := site.health()["readers"]) == 3 and {each["state"] for each in found} == {"ready"},
            "all readers are ready",
        )
        with (
            listening(site.cashier, "/api/v1/events") as till_events,
            listening(site.operator, "/api/v1/events") as office_events,
        ):
            sell_and_refuse(site, VpcdCard(pcscd.host, pcscd.port), stripes)
            eventually(lambda: b"redemption" in office_events(), "headquarters' page hears of the sales")
            heard = till_events()
        assert heard.count(b"event: presentation") >= len(CHIPS) + 3
        pages = read_all_pages(site) | run_all_commands(site)
        sql = dump(database_url)
        running = files_with_numbers(root)  # while both processes hold their files open, journals and all
        wires = watched.on_the_wires()

    assert b"**** 0013" in wires, "the masked number is what clients see"
    assert found_in(wires) == []
    assert {name: found for name, page in pages.items() if (found := found_in(page))} == {}
    assert all(b"**** 0021" in pages[name] for name in ("report", "export", "/api/v1/reports/daily.csv"))
    assert b"**** 0021" in sql, "the sale by stripe has arrived"
    assert b"**** 0013" in pages["/status"], "the last reads are shown to the manager"
    assert all(b'"SELECT 0400"' in pages[name] for name in ("support", "/api/v1/readers")), "and told to support"
    assert b'jingka_card_reads_total{entry_mode="stripe"' in pages["/metrics"]
    check_what_was_recorded(root)
    assert found_in(sql) == []
    assert running == {}
    assert files_with_numbers(root) == {}
    assert files_with_numbers(cluster.directory) == {}
    plant_and_find(root, tmp_path / "copy")


def check_what_was_recorded(root: Path) -> None:
    """There are a log of what passed and a transcript of each chip, so that the search has something to find."""
    log = (root / "logs" / "run.log").read_text("utf-8")
    assert log.count("drivers.traffic: ") >= 8 * len(CHIPS)
    heard = "".join(re.findall(r"drivers\.traffic: \w+: heard (.*)", log))
    assert heard.count(";****************=") >= 2, "in whatever pieces the line delivered them"
    transcripts = [parse_transcript(path.read_text("utf-8")) for path in (root / READS).iterdir()]
    assert len(transcripts) == len(CHIPS)
    for transcript in transcripts:
        assert read_again(transcript).pan.masked in {DEMO_CARDS[card].pan.masked for card in CHIPS}


def plant_and_find(root: Path, copy: Path) -> None:
    """The same search finds a number in each form, wherever in a copy of the very same files it stands."""
    shutil.copytree(root, copy)
    assert files_with_numbers(copy) == {}
    for name in ("logs/run.log", "terminal/ledger.sqlite", "headquarters/people.toml"):
        with (copy / name).open("ab") as file:
            file.write(DEMO_CARDS[STRIPE].digits.encode())
        assert list(files_with_numbers(copy)) == [str(copy / name)], name
        (copy / name).unlink()


@pytest.mark.parametrize("form", forms(NUMBERS[0]))
@pytest.mark.parametrize("number", range(len(NUMBERS)))
def test_the_search_finds_a_card_number_in_each_form(form: str, number: int) -> None:
    needle = forms(NUMBERS[number])[form]
    assert f"number {number} as {form}" in found_in(b"before" + needle + b"after")


@pytest.mark.parametrize("lead", range(3))
def test_the_search_sees_through_gzip_and_base64(lead: int) -> None:
    told = b"x" * lead + NUMBERS[0].encode() + b"tail"
    assert found_in(base64.b64encode(told))
    packed = zlib.compressobj(wbits=GZIP_WBITS)
    assert found_in(b"POST / HTTP/1.1\r\n\r\n" + packed.compress(told) + packed.flush() + b"more") != []
    assert found_in(b"x" * lead + NUMBERS[0][:-1].encode() + b"tail") == []
