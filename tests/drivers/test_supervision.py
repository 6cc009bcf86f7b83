"""Readers are started again whatever ends them, their states are told once and rightly, and nothing dies in silence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from config.errors import JingkaError
from drivers.card import (
    CardRemoved,
    MalformedCard,
    ReaderBusy,
    ReaderError,
    ReaderForbidden,
    ReaderMissing,
    ReaderNoise,
    ReaderServiceDown,
)
from drivers.reader import ReaderListener, ReaderState, ReaderStatus
from drivers.supervision import READER_NAMES_MAX, Backoff, ReaderCrashed, Supervisor, state_for
from tests.fakes.listener import RecordingListener

DIGITS = "6212345678900000003"
QUICK = Backoff(first_s=0.01, longest_s=0.02, healthy_s=60.0)

Act = Callable[[ReaderListener, threading.Event], None]


class ScriptedReader:
    """Plays one act per run, the last one for ever."""

    kind = "scripted"

    def __init__(self, *acts: Act, name: str = "till") -> None:
        self.name = name
        self.acts = list(acts)
        self.runs = 0

    def run(self, listener: ReaderListener, stop: threading.Event) -> None:
        act = self.acts[min(self.runs, len(self.acts) - 1)]
        self.runs += 1
        act(listener, stop)


def status(name: str, state: ReaderState = ReaderState.READY) -> ReaderStatus:
    return ReaderStatus(name, "scripted", state, time.monotonic_ns())


def works(listener: ReaderListener, stop: threading.Event) -> None:
    listener.reader_changed(status("till"))
    assert stop.wait(60)


def fails(error: Exception) -> Act:
    def act(listener: ReaderListener, stop: threading.Event) -> None:
        raise error

    return act


def tells(*names: str, then: Act) -> Act:
    def act(listener: ReaderListener, stop: threading.Event) -> None:
        for name in names:
            listener.reader_changed(status(name))
        then(listener, stop)

    return act


def waits(listener: ReaderListener, stop: threading.Event) -> None:
    assert stop.wait(60)


Supervise = Callable[..., tuple[Supervisor, RecordingListener]]


@pytest.fixture
def supervise() -> Iterator[Supervise]:
    supervisors: list[Supervisor] = []

    def start(*readers: ScriptedReader, backoff: Backoff = QUICK) -> tuple[Supervisor, RecordingListener]:
        listener = RecordingListener()
        supervisors.append(Supervisor(readers, listener, backoff=backoff))
        supervisors[-1].start()
        return supervisors[-1], listener

    yield start
    for supervisor in supervisors:
        supervisor.stop()


def states(supervisor: Supervisor) -> dict[str, ReaderState]:
    return {each.name: each.state for each in supervisor.statuses()}


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ReaderMissing("open", "till"), ReaderState.MISSING),
        (ReaderServiceDown("open", "till"), ReaderState.SERVICE_DOWN),
        (ReaderForbidden("open", "till"), ReaderState.FORBIDDEN),
        (ReaderBusy("open", "till"), ReaderState.BUSY),
        (ReaderNoise("read", "till", reason="noise"), ReaderState.FAILED),
        (ReaderError("read", "till", reason="EIO"), ReaderState.FAILED),
    ],
)
def test_a_reader_that_fails_shows_why_and_is_started_again(
    supervise: Supervise, error: ReaderError, state: ReaderState
) -> None:
    assert state_for(error) is state
    supervisor, listener = supervise(ScriptedReader(fails(error), works))
    listener.wait_for_state("till", ReaderState.READY)
    failed, ready = listener.statuses
    assert (failed.name, failed.kind, failed.state, failed.error) == ("till", "scripted", state, error)
    assert ready.error is None
    assert states(supervisor) == {"till": ReaderState.READY}


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (KeyError(DIGITS), "KeyError"),
        (ValueError(f"invalid literal for int(): '{DIGITS}'"), "ValueError"),
        (MalformedCard("read", "card", reason_zh="漏出", reason_en="escaped"), "MalformedCard"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_defect_in_a_reader_is_told_by_type_and_place_without_its_text_and_the_reader_comes_back(
    supervise: Supervise, fault: Exception, name: str
) -> None:
    _, listener = supervise(ScriptedReader(fails(fault), works))
    listener.wait_for_state("till", ReaderState.READY)
    error = listener.statuses[0].error
    assert isinstance(error, ReaderCrashed)
    assert error.details["fault"] == name
    assert str(error.details["place"]).startswith("test_supervision.py:")
    assert DIGITS not in f"{error} {error!r} {error.details} {error.what_text('zh')}"
    assert error.__cause__ is None
    assert error.__context__ is None
    assert error.__traceback__ is None


def test_a_reader_that_returns_without_being_asked_is_a_defect_too(supervise: Supervise) -> None:
    _, listener = supervise(ScriptedReader(lambda listener, stop: None, works))
    listener.wait_for_state("till", ReaderState.READY)
    assert isinstance(listener.statuses[0].error, ReaderCrashed)


def test_the_same_failure_again_and_again_is_told_once_and_keeps_its_beginning(supervise: Supervise) -> None:
    reader = ScriptedReader(*[fails(ReaderMissing("open", "till"))] * 10, works)
    supervisor, listener = supervise(reader)
    listener.wait_for_state("till", ReaderState.READY)
    assert listener.events == ["state:missing", "state:ready"]
    assert reader.runs == 11
    assert supervisor.statuses()[0].error is None


def test_a_failure_of_another_kind_is_told(supervise: Supervise) -> None:
    acts = [fails(ReaderMissing("open", "till"))] * 2 + [fails(ReaderForbidden("open", "till"))] * 2
    _, listener = supervise(ScriptedReader(*acts, works))
    listener.wait_for_state("till", ReaderState.READY)
    assert listener.events == ["state:missing", "state:forbidden", "state:ready"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # that death is the test
def test_a_thread_that_dies_is_told_although_nothing_could_catch_its_end(supervise: Supervise) -> None:
    def leaves(listener: ReaderListener, stop: threading.Event) -> None:
        raise SystemExit

    supervisor, listener = supervise(ScriptedReader(leaves))
    listener.wait_for_state("till", ReaderState.FAILED)
    assert isinstance(supervisor.statuses()[0].error, ReaderCrashed)


def test_a_listener_that_fails_while_a_card_is_told_does_not_end_the_reader() -> None:
    class Refusing(RecordingListener):
        def card_failed(self, reader: str, error: JingkaError) -> None:
            raise RuntimeError("the page is gone")

    def presents(listener: ReaderListener, stop: threading.Event) -> None:
        listener.card_failed("till", CardRemoved("read", "card"))

    listener = Refusing()
    supervisor = Supervisor([ScriptedReader(presents, works)], listener, backoff=QUICK)
    supervisor.start()
    listener.wait_for_state("till", ReaderState.READY)
    assert isinstance(listener.statuses[0].error, ReaderCrashed)
    assert supervisor.stop() == ()


def test_all_that_a_reader_tells_reaches_the_listener_in_order(supervise: Supervise) -> None:
    def presents(listener: ReaderListener, stop: threading.Event) -> None:
        listener.reader_changed(status("till"))
        listener.reader_changed(status("till", ReaderState.CARD))
        listener.card_failed("till", CardRemoved("read", "card"))
        listener.card_removed("till")
        listener.reader_changed(status("till"))
        waits(listener, stop)

    _, listener = supervise(ScriptedReader(presents))
    listener.wait_for(lambda told: len(told.events) == 5)
    assert listener.events == ["state:ready", "state:card", "failed", "removed", "state:ready"]
    assert listener.removals == ["till"]


def test_one_reader_that_fails_leaves_the_others_alone(supervise: Supervise) -> None:
    good, bad = ScriptedReader(works), ScriptedReader(fails(ReaderBusy("open", "other")), name="other")
    supervisor, listener = supervise(good, bad)
    listener.wait_for_state("till", ReaderState.READY)
    listener.wait_for_state("other", ReaderState.BUSY)
    assert [each.name for each in supervisor.statuses()] == ["till", "other"]
    assert states(supervisor) == {"till": ReaderState.READY, "other": ReaderState.BUSY}
    assert good.runs == 1


def test_a_reader_is_starting_until_it_says_otherwise() -> None:
    reader = ScriptedReader(works)
    unstarted = Supervisor([reader], RecordingListener())
    assert states(unstarted) == {"till": ReaderState.STARTING}
    assert unstarted.stop() == ()


def test_a_reader_that_stands_for_several_shows_each_of_them(supervise: Supervise) -> None:
    supervisor, listener = supervise(ScriptedReader(tells("left", "right", then=waits), name="*"))
    listener.wait_for_state("right", ReaderState.READY)
    assert states(supervisor) == {"left": ReaderState.READY, "right": ReaderState.READY}


def test_when_a_reader_of_several_fails_each_is_told_and_then_they_come_back(supervise: Supervise) -> None:
    failing = threading.Event()

    def fails_when_asked(listener: ReaderListener, stop: threading.Event) -> None:
        assert failing.wait(60)
        raise ReaderServiceDown("wait", "*")

    comes_back = threading.Event()

    def stays_down(listener: ReaderListener, stop: threading.Event) -> None:
        assert comes_back.wait(60)
        listener.reader_changed(status("left"))
        waits(listener, stop)

    reader = ScriptedReader(tells("left", "right", then=fails_when_asked), stays_down, name="*")
    supervisor, listener = supervise(reader)
    listener.wait_for_state("right", ReaderState.READY)
    failing.set()
    listener.wait_for_state("*", ReaderState.SERVICE_DOWN)
    assert listener.state_of("left") is ReaderState.SERVICE_DOWN
    assert listener.state_of("right") is ReaderState.SERVICE_DOWN
    assert states(supervisor) == {"*": ReaderState.SERVICE_DOWN}
    comes_back.set()
    listener.wait_for_state("left", ReaderState.READY)
    assert states(supervisor) == {"left": ReaderState.READY}


def test_the_names_that_one_reader_may_tell_are_bounded_and_missing_ones_go_first(supervise: Supervise) -> None:
    def tells_many(listener: ReaderListener, stop: threading.Event) -> None:
        listener.reader_changed(status("kept"))
        listener.reader_changed(status("gone", ReaderState.MISSING))
        for number in range(READER_NAMES_MAX - 1):
            listener.reader_changed(status(f"reader {number}"))
        waits(listener, stop)

    supervisor, listener = supervise(ScriptedReader(tells_many, name="*"))
    listener.wait_for_state(f"reader {READER_NAMES_MAX - 2}", ReaderState.READY)
    told = states(supervisor)
    assert len(told) == READER_NAMES_MAX
    assert "kept" in told
    assert "gone" not in told


def test_the_bound_holds_when_every_name_is_present(supervise: Supervise) -> None:
    names = [f"reader {number}" for number in range(2 * READER_NAMES_MAX)]
    supervisor, listener = supervise(ScriptedReader(tells(*names, then=waits), name="*"))
    listener.wait_for_state(names[-1], ReaderState.READY)
    assert list(states(supervisor)) == names[-READER_NAMES_MAX:]


def test_stopping_ends_every_thread_and_is_told(supervise: Supervise) -> None:
    supervisor, listener = supervise(ScriptedReader(works), ScriptedReader(waits, name="other"))
    listener.wait_for_state("till", ReaderState.READY)
    assert supervisor.stop() == ()
    assert states(supervisor) == {"till": ReaderState.STOPPED, "other": ReaderState.STOPPED}
    assert listener.state_of("other") is ReaderState.STOPPED
    assert not [thread.name for thread in threading.enumerate() if thread.name in {"reader till", "reader other"}]


def test_stopping_does_not_wait_for_the_end_of_a_backoff(supervise: Supervise) -> None:
    backoff = Backoff(first_s=60.0, longest_s=60.0)
    supervisor, listener = supervise(ScriptedReader(fails(ReaderMissing("open", "till"))), backoff=backoff)
    listener.wait_for_state("till", ReaderState.MISSING)
    began = time.monotonic()
    assert supervisor.stop(5.0) == ()
    assert time.monotonic() - began < 1.0


def test_a_reader_that_does_not_end_is_named_and_not_waited_for(supervise: Supervise) -> None:
    release = threading.Event()

    def deaf(listener: ReaderListener, stop: threading.Event) -> None:
        listener.reader_changed(status("till"))
        assert release.wait(60)

    supervisor, listener = supervise(ScriptedReader(deaf), ScriptedReader(waits, name="other"))
    listener.wait_for_state("till", ReaderState.READY)
    began = time.monotonic()
    assert supervisor.stop(0.2) == ("till",)
    assert time.monotonic() - began < 1.0
    release.set()
    assert supervisor.stop() == ()


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(first_s=0.2, longest_s=2.0)
    assert [backoff.delay_s(failures) for failures in (1, 2, 3, 4, 5, 6, 1_000_000)] == [
        0.2,
        0.4,
        0.8,
        1.6,
        2.0,
        2.0,
        2.0,
    ]


def test_the_waits_of_the_product_bring_a_reader_back_within_a_second() -> None:
    assert Backoff().longest_s <= 0.5


def test_a_run_that_was_healthy_begins_the_waits_anew(supervise: Supervise) -> None:
    fail, work = fails(ReaderMissing("open", "till")), tells("till", then=fails(ReaderMissing("read", "till")))
    backoff = Backoff(first_s=0.05, longest_s=60.0, healthy_s=0.0)
    reader = ScriptedReader(fail, fail, work, work, work, work, work, work, works)
    began = time.monotonic()
    _, listener = supervise(reader, backoff=backoff)
    listener.wait_for(lambda told: reader.runs == 9 and told.state_of("till") is ReaderState.READY)
    assert time.monotonic() - began < 5.0, "six failures after the second would have waited 12 s"
