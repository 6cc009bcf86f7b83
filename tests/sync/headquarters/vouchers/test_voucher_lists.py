"""A list of vouchers on its way into the register: what it would change, and that nothing counts before its time."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from config.errors import JingkaError
from drivers.card import Pan
from sync.headquarters.people.audit import page_of_audit
from sync.headquarters.storage import Storage
from sync.headquarters.vouchers import lists, register
from sync.headquarters.vouchers.difference import compare
from sync.headquarters.vouchers.errors import (
    VoucherListMissing,
    VoucherListOutdated,
    VoucherListSettled,
    VoucherOfferMissing,
    VoucherUnregistered,
)
from sync.headquarters.vouchers.lists import ListState
from sync.headquarters.vouchers.tables import voucher_lists
from terminal.membership.token import ProgrammeKey, card_token, person_token
from terminal.offers.voucher import VoucherRecord
from terminal.vouchers import build
from terminal.vouchers.build import VouchersTooMany
from terminal.vouchers.register import VouchersKeyMismatch, code_hash
from terminal.vouchers.voucher_list import VoucherListInvalid, read_voucher_upload
from tests.fakes.vouchers import KEY
from tests.sync.headquarters.books.campaign import EDITOR, OPERATOR
from tests.sync.headquarters.vouchers.rows import FAIR, code, imported, listed, previewed, row
from tests.sync.headquarters.written_ledger import NOON

CARD = "6210947000000021"
RECORDS = st.builds(
    VoucherRecord,
    offer=st.sampled_from([FAIR, "winter-haircut"]),
    holder=st.sampled_from([None, person_token("P-1", KEY)]),
    last_day=st.sampled_from([None, date(2026, 2, 15)]),
    merchants=st.frozensets(st.sampled_from(["ditan", "longtan"])),
    revoked=st.booleans(),
)
REGISTERS = st.dictionaries(st.sampled_from([bytes([number]) * 16 for number in range(6)]), RECORDS)


def held(storage: Storage) -> dict[bytes, VoucherRecord]:
    with storage.read() as connection:
        return dict(register.records(connection))


def hashed(number: int) -> bytes:
    return code_hash(code(number), KEY)


@given(before=REGISTERS, listed=REGISTERS)
def test_a_difference_laid_over_the_register_is_the_list_and_all_that_it_does_not_name(
    before: dict[bytes, VoucherRecord], listed: dict[bytes, VoucherRecord]
) -> None:
    found = compare(before, listed)
    assert before | found.records == before | listed
    assert all(before.get(hashed) != record for hashed, record in found.records.items())
    counted = found.new + found.changed + found.withdrawn + found.restored
    assert (counted, counted + found.unchanged) == (len(found.records), len(listed))
    assert found.new == len(listed.keys() - before.keys())
    known = [(before[hashed], record) for hashed, record in listed.items() if hashed in before]
    assert found.withdrawn == sum(now.revoked and not was.revoked for was, now in known)
    assert found.restored == sum(was.revoked and not now.revoked for was, now in known)
    touched = [found.records, {hashed: before[hashed] for hashed in found.records if hashed in before}]
    assert found.offers == {record.offer for records in touched for record in records.values()}
    assert compare(before | listed, listed).records == {}


def test_nothing_counts_before_it_is_confirmed_and_then_all_at_once(storage: Storage) -> None:
    rows = [
        f"{code(1)},{FAIR},{CARD},,2026-02-15,,",
        row(2, person="P-0001", merchants="longtan;ditan"),
        row(3, "winter-haircut", out=True),
        row(3, "winter-haircut"),
        "no code,temple-fair,,,,,",
        row(4)[1:],
    ]
    view = previewed(storage, rows)
    told = view.preview
    assert (told.taken, told.repeated, told.rejected, told.new, told.changes) == (4, 1, 2, 3, 3)
    assert told.offers == [FAIR, "winter-haircut"]
    assert (view.state, held(storage)) == (ListState.WAITING, {})
    with storage.read() as connection:
        assert [(each.line, each.reason) for each in lists.rejected(connection, view.id)] == [(6, "code"), (7, "code")]
        assert register.state_of(connection).version == 0
        assert register.marks_of(connection) == []
    done = lists.confirm(storage, view.id, KEY, by=EDITOR, now=NOON)
    assert (done.state, done.settled_by, done.preview) == (ListState.DONE, EDITOR.id, told)
    assert held(storage) == {
        hashed(1): VoucherRecord(FAIR, card_token(Pan(CARD), KEY), date(2026, 2, 15)),
        hashed(2): VoucherRecord(FAIR, person_token("P-0001", KEY), None, frozenset({"ditan", "longtan"})),
        hashed(3): VoucherRecord("winter-haircut", None, None),
    }
    with storage.read() as connection:
        assert register.state_of(connection).version == 1
        assert [(each.offer, each.count, each.revoked) for each in register.summary(connection)] == [
            (FAIR, 2, 0),
            ("winter-haircut", 1, 0),
        ]
        noted = [(each.action, each.subject) for each in page_of_audit(connection)]
        assert noted == [("voucher-confirm", str(view.id)), ("voucher-import", str(view.id))]
        everything = repr([list(connection.execute(select(table))) for table in voucher_lists.metadata.tables.values()])
    assert CARD not in everything
    assert code(1) not in everything


def test_a_later_list_changes_withdraws_restores_and_leaves_alone_what_it_does_not_name(storage: Storage) -> None:
    imported(storage, [row(number) for number in range(1, 6)])
    told = previewed(storage, [row(1, out=True), row(2, last_day="2026-02-15"), row(3), row(9)]).preview
    assert (told.new, told.changed, told.withdrawn, told.restored, told.unchanged) == (1, 1, 1, 0, 1)
    imported(storage, [row(1, out=True), row(2, last_day="2026-02-15"), row(3), row(9)])
    now = held(storage)
    assert (len(now), now[hashed(1)].revoked, now[hashed(2)].last_day) == (6, True, date(2026, 2, 15))
    old_list = previewed(storage, [row(number) for number in range(1, 6)]).preview
    assert (old_list.restored, old_list.changed, old_list.unchanged) == (1, 1, 3)


def test_a_list_counts_only_against_the_register_it_was_compared_with(storage: Storage) -> None:
    imported(storage, [row(1), row(2)])
    view = previewed(storage, [row(1), row(2), row(3)])
    with storage.write() as connection:
        register.withdraw(connection, hashed(1), KEY, revoked=True, by=OPERATOR, now=NOON)
    with pytest.raises(VoucherListOutdated):
        lists.confirm(storage, view.id, KEY, by=EDITOR, now=NOON)
    assert held(storage)[hashed(1)].revoked
    assert hashed(3) not in held(storage)


def test_a_newer_list_takes_the_place_of_the_one_that_waits(storage: Storage) -> None:
    first, second = previewed(storage, [row(1)]), previewed(storage, [row(2)])
    for settle in (lists.confirm, _discard):
        with pytest.raises(VoucherListSettled):
            settle(storage, first.id, KEY, by=EDITOR, now=NOON)
    assert lists.discard(storage, second.id, by=EDITOR, now=NOON).state is ListState.DISCARDED
    with pytest.raises(VoucherListMissing):
        lists.confirm(storage, 99, KEY, by=EDITOR, now=NOON)
    assert held(storage) == {}
    with storage.read() as connection:
        assert [each.state for each in lists.latest(connection)] == [ListState.DISCARDED] * 2
        assert set(connection.scalars(select(voucher_lists.c.content))) == {None}  # nothing of a settled list is kept


def _discard(storage: Storage, number: int, _: ProgrammeKey, **said: Any) -> object:
    return lists.discard(storage, number, **said)


def test_one_voucher_is_withdrawn_and_restored_and_a_repeat_changes_nothing(storage: Storage) -> None:
    imported(storage, [row(1), row(2)])
    before = held(storage)[hashed(1)]
    for revoked, versions in ((True, 2), (True, 2), (False, 3)):
        with storage.write() as connection:
            after = register.withdraw(connection, hashed(1), KEY, revoked=revoked, by=OPERATOR, now=NOON)
            assert after == replace(before, revoked=revoked)
            assert register.state_of(connection).version == versions
    assert held(storage)[hashed(2)] == before
    with storage.write() as connection, pytest.raises(VoucherUnregistered):
        register.withdraw(connection, hashed(7), KEY, revoked=True, by=OPERATOR, now=NOON)
    with storage.read() as connection:
        noted = [(each.action, each.subject, each.detail) for each in page_of_audit(connection, limit=2)]
        subject = hashed(1).hex()[: register.SUBJECT_HEX]
        assert noted == [("voucher-restore", subject, FAIR), ("voucher-withdraw", subject, FAIR)]


def test_an_offer_that_is_over_is_forgotten(storage: Storage) -> None:
    imported(storage, [row(1), row(2), row(3, "winter-haircut")])
    later = NOON + timedelta(days=1)
    with storage.write() as connection:
        assert register.forget(connection, FAIR, by=EDITOR, now=later) == 2
    assert list(held(storage)) == [hashed(3)]
    with storage.read() as connection:
        assert [(each.offer, each.version) for each in register.marks_of(connection)] == [
            (FAIR, 2),
            ("winter-haircut", 1),
        ]
        assert [each.offer for each in register.summary(connection)] == ["winter-haircut"]
    with storage.write() as connection, pytest.raises(VoucherOfferMissing):
        register.forget(connection, FAIR, by=EDITOR, now=later)


@pytest.mark.parametrize(
    ("work", "error"),
    [
        (lambda storage: previewed(storage, [row(number) for number in range(4)]), VouchersTooMany),
        (lambda storage: imported(storage, [row(8), row(9)]), VouchersTooMany),  # with the two that are there
        (
            lambda storage: lists.preview(storage, iter(()), ProgrammeKey(2, bytes(32)), by=EDITOR, now=NOON),
            VouchersKeyMismatch,
        ),
    ],
)
def test_what_is_too_much_or_of_another_key_changes_nothing(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, work: Callable[[Storage], object], error: type[JingkaError]
) -> None:
    for module in (build, lists):
        monkeypatch.setattr(module, "VOUCHERS_MAX", 3)
    imported(storage, [row(1), row(2)])
    with pytest.raises(error):
        work(storage)
    assert held(storage).keys() == {hashed(1), hashed(2)}


def test_another_file_is_no_list(storage: Storage) -> None:
    for content in (b"", b"pan,standing\n", row(1).encode()):
        lines = read_voucher_upload(io.BytesIO(content), KEY)
        with pytest.raises(VoucherListInvalid):
            lists.preview(storage, lines, KEY, by=EDITOR, now=NOON)


def test_a_list_longer_than_one_statement_takes(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register, "ROWS_AT_ONCE", 7)
    imported(storage, [row(number) for number in range(20)])
    assert len(held(storage)) == 20


def test_a_register_that_was_emptied_takes_the_programme_s_new_key(storage: Storage) -> None:
    imported(storage, [row(1), row(2, "winter-haircut")])
    new_key = ProgrammeKey(2, bytes(reversed(range(32))))
    for offer in (FAIR, "winter-haircut"):
        with pytest.raises(VouchersKeyMismatch):
            lists.preview(storage, iter(()), new_key, by=EDITOR, now=NOON)
        with storage.write() as connection:
            register.forget(connection, offer, by=EDITOR, now=NOON)
    view = lists.preview(
        storage, read_voucher_upload(io.BytesIO(listed([row(1)])), new_key), new_key, by=EDITOR, now=NOON
    )
    lists.confirm(storage, view.id, new_key, by=EDITOR, now=NOON)
    assert held(storage).keys() == {code_hash(code(1), new_key)}
    with pytest.raises(VouchersKeyMismatch):
        previewed(storage, [row(3)])
