"""Bad input at a real daemon: every fault becomes a typed error with its next step, and the daemon goes on answering.

Headquarters does not run here: a till must cope alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from drivers.framing import STX, framing_named
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.pty import PtyPresenter
from drivers.virtual.vpcd import VpcdCard
from tests.fakes.installation import Installation, eventually, new_id
from tests.fakes.line import SWIPE_PAUSE_S
from tests.fakes.pcscd import PcscDaemon

CARD = DEMO_CARDS["stripe-member"]
ALONE = {"JINGKA_HEADQUARTERS__URL": ""}  # no line to be degraded for: `/healthz` shows the fault of the test only
FULL_DISK_BYTES = 4 * 1024 * 1024  # room for a new ledger and its journal, and little more
FILE_BYTES_MAX = 1  # the limit that stands for a full disk: every file is over it already, so none may grow
FIRST_PAGE_DAMAGE = b"\xa5" * 4096  # over the first page of a database: its header is gone


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    """A till with the virtual reader; nothing runs yet."""
    with Installation(tmp_path, environment=ALONE) as installation:
        yield installation


@pytest.fixture(scope="module", params=["plain", "stx-etx-lrc"])
def stripe_till(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Installation, PtyPresenter]]:
    """A running till whose stripe reader frames its swipes in one of the two ways, and the hand that swipes."""
    stripes = PtyPresenter(request.param)
    with Installation(
        tmp_path_factory.mktemp("till"), reader=f"serial:{stripes.device}", environment=ALONE
    ) as installation:
        settings = installation.terminal.settings_file
        framed = settings.read_text("utf-8").replace('kind = "serial"', f'kind = "serial"\nframe = "{request.param}"')
        settings.write_text(framed, "utf-8")
        installation.terminal.start()
        eventually(lambda: installation.health()["readers"][0]["state"] == "ready", "the reader is ready")
        yield installation, stripes
    stripes.unplug()


def send(till: tuple[Installation, PtyPresenter], swipe: bytes) -> dict[str, Any]:
    """Send the bytes of one swipe; what the till says of it."""
    installation, stripes = till
    time.sleep(SWIPE_PAUSE_S)  # a swipe is told from the one before by the silence between them
    before = installation.presented()
    stripes.send(swipe)
    return installation.next_presentation(before)


def assert_still_reads(till: tuple[Installation, PtyPresenter]) -> None:
    good = send(till, till[1].frame_of(CARD))
    assert (good["standing"], good["masked"], good["notice"]) == ("active", "**** 0021", None)
    assert till[0].health()["status"] == "ok"
    assert "Traceback" not in till[0].terminal.output


def assert_told_in_both_languages(client: httpx.Client, path: str, code: str, pick: Callable[[Any], Any]) -> None:
    """The fault at `path` has this code, and words and a next step in zh and in en."""
    zh, en = (pick(client.get(path, headers={"Accept-Language": language}).json()) for language in ("zh-CN", "en"))
    text = "text" if "text" in zh else "title"
    assert zh["code"] == en["code"] == code
    assert not zh["hint"].isascii()
    assert not zh[text].isascii()
    assert en["hint"].isascii() or "京卡" in en["hint"]
    assert en[text] != zh[text]


# --- cards ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda text: b";12345678?", "not-a-card"),
        (lambda text: text[:20], "stripe-unread"),
        (lambda text: text + b":", "stripe-unread"),
        (lambda text: text.replace(b"021=", b"012="), "card-malformed"),
    ],
    ids=["no-card", "half-a-stripe", "wrong-stripe-lrc", "two-digits-swapped"],
)
def test_a_stripe_that_is_no_card_is_told_and_the_next_one_is_read(
    damage: Callable[[bytes], bytes], code: str, stripe_till: tuple[Installation, PtyPresenter]
) -> None:
    installation, stripes = stripe_till
    text = CARD.track2_text().encode()
    framing = framing_named("stx-etx-lrc" if stripes.frame_of(CARD)[0] == STX else "plain")
    shown = send(stripe_till, framing.wrap(damage(text)))  # the line is good: the frame itself is right
    assert (shown["standing"], shown["masked"], shown["offers"]) == (None, "", [])
    assert_told_in_both_languages(installation.cashier, "/api/v1/presentation", code, lambda told: told["notice"])
    assert_still_reads(stripe_till)


def test_a_swipe_that_is_cut_off_on_the_line_is_told(stripe_till: tuple[Installation, PtyPresenter]) -> None:
    shown = send(stripe_till, stripe_till[1].frame_of(CARD)[:20])
    assert shown["notice"]["code"] == "frame-cut-off"
    assert_still_reads(stripe_till)


def test_a_byte_changed_on_the_line_is_told(stripe_till: tuple[Installation, PtyPresenter]) -> None:
    swipe = bytearray(stripe_till[1].frame_of(CARD))
    swipe[swipe.index(b"=")] ^= 0x02  # `=` becomes `?`
    shown = send(stripe_till, bytes(swipe))
    assert shown["notice"]["code"] == ("frame-check-failed" if swipe[0] == STX else "stripe-unread")
    assert shown["standing"] is None
    assert_still_reads(stripe_till)


def test_another_banks_card_gets_no_offer(stripe_till: tuple[Installation, PtyPresenter]) -> None:
    installation, stripes = stripe_till
    shown = send(stripe_till, stripes.frame_of(DEMO_CARDS["other-bank"]))
    assert (shown["standing"], shown["notice"]) == ("other-issuer", None)
    assert not any(offer["eligible"] for offer in shown["offers"])
    quoted = installation.quote(shown, 1).json()
    assert [refusal["code"] for refusal in quoted["refusals"]] == ["not-a-member"]
    assert installation.redeem(quoted["quote"]).status_code == 409
    assert installation.health()["ledger"]["sequence"] == 0
    assert_still_reads(stripe_till)


class TransitCard:
    """A chip that knows no bank's application: every command is answered with `file not found`."""

    atr = bytes.fromhex("3B8F8001804F0CA000000306030001000000006A")  # a MIFARE Classic, as PC/SC part 3 names it

    def transmit(self, command: bytes) -> bytes:
        return bytes.fromhex("6A82")

    def reset(self) -> None:
        """It remembers nothing."""


def test_a_chip_that_is_no_bank_card_is_told_and_the_next_one_is_read(tmp_path: Path, pcscd: PcscDaemon) -> None:
    with Installation(tmp_path, reader="pcsc", environment=pcscd.environment | ALONE) as installation:
        installation.terminal.start()
        slot = VpcdCard(pcscd.host, pcscd.port)
        slot.present_chip(TransitCard())
        shown = installation.next_presentation(None)
        assert shown["notice"]["code"] == "not-a-card"
        assert_told_in_both_languages(
            installation.cashier, "/api/v1/presentation", "not-a-card", lambda told: told["notice"]
        )
        slot.present(DEMO_CARDS["member"])
        assert installation.next_presentation(shown)["standing"] == "active"
        slot.remove()


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "typed"), [("merchant", "merchnat"), ("programme_key", "program_key")], ids=["terminal", "membership"]
)
def test_an_unknown_key_in_the_settings_ends_the_start_and_names_the_nearest(
    site: Installation, known: str, typed: str
) -> None:
    settings = site.terminal.settings_file
    settings.write_text(settings.read_text("utf-8").replace(f"{known} = ", f"{typed} = ", 1), "utf-8")
    site.terminal.launch()
    assert site.terminal.wait() == 1
    output = site.terminal.output
    assert f"unknown key `{typed}`" in output
    assert f"did you mean `{known}`?" in output
    assert "设置有误" in output
    assert "Traceback" not in output


def misspell_a_limit(site: Installation) -> None:
    path = site.root / "book.json"
    book = json.loads(path.read_text("utf-8"))
    film = next(offer for offer in book["offers"] if offer["id"] == "winter-film")
    film["limts"] = film.pop("limits")
    path.write_text(json.dumps(book), "utf-8")


def cut_the_roll_short(site: Installation) -> None:
    path = site.root / "roll.bin"
    os.truncate(path, path.stat().st_size // 2)


def overwrite_the_roll(site: Installation) -> None:
    path = site.root / "roll.bin"
    path.write_bytes(b"\x5a" * path.stat().st_size)


@pytest.mark.parametrize(
    ("damage", "code", "told"),
    [
        (misspell_a_limit, "book-invalid", "limits"),
        (cut_the_roll_short, "roll-damaged", "roll"),
        (overwrite_the_roll, "roll-damaged", "roll"),
    ],
    ids=["unknown-book-key", "roll-cut-short", "roll-overwritten"],
)
def test_without_a_book_or_a_roll_the_till_says_why_and_sells_nothing(
    site: Installation, damage: Callable[[Installation], None], code: str, told: str
) -> None:
    damage(site)
    assert site.terminal.start().status_code == 200
    assert site.health()["status"] == "degraded"
    shown = site.present("member")
    assert (shown["standing"], shown["offers"]) == (None, [])
    assert shown["notice"]["code"] == code
    assert told in shown["notice"]["text"]
    assert_told_in_both_languages(site.cashier, "/api/v1/presentation", code, lambda answer: answer["notice"])
    assert site.quote(shown, 1).status_code == 409
    page = site.cashier.get("/")
    assert page.status_code == 200
    health = site.health()
    assert (health["ledger"]["sequence"], health["status"]) == (0, "degraded")
    assert "Traceback" not in site.terminal.output


def test_a_damaged_ledger_is_one_error_everywhere_with_its_next_step(site: Installation) -> None:
    site.terminal.start()
    sold = site.buy(site.present("member"), 2)
    site.terminal.stop()
    ledger = site.terminal_dir / "ledger.sqlite"
    with ledger.open("r+b") as file:
        file.write(FIRST_PAGE_DAMAGE)
    kept = ledger.read_bytes()

    assert site.terminal.start().status_code == 503
    with httpx.Client(base_url=site.terminal.url, trust_env=False) as client:
        for path in ("/healthz", "/api/v1/presentation", f"/api/v1/redemptions/{sold['id']}"):
            assert client.get(path).status_code == 503
            assert_told_in_both_languages(client, path, "ledger-damaged", lambda problem: problem)
        page = client.get("/", headers={"Accept": "text/html"})
        assert page.status_code == 503
        assert "账本文件已损坏" in page.text
        assert "请停止收银并联系技术支持" in page.text
        assert client.post("/api/v1/redemptions", json={}).json()["code"] == "ledger-damaged"
    assert "Traceback" not in site.terminal.output
    assert ledger.read_bytes() == kept, "evidence is not touched"


# --- the disk ---------------------------------------------------------------------------------------------------------


class SmallDisk:
    """A till's data directory on a file system of its own that can be filled up and emptied again; needs root."""

    def __init__(self, directory: Path) -> None:
        self._filler = directory / "filler"

    code = "ledger-full"

    def fill(self, site: Installation) -> None:
        """Leave not one free block."""
        with self._filler.open("wb", buffering=0) as file:
            for size in (64 * 1024, 4096, 1):
                with pytest.raises(OSError, match="No space left"):  # noqa: PT012 - until the disk is full
                    while True:
                        file.write(b"\0" * size)

    def empty(self, site: Installation) -> None:
        """Give the room back."""
        self._filler.unlink()


class FileSizeLimit:
    """What an ordinary user has instead: a limit on the size of the files of the running daemon."""

    code = "ledger-disk"

    def fill(self, site: Installation) -> None:
        """No file may grow beyond a byte from now on."""
        self._limit(site, str(FILE_BYTES_MAX))

    def empty(self, site: Installation) -> None:
        """No limit any more."""
        self._limit(site, "unlimited")

    def _limit(self, site: Installation, soft: str) -> None:
        assert site.terminal.process is not None
        subprocess.run(["prlimit", f"--pid={site.terminal.process.pid}", f"--fsize={soft}:"], check=True)


@contextmanager
def small_disk(directory: Path) -> Iterator[SmallDisk | FileSizeLimit]:
    """A disk that can be full, mounted at `directory` where that is permitted."""
    directory.mkdir(parents=True, mode=0o700)
    options = f"size={FULL_DISK_BYTES},mode=0700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        yield FileSizeLimit()
        return
    try:
        yield SmallDisk(directory)
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.fixture(params=["as permitted", "file size limit"])
def disk_till(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Installation, SmallDisk | FileSizeLimit]]:
    """A running till, and its disk."""
    with (
        small_disk(tmp_path / "site/terminal") as mounted,
        Installation(tmp_path / "site", environment=ALONE) as installation,
    ):
        installation.terminal.start()
        yield installation, mounted if request.param == "as permitted" else FileSizeLimit()


def test_on_a_full_disk_nothing_is_acknowledged_and_the_same_sale_goes_through_when_there_is_room(
    disk_till: tuple[Installation, SmallDisk | FileSizeLimit],
) -> None:
    site, disk = disk_till
    first = site.buy(site.present("member-2"), 1)
    quoted = site.quote(site.present("member"), 2).json()["quote"]
    redemption = new_id()

    disk.fill(site)
    refused = site.redeem(quoted, redemption)
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["retry"]) == (503, disk.code, "stop"), problem
    assert "disk" in problem["hint"]
    in_chinese = site.cashier.post(
        "/api/v1/redemptions", json={"id": redemption, "quote": quoted}, headers={"Accept-Language": "zh-CN"}
    ).json()
    assert "磁盘" in in_chinese["title"]
    health = site.terminal.healthz()
    assert health is not None
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert [each["id"] for each in site.cashier.get("/api/v1/redemptions").json()["redemptions"]] == [first["id"]]

    disk.empty(site)
    redeemed = eventually(
        lambda: answer if (answer := site.redeem(quoted, redemption)).status_code == 201 else None,
        "the same sale goes through",
    )
    assert redeemed.json()["id"] == redemption
    assert site.complete(redemption).status_code == 200
    assert site.health()["status"] == "ok"
    assert "Traceback" not in site.terminal.output
