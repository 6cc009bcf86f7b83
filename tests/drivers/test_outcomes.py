from __future__ import annotations

import gc
import threading
from datetime import UTC, datetime, timedelta

import pytest

from drivers.card import (
    Authenticity,
    AuthenticityReason,
    CardRead,
    EntryMode,
    MalformedCard,
    NotACard,
    Pan,
    Step,
)
from drivers.outcomes import COUNTED_READERS_MAX, OTHER_READER, OUTCOMES_MAX, READ_S_BOUNDS, Outcomes
from drivers.reader import ReaderState, ReaderStatus
from tests.fakes.listener import RecordingListener

NOON = datetime(2012, 12, 25, 4, 0, tzinfo=UTC)
STEPS = (Step("SELECT 0400", 0x9000, 20.0), Step("READ RECORD 010C", None, 30.5))


class Wall:
    """Noon, and a second more at each look."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> datetime:
        self.looks += 1
        return NOON + timedelta(seconds=self.looks)


def read(
    reader: str = "virtual",
    entry_mode: EntryMode = EntryMode.CONTACTLESS,
    read_ms: float = 320.0,
    steps: tuple[Step, ...] = STEPS,
) -> CardRead:
    return CardRead(
        pan=Pan("6210947000000021"),
        expiry=None,
        entry_mode=entry_mode,
        reader=reader,
        authenticity=Authenticity.UNVERIFIED,
        service_code=None,
        finished_ns=0,
        read_ms=read_ms,
        authenticity_reason=AuthenticityReason.NO_KEYS,
        steps=steps,
    )


@pytest.fixture
def below() -> RecordingListener:
    return RecordingListener()


@pytest.fixture
def outcomes(below: RecordingListener) -> Outcomes:
    return Outcomes(below, Wall())


def test_everything_is_passed_on(outcomes: Outcomes, below: RecordingListener) -> None:
    good, bad = read(), NotACard("read card", "virtual", reason_zh="6A82", reason_en="6A82")
    status = ReaderStatus("virtual", "virtual", ReaderState.READY, 0)
    outcomes.reader_changed(status)
    outcomes.card_read(good)
    outcomes.card_removed("virtual")
    outcomes.card_failed("virtual", bad, STEPS)
    assert below.events == ["state:ready", "read", "removed", "failed"]
    assert (below.reads, below.statuses, below.removals) == ([good], [status], ["virtual"])
    assert below.failures == [("virtual", bad)]


def test_a_read_is_kept_masked_with_its_steps(outcomes: Outcomes) -> None:
    outcomes.card_read(read())
    (kept,) = outcomes.history().latest
    assert kept.ok
    assert (kept.number, kept.at, kept.reader) == (1, NOON + timedelta(seconds=1), "virtual")
    assert (kept.masked, kept.read_ms, kept.steps) == ("**** 0021", 320.0, STEPS)
    assert (kept.entry_mode, kept.authenticity) == (EntryMode.CONTACTLESS, Authenticity.UNVERIFIED)
    assert kept.authenticity_reason is AuthenticityReason.NO_KEYS
    assert "6210947000000021" not in repr(outcomes.history())


def test_a_failure_is_kept_with_its_reason_and_how_far_it_came(outcomes: Outcomes) -> None:
    outcomes.card_failed(
        "virtual", MalformedCard("read card", "chip", reason_zh="缺少卡号", reason_en="no card number"), STEPS
    )
    outcomes.card_failed("stripe", NotACard("read card", "stripe", reason_zh="三磁道", reason_en="track 3"))
    swipe, chip = outcomes.history().latest
    assert not chip.ok
    assert (chip.error and chip.error.code, chip.masked, chip.read_ms) == ("card-malformed", "", 50.5)
    assert (swipe.error and swipe.error.code, swipe.read_ms, swipe.steps) == ("not-a-card", None, ())


def test_a_kept_failure_holds_no_frame_of_the_reading(outcomes: Outcomes) -> None:
    class Octets:
        """What a frame of the reading would hold."""

    def fail() -> None:
        octets = Octets()
        try:
            raise ValueError(octets)
        except ValueError as fault:
            raise NotACard("read card", "virtual", reason_zh="乱码", reason_en="noise") from fault

    try:
        fail()
    except NotACard as error:
        outcomes.card_failed("virtual", error)
    gc.collect()
    assert outcomes.history().latest
    assert [each for each in gc.get_objects() if isinstance(each, Octets)] == []


def test_only_the_last_outcomes_are_kept_newest_first(outcomes: Outcomes) -> None:
    for _ in range(OUTCOMES_MAX + 3):
        outcomes.card_read(read())
    numbers = [kept.number for kept in outcomes.history().latest]
    assert numbers == list(range(OUTCOMES_MAX + 3, 3, -1))
    assert outcomes.history().reads == {("virtual", EntryMode.CONTACTLESS): OUTCOMES_MAX + 3}, "counts go on"


def test_reads_and_failures_are_counted_by_what_they_are(outcomes: Outcomes) -> None:
    outcomes.card_read(read())
    outcomes.card_read(read(entry_mode=EntryMode.CONTACT))
    outcomes.card_read(read("stripe", EntryMode.STRIPE))
    for _ in range(2):
        outcomes.card_failed("virtual", NotACard("read card", "virtual", reason_zh="6A82", reason_en="6A82"))
    history = outcomes.history()
    assert history.reads == {
        ("virtual", EntryMode.CONTACTLESS): 1,
        ("virtual", EntryMode.CONTACT): 1,
        ("stripe", EntryMode.STRIPE): 1,
    }
    assert history.failures == {("virtual", "not-a-card"): 2}


def test_a_typed_number_is_kept_and_counted_without_a_time(outcomes: Outcomes, below: RecordingListener) -> None:
    outcomes.note(read("keyboard", EntryMode.MANUAL, read_ms=0.0, steps=()))
    history = outcomes.history()
    assert (history.latest[0].entry_mode, history.latest[0].read_ms) == (EntryMode.MANUAL, None)
    assert history.reads == {("keyboard", EntryMode.MANUAL): 1}
    assert history.times == {}
    assert below.events == [], "whoever typed it knows"


def test_a_read_falls_into_the_first_bound_that_holds_it(outcomes: Outcomes) -> None:
    for seconds in (0.0, READ_S_BOUNDS[0], 0.45, READ_S_BOUNDS[-1] + 1):
        outcomes.card_read(read(read_ms=seconds * 1000))
    times = outcomes.history().times["virtual"]
    assert times.counts[0] == 2, "a bound is part of what it bounds"
    assert times.counts[READ_S_BOUNDS.index(0.5)] == 1
    assert times.counts[-1] == 1, "longer than all bounds"
    assert sum(times.counts) == 4
    assert times.sum_s == pytest.approx(READ_S_BOUNDS[0] + 0.45 + READ_S_BOUNDS[-1] + 1)


def test_readers_under_ever_new_names_are_counted_together(outcomes: Outcomes) -> None:
    for number in range(COUNTED_READERS_MAX + 5):
        outcomes.card_read(read(f"reader {number}"))
    outcomes.card_read(read("reader 0"))
    history = outcomes.history()
    assert len(history.reads) == COUNTED_READERS_MAX + 1
    assert history.reads[OTHER_READER, EntryMode.CONTACTLESS] == 5
    assert history.reads["reader 0", EntryMode.CONTACTLESS] == 2
    assert history.latest[1].reader == f"reader {COUNTED_READERS_MAX + 4}", "the list still tells the real name"


def test_two_readers_at_once_lose_nothing(outcomes: Outcomes) -> None:
    def play(reader: str) -> None:
        for _ in range(200):
            outcomes.card_read(read(reader))
            outcomes.history()

    threads = [threading.Thread(target=play, args=(f"reader {number}",)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(outcomes.history().reads.values()) == 400
    assert len({kept.number for kept in outcomes.history().latest}) == OUTCOMES_MAX
