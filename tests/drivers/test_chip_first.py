"""A chip card is read by its chip; its stripe only once, soon after the chip failed, or while no chip reader works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from config.errors import JingkaError
from drivers.card import (
    Authenticity,
    CardError,
    CardRead,
    CardRefused,
    CardRemoved,
    EntryMode,
    MalformedCard,
    NotACard,
    Pan,
    ReaderBusy,
    Step,
)
from drivers.chip_first import ChipFirst, UseTheChip, has_chip
from drivers.magstripe import StripeUnread
from drivers.pcsc_service import CardSilent
from drivers.reader import ReaderState, ReaderStatus
from tests.fakes.listener import RecordingListener

CHIP, STRIPE, VIRTUAL = "ACR39U", "stripe", "virtual"
KINDS = {CHIP: "pcsc", STRIPE: "serial", VIRTUAL: "virtual"}
STEPS = (Step("SELECT", None, 1.0),)
FALLBACK_S = 60.0


def read(mode: EntryMode, service_code: str | None = "220", reader: str | None = None) -> CardRead:
    stripe = mode is EntryMode.STRIPE
    return CardRead(
        pan=Pan("6210947000000021"),
        expiry=None,
        entry_mode=mode,
        reader=reader or (STRIPE if stripe else CHIP),
        authenticity=Authenticity.STRIPE if stripe else Authenticity.UNVERIFIED,
        service_code=service_code,
        finished_ns=0,
        read_ms=1.0,
    )


SWIPE = read(EntryMode.STRIPE)


class Counter:
    """A counter's readers behind the rule, and what comes out of it."""

    def __init__(self, *, chip_readers: bool = True) -> None:
        self.heard = RecordingListener()
        self.now = 1000.0
        self.rule = ChipFirst(self.heard, fallback_s=FALLBACK_S, chip_readers=chip_readers, now=lambda: self.now)

    def tell(self, reader: str, state: ReaderState) -> None:
        self.rule.reader_changed(ReaderStatus(reader, KINDS[reader], state, 0))

    def swipe(self, swiped: CardRead = SWIPE) -> EntryMode | None:
        """How the swipe counted; None: the chip was asked for."""
        reads, failures = len(self.heard.reads), len(self.heard.failures)
        self.rule.card_read(swiped)
        if len(self.heard.reads) > reads:
            assert len(self.heard.failures) == failures
            taken = self.heard.reads[-1]
            assert replace(taken, entry_mode=swiped.entry_mode) == swiped, "nothing else of the read changes"
            return taken.entry_mode
        reader, error = self.heard.failures[-1]
        assert (reader, type(error)) == (swiped.reader, UseTheChip)
        return None


@pytest.fixture
def counter() -> Counter:
    made = Counter()
    made.tell(CHIP, ReaderState.READY)
    made.tell(STRIPE, ReaderState.READY)
    return made


def silent(counter: Counter) -> None:
    counter.rule.card_failed(CHIP, CardSilent("read card", CHIP))


@pytest.mark.parametrize("code", ["201", "220", "601", "620"])
def test_the_stripe_of_a_chip_card_is_answered_with_ask_for_the_chip(counter: Counter, code: str) -> None:
    assert counter.swipe(read(EntryMode.STRIPE, code)) is None
    assert counter.heard.reads == []


@pytest.mark.parametrize("code", ["101", "520", "799", "901", None])
def test_a_card_without_a_chip_is_swiped_as_ever(counter: Counter, code: str | None) -> None:
    assert not has_chip(code)
    assert counter.swipe(read(EntryMode.STRIPE, code)) is EntryMode.STRIPE


@pytest.mark.parametrize("mode", [EntryMode.CONTACT, EntryMode.CONTACTLESS])
def test_a_chip_read_passes_as_it_is(counter: Counter, mode: EntryMode) -> None:
    assert counter.swipe(read(mode)) is mode


def test_one_failed_chip_permits_one_swipe_as_fallback(counter: Counter) -> None:
    silent(counter)
    assert counter.swipe() is EntryMode.FALLBACK
    assert counter.swipe() is None


def test_two_failures_in_a_row_permit_one_swipe_too(counter: Counter) -> None:
    silent(counter)
    silent(counter)
    assert counter.swipe() is EntryMode.FALLBACK
    assert counter.swipe() is None


@pytest.mark.parametrize(("later_s", "mode"), [(FALLBACK_S, EntryMode.FALLBACK), (FALLBACK_S + 0.01, None)])
def test_the_permit_lasts_its_time_and_no_longer(counter: Counter, later_s: float, mode: EntryMode | None) -> None:
    silent(counter)
    counter.now += later_s
    assert counter.swipe() is mode


def test_a_good_chip_read_takes_the_permit_back(counter: Counter) -> None:
    silent(counter)
    counter.rule.card_read(read(EntryMode.CONTACT))
    assert counter.swipe() is None


def test_a_stripe_without_a_chip_does_not_use_up_the_permit_of_the_card_before(counter: Counter) -> None:
    silent(counter)
    assert counter.swipe(read(EntryMode.STRIPE, "520")) is EntryMode.STRIPE
    assert counter.swipe() is EntryMode.FALLBACK


@pytest.mark.parametrize(
    "error",
    [
        MalformedCard("read", "card", reason_zh="不完整", reason_en="cut off"),
        CardSilent("read", "card"),
        CardError("read", "card"),
    ],
    ids=lambda error: error.code,
)
def test_a_chip_that_did_not_work_permits_a_swipe(counter: Counter, error: JingkaError) -> None:
    counter.rule.card_failed(CHIP, error, STEPS)
    assert counter.swipe() is EntryMode.FALLBACK


@pytest.mark.parametrize(
    "error",
    [
        CardRefused("read", "card", status_word="6A81"),
        NotACard("read", "card", reason_zh="6A82", reason_en="6A82"),
        ReaderBusy("read", CHIP),
    ],
    ids=lambda error: error.code,
)
def test_a_clear_answer_permits_none(counter: Counter, error: JingkaError) -> None:
    counter.rule.card_failed(CHIP, error, STEPS)
    assert counter.swipe() is None
    assert counter.heard.failures[0] == (CHIP, error), "the failure itself is told as ever"


def test_haste_permits_none_the_first_time_and_a_swipe_the_second(counter: Counter) -> None:
    counter.rule.card_failed(CHIP, CardRemoved("read", CHIP), STEPS)
    assert counter.swipe() is None
    counter.rule.card_failed(CHIP, CardRemoved("read", CHIP), STEPS)
    assert counter.swipe() is EntryMode.FALLBACK


def test_another_answer_between_begins_the_removals_anew(counter: Counter) -> None:
    removed = CardRemoved("read", CHIP)
    counter.rule.card_failed(CHIP, removed, STEPS)
    counter.rule.card_read(read(EntryMode.CONTACT))
    counter.rule.card_failed(CHIP, removed, STEPS)
    counter.rule.card_failed(CHIP, NotACard("read", "card", reason_zh="6A82", reason_en="6A82"), STEPS)
    counter.rule.card_failed(CHIP, removed, STEPS)
    assert counter.swipe() is None


def test_a_bad_swipe_is_no_failed_chip(counter: Counter) -> None:
    counter.tell(VIRTUAL, ReaderState.READY)
    for reader in (STRIPE, VIRTUAL):
        counter.rule.card_failed(reader, StripeUnread("read stripe", "track 2"))
    assert counter.swipe() is None


def test_the_virtual_readers_failed_chip_tells_by_its_steps(counter: Counter) -> None:
    counter.tell(VIRTUAL, ReaderState.CARD)
    counter.rule.card_failed(VIRTUAL, MalformedCard("read", "card", reason_zh="不完整", reason_en="cut off"), STEPS)
    assert counter.swipe(read(EntryMode.STRIPE, reader=VIRTUAL)) is EntryMode.FALLBACK


@pytest.mark.parametrize("state", sorted(set(ReaderState) - {ReaderState.READY, ReaderState.CARD}))
def test_while_no_chip_reader_works_every_swipe_is_a_fallback(counter: Counter, state: ReaderState) -> None:
    counter.tell(CHIP, state)
    assert [counter.swipe(), counter.swipe()] == [EntryMode.FALLBACK] * 2
    counter.tell(CHIP, ReaderState.READY)
    assert counter.swipe() is None


def test_one_working_chip_reader_of_two_is_enough_to_be_asked_for(counter: Counter) -> None:
    counter.tell(VIRTUAL, ReaderState.READY)
    counter.tell(CHIP, ReaderState.MISSING)
    assert counter.swipe() is None


def test_a_counter_with_only_stripe_readers_takes_stripes_as_stripes() -> None:
    counter = Counter(chip_readers=False)
    counter.tell(STRIPE, ReaderState.READY)
    assert counter.swipe() is EntryMode.STRIPE


def test_removals_states_and_steps_pass_through(counter: Counter) -> None:
    counter.rule.card_removed(CHIP)
    assert counter.heard.removals == [CHIP]
    assert [status.state for status in counter.heard.statuses] == [ReaderState.READY] * 2


class Swipes(RuleBasedStateMachine):
    """Any order of events: a chip card's stripe counts only as the words at the top of the module say."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = Counter()
        self.works = False
        self.failed_at: float | None = None
        self.hasty = False

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.counter.now += seconds

    @rule(state=st.sampled_from(ReaderState))
    def chip_reader_changes(self, state: ReaderState) -> None:
        self.counter.tell(CHIP, state)
        self.works = state in (ReaderState.READY, ReaderState.CARD)

    @rule(make=st.sampled_from([MalformedCard, CardSilent, CardRemoved, CardRefused, NotACard]))
    def chip_fails(self, make: Callable[..., CardError]) -> None:
        self.counter.rule.card_failed(CHIP, make("read", CHIP, reason="x"), STEPS)
        if make in (MalformedCard, CardSilent) or (make is CardRemoved and self.hasty):
            self.failed_at, self.hasty = self.counter.now, False
        else:
            self.hasty = make is CardRemoved

    @rule()
    def chip_is_read(self) -> None:
        assert self.counter.swipe(read(EntryMode.CONTACT)) is EntryMode.CONTACT
        self.failed_at, self.hasty = None, False

    @rule()
    def stripe_only_card(self) -> None:
        assert self.counter.swipe(read(EntryMode.STRIPE, "520")) is EntryMode.STRIPE

    @rule()
    def chip_card_is_swiped(self) -> None:
        mode = self.counter.swipe()
        permitted = self.failed_at is not None and self.counter.now - self.failed_at <= FALLBACK_S
        assert mode is (EntryMode.FALLBACK if permitted or not self.works else None)
        if self.works:
            self.failed_at = None


def test_in_any_order_of_events_a_chip_cards_stripe_counts_only_as_a_permitted_fallback() -> None:
    run_state_machine_as_test(Swipes, settings=settings(max_examples=60, stateful_step_count=30, deadline=None))
