"""A real till with a serial reader of every frame at once: each swipe is on the page, whatever the line is like."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from config.errors import Words
from drivers.framing import FRAMINGS
from drivers.serial_port import SerialSettings
from drivers.virtual.card import DEMO_CARDS, ChipKind, VirtualCard
from drivers.virtual.pty import PtyPresenter
from terminal.commands.settings_file import add_reader
from tests.fakes.installation import Installation, eventually
from tests.fakes.line import SWIPE_PAUSE_S, Line, delayed, direct, lossy, with_gaps


def stranger(digits: str) -> VirtualCard:
    """A card with a stripe only that is no member's."""
    return VirtualCard("stranger", Words("卡", "card"), digits, service_code="520", chip=ChipKind.NONE)


ALONE = {"JINGKA_HEADQUARTERS__URL": ""}
CARD, OTHER = DEMO_CARDS["stripe-member"], DEMO_CARDS["other-bank"]
# The same card again at the same reader is no new presentation, so each line has a card of its own.
LINES: dict[str, tuple[Line, VirtualCard]] = {
    "direct": (direct, CARD),
    "bytes with gaps": (with_gaps, stranger("6212345678901265")),
    "delayed": (delayed, stranger("6217790001000000030")),
}
LOSSY_SWIPES = 2
NOISE = b"\xf8\x80\x00\xff\xe0\x80"

Till = tuple[Installation, dict[str, PtyPresenter]]


@pytest.fixture(scope="module")
def till(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    """The till, and the hand that swipes at each of its readers, by the frame's name."""
    place = tmp_path_factory.mktemp("readers")
    readers = {frame: PtyPresenter(frame, link=place / f"usb-{frame}") for frame in FRAMINGS}
    with Installation(tmp_path_factory.mktemp("till"), environment=ALONE) as installation:
        for frame, reader in readers.items():
            add_reader(installation.terminal.settings_file, SerialSettings(reader.device, frame=frame))
        installation.terminal.start()
        eventually(lambda: states(installation).count("ready") == 1 + len(FRAMINGS), "every reader is ready")
        yield installation, readers
    for reader in readers.values():
        reader.unplug()


def states(installation: Installation) -> list[str]:
    return [str(reader["state"]) for reader in installation.health()["readers"]]


@pytest.mark.parametrize(("line", "card"), LINES.values(), ids=LINES.keys())
@pytest.mark.parametrize("frame", FRAMINGS)
def test_a_swipe_is_on_the_page(till: Till, frame: str, line: Line, card: VirtualCard) -> None:
    installation, readers = till
    before = installation.presented()
    line(readers[frame], readers[frame].frame_of(card))
    shown = installation.next_presentation(before)
    assert (shown["masked"], shown["notice"]) == (card.pan.masked, None)
    assert (shown["standing"] == "active") == (card is CARD)


@pytest.mark.parametrize("frame", FRAMINGS)
def test_a_swipe_over_a_line_that_loses_bytes_is_on_the_page_or_told(till: Till, frame: str) -> None:
    installation, readers = till
    line, cards = lossy(3), itertools.cycle((OTHER, CARD))
    for card in itertools.islice(cards, LOSSY_SWIPES):
        before = installation.presented()
        line(readers[frame], readers[frame].frame_of(card))
        shown = installation.next_presentation(before)
        assert shown["notice"] is not None or shown["standing"] in {"active", "other-issuer", "unknown"}
        time.sleep(SWIPE_PAUSE_S)


def test_a_reader_that_sends_only_noise_is_on_the_status_page_until_a_card_is_read(till: Till) -> None:
    installation, readers = till
    for _ in range(3):
        before = installation.presented()
        readers["plain"].send(NOISE)
        assert installation.next_presentation(before)["notice"]["code"] == "frame-unreadable"
    eventually(lambda: "noisy" in states(installation), "the reader is shown as noisy")
    assert installation.health()["status"] == "degraded"
    assert "只收到乱码" in installation.manager.get("/status", headers={"Accept-Language": "zh-CN"}).text
    readers["plain"].present(CARD)
    eventually(lambda: "noisy" not in states(installation), "a card was read")
    assert installation.health()["status"] == "ok"
