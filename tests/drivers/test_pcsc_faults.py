"""What the PC/SC reader makes of every code it may get; pcscd's answers are made to order here."""

from __future__ import annotations

import threading
import traceback

import pytest

from drivers.card import (
    CardError,
    CardRefused,
    CardRemoved,
    MalformedCard,
    NotACard,
    ReaderBusy,
    ReaderError,
    ReaderForbidden,
    ReaderServiceDown,
)
from drivers.pcsc import BUSY_WAIT_S
from drivers.pcsc_service import CardSilent, Code, State
from drivers.pcsc_visit import ATTEMPTS_MAX, BUSY_RETRY_S, PRESENCE_WAIT_S, RESETS_MAX
from drivers.reader import ReaderState
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.chip import VirtualChip
from tests.fakes.pcsc_run import MEMBER, NAME, UNEXPECTED, Run, chip, failure_of, running
from tests.fakes.scard import FakeScard

HELD_TRIES = 2 * int(BUSY_WAIT_S / BUSY_RETRY_S)  # held for longer than is waited for in silence


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (Code.NO_SERVICE, ReaderServiceDown),
        (Code.SERVICE_STOPPED, ReaderServiceDown),
        (Code.COMM_ERROR, ReaderForbidden),  # pcscd hung up on us
        (Code.SECURITY_VIOLATION, ReaderForbidden),
        (Code.NO_ACCESS, ReaderForbidden),
        (UNEXPECTED, ReaderError),
    ],
)
def test_no_context_ends_the_run_with_the_reason(code: int, error: type[ReaderError]) -> None:
    scard = FakeScard(NAME)
    scard.fail("establish", code, code)  # one that hangs up on us is asked twice
    assert type(Run(scard, "*").ended()) is error


@pytest.mark.parametrize("call", ["list", "look"])
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (Code.NO_SERVICE, ReaderServiceDown),
        (Code.SERVICE_STOPPED, ReaderServiceDown),
        (Code.INVALID_HANDLE, ReaderServiceDown),
        (Code.COMM_ERROR, ReaderServiceDown),
        (Code.SECURITY_VIOLATION, ReaderServiceDown),  # it let us in before
        (UNEXPECTED, ReaderError),
        (UNEXPECTED - 2**32, ReaderError),  # some platforms give codes signed
    ],
)
def test_a_service_lost_while_watching_ends_the_run_and_releases_the_context(
    call: str, code: int, error: type[ReaderError]
) -> None:
    scard = FakeScard(NAME)
    scard.fail(call, 0, code)
    assert type(Run(scard, "*").ended()) is error
    assert scard.calls[-1] == "release"


def test_a_pcscd_that_hangs_up_once_is_about_to_end_and_not_refusing() -> None:
    scard = FakeScard(NAME)
    scard.fail("establish", Code.COMM_ERROR, Code.NO_SERVICE)
    assert type(Run(scard, "*").ended()) is ReaderServiceDown


def test_a_card_refused_by_a_pcscd_that_is_gone_is_the_services_fault() -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, chip())
    scard.fail("connect", Code.SECURITY_VIOLATION)
    scard.free.clear()
    run = Run(scard, "*")
    scard.wait_for_call("connect")
    scard.fail("list", *[Code.NO_SERVICE] * 2)  # for the visit and the watch, whichever asks first
    scard.free.set()
    assert type(run.ended()) is ReaderServiceDown
    assert [type(error) for _, error in run.listener.failures] == [ReaderServiceDown]


def test_an_unexpected_code_is_told_by_number() -> None:
    scard = FakeScard(NAME)
    scard.fail("look", UNEXPECTED)
    error = Run(scard, "*").ended()
    assert error is not None
    assert error.details["reason"] == "0x80100004"


def test_a_service_lost_in_the_middle_of_a_read_takes_the_card_off_and_ends_the_run() -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, chip())
    scard.fail("transmit", 0, Code.NO_SERVICE)
    run = Run(scard, "*")
    assert isinstance(run.ended(), ReaderServiceDown)
    assert run.listener.events == ["state:card", "failed", "removed"]
    assert [call for call in scard.calls if call not in {"list", "look"}][-4:] == [
        *("end", "disconnect", "release"),  # the visit's
        "release",  # the watch's own
    ]


def test_looking_goes_on_after_a_cancelled_look() -> None:
    scard = FakeScard(NAME)
    scard.fail("look", Code.CANCELLED, Code.TIMEOUT)
    with running(scard) as listener:
        listener.wait_for_state(NAME, ReaderState.READY)


@pytest.mark.parametrize(
    "fault", [Code.NO_SMARTCARD, Code.REMOVED_CARD, 0x80100016, 0x8010002F, UNEXPECTED, Code.COMM_ERROR - 2]
)
def test_one_bad_transmission_with_the_card_still_there_is_tried_again(fault: int) -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, chip())
    scard.fail("transmit", 0, 0, fault)
    with running(scard) as listener:
        (read,) = listener.wait_for_reads(1)
    assert read.pan == MEMBER.pan
    assert not listener.failures
    assert scard.count("connect") == scard.count("end") == scard.count("disconnect") == 2


def test_a_second_bad_transmission_is_a_card_error_and_the_reader_goes_on() -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, chip())
    scard.fail("transmit", *[UNEXPECTED] * ATTEMPTS_MAX)
    with running(scard) as listener:
        error = failure_of(listener)
        assert type(error) is CardError
        assert error.details["reason"] == "0x80100004"
        scard.pull(NAME)
        listener.wait_for_state(NAME, ReaderState.READY)
        scard.insert(NAME, chip())
        listener.wait_for_reads(1)
    assert listener.events == [
        *("state:card", "failed", "removed", "state:ready"),
        *("state:card", "read", "removed"),
    ]


def test_a_card_that_left_during_the_read_is_told_as_removed() -> None:
    scard = FakeScard(NAME)

    class Pulled(VirtualChip):
        def transmit(self, command: bytes) -> bytes:
            scard.pull(NAME)
            return b""

    scard.insert(NAME, Pulled(MEMBER))
    with running(scard) as listener:
        assert isinstance(failure_of(listener), CardRemoved)
        listener.wait_for_state(NAME, ReaderState.READY)
    assert listener.events == ["state:card", "failed", "removed", "state:ready"]


def test_a_pulled_card_that_pcscd_still_shows_is_waited_for_and_told_with_how_far_it_came() -> None:
    scard = FakeScard(NAME)

    class PulledAtThird(VirtualChip):
        def __init__(self) -> None:
            super().__init__(MEMBER)
            self.left = 3

        def transmit(self, command: bytes) -> bytes:
            self.left -= 1
            if self.left:
                return super().transmit(command)
            threading.Timer(PRESENCE_WAIT_S / 10, scard.pull, [NAME]).start()  # pcscd looks now and then
            return b""

    scard.insert(NAME, PulledAtThird())
    with running(scard) as listener:
        assert isinstance(failure_of(listener), CardRemoved)
    assert scard.count("connect") == 1
    assert [[step.status for step in steps] for steps in listener.failed_steps] == [[0x9000, 0x9000, None]]


def test_a_card_swapped_during_the_read_is_told_as_removed_and_the_new_one_read() -> None:
    scard = FakeScard(NAME)

    class Swapped(VirtualChip):
        def transmit(self, command: bytes) -> bytes:
            scard.pull(NAME)
            scard.insert(NAME, VirtualChip(DEMO_CARDS["stranger"]))
            return b""

    scard.insert(NAME, Swapped(MEMBER))
    with running(scard) as listener:
        (read,) = listener.wait_for_reads(1)
        assert isinstance(failure_of(listener), CardRemoved)
    assert read.pan == DEMO_CARDS["stranger"].pan
    assert listener.events == ["state:card", "failed", "removed", "read", "removed"]


def test_a_reader_unplugged_during_the_read_is_told_as_card_removed_and_missing() -> None:
    scard = FakeScard(NAME)

    class Unplugged(VirtualChip):
        def transmit(self, command: bytes) -> bytes:
            scard.unplug(NAME)
            return b""

    scard.insert(NAME, Unplugged(MEMBER))
    with running(scard) as listener:
        assert isinstance(failure_of(listener), CardRemoved)
        listener.wait_for_state(NAME, ReaderState.MISSING)
        scard.plug(NAME)
        listener.wait_for_state(NAME, ReaderState.READY)


def test_another_programs_reset_restarts_the_read_from_the_first_command() -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, chip())
    scard.fail("transmit", 0, 0, 0, *[Code.RESET_CARD] * RESETS_MAX)
    with running(scard) as listener:
        listener.wait_for_reads(1)
    assert not listener.failures
    assert scard.count("connect") == 1 + RESETS_MAX


def test_endless_resets_end_as_a_card_error() -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, chip())
    scard.fail("transmit", *[Code.RESET_CARD] * (RESETS_MAX + 1))
    with running(scard) as listener:
        assert type(failure_of(listener)) is CardError
    assert scard.count("connect") == 1 + RESETS_MAX


@pytest.mark.parametrize("call", ["connect", "begin"])
def test_a_card_held_by_another_program_is_told_once_and_read_when_it_is_free(call: str) -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, chip())
    scard.fail(call, *[Code.SHARING_VIOLATION] * HELD_TRIES)
    with running(scard) as listener:
        assert isinstance(failure_of(listener), ReaderBusy)
        listener.wait_for_reads(1)
    assert listener.events == ["state:card", "failed", "state:busy", "state:card", "read", "removed"]


def test_a_card_that_another_program_has_for_itself_a_moment_only_is_read_in_silence() -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, chip())
    scard.fail("connect", *[Code.SHARING_VIOLATION] * 2)
    with running(scard) as listener:
        listener.wait_for_reads(1)
    assert not listener.failures


def test_a_card_taken_off_while_another_program_held_it_is_told_as_removed() -> None:
    scard = FakeScard(NAME)
    scard.free.clear()
    scard.insert(NAME, chip())
    with running(scard) as listener:
        scard.wait_for_call("connect")
        scard.pull(NAME)
        assert isinstance(failure_of(listener), CardRemoved)
        listener.wait_for_state(NAME, ReaderState.READY)
        scard.insert(NAME, VirtualChip(DEMO_CARDS["stranger"]))
        scard.free.set()
        (read,) = listener.wait_for_reads(1)
    assert read.pan == DEMO_CARDS["stranger"].pan
    assert listener.events == ["state:card", "failed", "removed", "state:ready", "state:card", "read", "removed"]


def test_a_short_transaction_of_another_program_is_waited_for_in_silence() -> None:
    scard = FakeScard(NAME)
    scard.free.clear()
    scard.insert(NAME, chip())
    with running(scard) as listener:
        listener.wait_for_state(NAME, ReaderState.CARD)
        scard.free.set()
        listener.wait_for_reads(1)
    assert not listener.failures


def test_a_long_transaction_of_another_program_is_told_and_waited_for_by_one_thread_only() -> None:
    scard = FakeScard(NAME)
    scard.free.clear()
    scard.insert(NAME, chip())
    with running(scard) as listener:
        listener.wait_for_state(NAME, ReaderState.BUSY)
        scard.wait_for_looks(3)  # each followed by another try
        assert scard.count("connect") == 1
        scard.free.set()
        listener.wait_for_reads(1)
    assert listener.events == ["state:card", "failed", "state:busy", "state:card", "read", "removed"]


def test_a_connection_that_comes_after_the_stop_lets_go_of_the_card() -> None:
    scard = FakeScard(NAME)
    scard.free.clear()
    scard.insert(NAME, chip())
    with running(scard) as listener:
        listener.wait_for_state(NAME, ReaderState.CARD)
    assert not listener.failures
    scard.free.set()
    scard.wait_for_call("disconnect")
    assert scard.count("end") == 1


def test_a_held_card_that_leaves_is_forgotten() -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, chip())
    scard.fail("connect", *[Code.SHARING_VIOLATION] * 10_000)
    with running(scard) as listener:
        listener.wait_for_state(NAME, ReaderState.BUSY)
        scard.pull(NAME)
        listener.wait_for_state(NAME, ReaderState.READY)
    assert len(listener.failures) == len(listener.removals) == 1


@pytest.mark.parametrize("code", [Code.SECURITY_VIOLATION, Code.NO_ACCESS])
def test_a_card_that_polkit_refuses_is_told_as_forbidden(code: int) -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, chip())
    scard.fail("connect", code)
    with running(scard) as listener:
        assert isinstance(failure_of(listener), ReaderForbidden)
        listener.wait_for_state(NAME, ReaderState.FORBIDDEN)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (Code.UNRESPONSIVE_CARD, CardSilent),
        (Code.PROTO_MISMATCH, NotACard),
        (Code.UNSUPPORTED_CARD, NotACard),
    ],
)
def test_a_card_that_cannot_talk_is_told_without_a_retry(code: int, error: type[CardError]) -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, chip())
    scard.fail("connect", code)
    with running(scard) as listener:
        assert type(failure_of(listener)) is error
    assert scard.count("connect") == 1


def test_a_mute_card_is_told_without_touching_it() -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, chip(), State.MUTE)
    with running(scard) as listener:
        assert isinstance(failure_of(listener), CardSilent)
    assert scard.count("connect") == 0


class Answering(VirtualChip):
    """Answers every command alike."""

    def __init__(self, answer: str) -> None:
        super().__init__(MEMBER)
        self._alike = bytes.fromhex(answer)

    def transmit(self, command: bytes) -> bytes:
        return self._alike


@pytest.mark.parametrize(
    ("answer", "error", "attempts"),
    [
        ("6A82", NotACard, 1),
        ("6283", CardRefused, 1),
        ("6F05", MalformedCard, ATTEMPTS_MAX),
        ("", CardError, ATTEMPTS_MAX),
    ],
)
def test_the_cards_own_answer_becomes_its_typed_error(answer: str, error: type[CardError], attempts: int) -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, Answering(answer if answer != "6F05" else "6F059000"))
    with running(scard) as listener:
        assert type(failure_of(listener)) is error
    assert scard.count("connect") == scard.count("disconnect") == attempts


def test_an_error_told_carries_no_frames_and_no_cause() -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, Answering("6F059000"))
    with running(scard) as listener:
        error = failure_of(listener)
    assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)
    assert "transmit" not in "".join(traceback.format_exception(error))
