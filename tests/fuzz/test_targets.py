"""Hypothesis on every target: octets of any kind, and good ones with some changed, cut out, doubled or joined."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.card import CardError, MalformedCard, Pan
from tests.fuzz.target import Target, assert_traceback_holds_no_card, calls_at_most
from tests.fuzz.targets import FOUND, TARGETS, found, found_octets, kept

EXAMPLES = 50  # of either test, for each target: a few seconds in all; coverage-guided runs take the minutes
ANY_MAX = 300

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)


@functools.cache
def seeds_of(target: Target) -> tuple[bytes, ...]:
    return tuple(target.seeds())


@every_target
def test_the_seeds_of_a_target_get_through_or_are_refused_in_its_own_words(target: Target) -> None:
    assert seeds_of(target)
    for seed in seeds_of(target):
        target(seed)


@pytest.mark.parametrize("name", ["tlv", "dol", "options", "locator", "chip"])
def test_the_seeds_of_the_chip_are_good_ones(name: str) -> None:
    for seed in seeds_of(TARGETS[name]):
        TARGETS[name].read(seed)


@every_target
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.binary(max_size=ANY_MAX))
def test_any_octets_end_in_a_result_or_a_typed_error(target: Target, data: bytes) -> None:
    target(data)


@every_target
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_damaged_good_octets_end_in_a_result_or_a_typed_error(target: Target, data: st.DataObject) -> None:
    octets = bytearray(data.draw(st.sampled_from(seeds_of(target))))
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(octets)))
        end = data.draw(st.integers(begin, min(len(octets), begin + 8)))
        match data.draw(st.sampled_from(("change", "cut", "double", "join"))):
            case "change":
                octets[begin:end] = data.draw(st.binary(min_size=end - begin, max_size=end - begin))
            case "cut":
                del octets[begin:end]
            case "double":
                octets[begin:begin] = octets[begin:end] * data.draw(st.integers(1, 40))
            case _:
                octets[begin:] = data.draw(st.sampled_from(seeds_of(target)))[begin:]
    target(bytes(octets))


@every_target
def test_what_once_broke_a_target_no_longer_does(target: Target) -> None:
    for file in found(target.name):
        target(found_octets(file))


def test_every_kept_finding_belongs_to_a_target() -> None:
    assert {path.parent.name for path in FOUND.rglob("*.hex")} <= set(TARGETS)


def test_a_finding_is_kept_as_hexadecimal_with_words(tmp_path: Path) -> None:
    file = kept(tmp_path / "tlv", b"\x6f\x00" * 40, "nested too deeply")
    assert found_octets(file) == b"\x6f\x00" * 40
    assert file.read_text(encoding="utf-8").startswith("# nested too deeply\n6f006f00")
    assert kept(tmp_path / "tlv", b"\x6f\x00" * 40, "nested too deeply") == file


# --- the judge itself -------------------------------------------------------------------------------------------------


def judged(read: object, *, allowed: type[MalformedCard] | None = None, bare: bool = False) -> Target:
    return Target("judged", read, (allowed,) if allowed else (), list, bare=bare)  # type: ignore[arg-type]


def test_an_untyped_error_is_a_finding() -> None:
    with pytest.raises(IndexError):
        judged(lambda data: data[5])(b"")


def test_a_typed_error_of_another_branch_is_a_finding() -> None:
    def refuse(data: bytes) -> None:
        raise CardError("read card", "judged")

    with pytest.raises(CardError):
        judged(refuse, allowed=MalformedCard)(b"")


def test_an_endless_reading_is_a_finding_and_is_ended() -> None:
    def endless(data: bytes) -> None:
        while True:
            Pan("6210947000000021")

    with pytest.raises(AssertionError, match="calls"):
        judged(endless)(b"")


def test_an_error_that_tells_a_card_number_is_a_finding() -> None:
    def blab(data: bytes) -> None:
        raise MalformedCard("read card", "judged", reason_en="6210947000000021")

    with pytest.raises(AssertionError, match="tells 16 digits"):
        judged(blab, allowed=MalformedCard)(b"")


@pytest.mark.parametrize("kept", ["6210947000000021", b"6210947000000021", bytearray.fromhex("6210947000000021")])
def test_a_traceback_that_holds_a_card_number_is_a_finding(kept: object) -> None:
    names = {"__name__": "drivers.judged", "MalformedCard": MalformedCard, "kept": kept}
    exec("def keep(card):\n    raise MalformedCard('read', 'judged', reason_en='none')", names)
    with pytest.raises(MalformedCard) as error:
        names["keep"](kept)  # type: ignore[operator]
    with pytest.raises(AssertionError, match="keeps a card in card"):
        assert_traceback_holds_no_card(error.value)


def test_counting_calls_leaves_no_trace() -> None:
    import sys

    with calls_at_most(10):
        len("nothing")
    assert sys.getprofile() is None
