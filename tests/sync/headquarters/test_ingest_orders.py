"""However a ledger is cut into batches, and however often they come, headquarters ends with the same."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from sync.headquarters.ingest import Missing, Taken, ingest
from sync.headquarters.storage import Storage
from sync.headquarters.tables import entries, flags, redemptions, terminals
from sync.wire import EntryBatch
from tests.sync.headquarters.written_ledger import NOON, WrittenLedger, known_ledger

SALES = 4  # few, so that steps meet each other often
STEPS = ("authorise", "complete", "cancel", "void", "void half", "poison")

terminal_numbers = itertools.count(1)
scripts = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, SALES - 1)), min_size=1, max_size=25)
cuts = st.lists(st.tuples(st.integers(1, 25), st.integers(0, 8)), max_size=20)


def written(storage: Storage, script: list[tuple[str, int]]) -> WrittenLedger:
    """A new terminal whose ledger follows the script, with sales of its own."""
    terminal = next(terminal_numbers)
    ledger = known_ledger(storage, f"t-{terminal}")
    for step, sale in script:
        number = 1 + sale + terminal * SALES
        match step:
            case "void half":
                ledger.void(number, units=1)
            case "poison":
                ledger.write_raw('{"broken":')
            case _:
                getattr(ledger, step)(number)
    return ledger


def push(storage: Storage, batch: EntryBatch) -> Taken | Missing:
    with storage.write() as connection:
        outcome = ingest(connection, batch, now=NOON)
    assert isinstance(outcome, Taken | Missing)
    return outcome


def outcome_of(storage: Storage, ledger: WrittenLedger) -> dict[str, list[Any]]:
    """What headquarters has of a terminal, without what names the terminal."""
    column = redemptions.c
    of_sale = (column.state, column.sequence, column.voided_units, column.voided_pay_fen, column.pay_fen)
    with storage.read() as connection:

        def rows(*columns: Any) -> list[Any]:
            table = columns[0].table
            query = select(*columns).where(table.c.terminal == ledger.terminal).order_by(table.c.sequence, *columns)
            return [tuple(row) for row in connection.execute(query)]

        head = select(terminals.c.last_sequence, terminals.c.last_hash).where(terminals.c.id == ledger.terminal)
        assert tuple(connection.execute(head).one()) == (len(ledger.messages), ledger.messages[-1].hash)
        assert rows(entries.c.sequence, entries.c.hash, entries.c.body) == [
            (message.sequence, message.hash, message.body.encode()) for message in ledger.messages
        ]
        return {"sales": rows(*of_sale), "flags": rows(flags.c.sequence, flags.c.code)}


# The database is shared by the examples on purpose: each uses a terminal and sales of its own.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=scripts, cuts=cuts)
def test_batches_in_any_cut_and_number_end_the_same(
    storage: Storage, script: list[tuple[str, int]], cuts: list[tuple[int, int]]
) -> None:
    straight, torn = written(storage, script), written(storage, script)
    push(storage, straight.batch())
    for first, length in cuts:
        push(storage, torn.batch(first, first + length - 1))
    acknowledged = push(storage, torn.batch(last=0))
    assert isinstance(acknowledged, Taken)
    push(storage, torn.batch(first=acknowledged.acknowledged + 1))
    assert outcome_of(storage, torn) == outcome_of(storage, straight)
