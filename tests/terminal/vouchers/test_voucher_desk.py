"""The register may be replaced, damaged and taken away at any time; the desk says what holds now, and why not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from terminal.membership.token import ProgrammeKey
from terminal.offers.voucher import VoucherRecord
from terminal.vouchers import desk as desk_module
from terminal.vouchers.desk import VoucherDesk
from terminal.vouchers.register import Register, VouchersDamaged, VouchersError, VouchersKeyMismatch, VouchersMissing
from tests.fakes.vouchers import KEY, code_of, put_register

CODE, LATER = code_of("MH0001"), code_of("MH0002")
BEARER = VoucherRecord("temple-fair", None, None)
REVOKED = VoucherRecord("temple-fair", None, None, revoked=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "vouchers.bin"
    put_register(path, {CODE: BEARER})
    return path


def test_a_sound_register_is_known_and_answers(path: Path) -> None:
    desk = VoucherDesk(path, KEY)
    assert desk.known
    assert (desk.find(CODE), desk.find(LATER)) == (BEARER, None)
    assert desk.check().count == 1


def test_a_replaced_register_holds_from_the_next_question_on(path: Path) -> None:
    desk = VoucherDesk(path, KEY)
    assert desk.known
    put_register(path, {CODE: REVOKED, LATER: BEARER})
    assert desk.known
    assert (desk.find(CODE), desk.find(LATER)) == (REVOKED, BEARER)


def test_nothing_is_known_without_a_register_until_one_arrives(tmp_path: Path) -> None:
    desk = VoucherDesk(tmp_path / "vouchers.bin", KEY)
    assert not desk.known
    assert desk.find(CODE) is None
    with pytest.raises(VouchersMissing):
        desk.check()
    put_register(tmp_path / "vouchers.bin", {CODE: BEARER})
    assert desk.known
    assert desk.find(CODE) == BEARER


def test_a_register_that_is_taken_away_is_known_no_longer(path: Path) -> None:
    desk = VoucherDesk(path, KEY)
    assert desk.known
    path.unlink()
    assert not desk.known
    with pytest.raises(VouchersMissing):
        desk.check()


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), VouchersDamaged),
        (lambda path: put_register(path, {CODE: BEARER}, ProgrammeKey(2, b"k" * 32)), VouchersKeyMismatch),
        (lambda path: (path.unlink(), path.mkdir()), VouchersError),
    ],
    ids=["damaged", "another key", "unreadable"],
)
def test_a_register_that_cannot_be_used_is_said_and_a_sound_one_heals_it(
    path: Path, spoil: Callable[[Path], object], error: type[VouchersError]
) -> None:
    desk = VoucherDesk(path, KEY)
    assert desk.known
    spoil(path)
    assert not desk.known
    with pytest.raises(error):
        desk.check()
    with pytest.raises(error):
        desk.check()  # the same reason as often as anybody asks
    if path.is_dir():
        path.rmdir()
    put_register(path, {LATER: BEARER})
    assert desk.known
    assert desk.find(LATER) == BEARER


def test_a_damaged_register_is_read_once_and_told_once(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(b"no register")
    opened: list[Path] = []

    class Watched(Register):
        @classmethod
        def open(cls, path: Path, key: ProgrammeKey) -> Register:
            opened.append(path)
            return Register.open(path, key)

    monkeypatch.setattr(desk_module, "Register", Watched)
    desk = VoucherDesk(path, KEY)
    with caplog.at_level(logging.INFO):
        assert [desk.known for _ in range(5)] == [False] * 5
    assert len(opened) == 1
    assert len(caplog.records) == 1


def test_rights_that_are_given_back_heal_it_though_the_file_looks_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbidden = [True]

    class Guarded(Register):
        @classmethod
        def open(cls, path: Path, key: ProgrammeKey) -> Register:
            if forbidden:
                raise VouchersError("open register", str(path), reason="Permission denied")
            return Register.open(path, key)

    monkeypatch.setattr(desk_module, "Register", Guarded)
    desk = VoucherDesk(path, KEY)
    assert not desk.known
    forbidden.clear()
    assert desk.known


def test_a_sale_that_began_is_answered_by_the_register_it_began_with(path: Path) -> None:
    desk = VoucherDesk(path, KEY)
    assert desk.known
    path.write_bytes(b"damaged in this very moment")
    assert desk.find(CODE) == BEARER
    with pytest.raises(VouchersDamaged):
        desk.check()  # the status page looks from its own thread
    assert desk.find(CODE) == BEARER
    assert not desk.known


def test_questions_from_many_threads_while_the_register_is_replaced_never_see_half_of_one(path: Path) -> None:
    desk = VoucherDesk(path, KEY)
    assert desk.known
    answers: set[VoucherRecord | None] = set()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answers.add(desk.find(CODE) if desk.known else None)

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for _ in range(30):
        put_register(path, {CODE: REVOKED})
        put_register(path, {CODE: BEARER})
    stop.set()
    for asker in askers:
        asker.join()
    assert answers <= {BEARER, REVOKED}
    assert desk.known
    assert desk.find(CODE) == BEARER
