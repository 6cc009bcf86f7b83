"""A database of before there were settlements: its redemptions count in their months once it is brought up to date."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import MetaData, Table, delete, insert, select, text

from sync.headquarters.ingest import ingest
from sync.headquarters.storage import MIGRATIONS, Storage, open_storage
from sync.headquarters.tables import redemptions
from tests.sync.headquarters.money.scenes import arrive, assert_money_adds_up, lines_of, moment
from tests.sync.headquarters.written_ledger import MERCHANT, SITE, known_ledger

BEFORE = "0006"


LATER = (  # what this migration and those after it made
    *(f"DROP TABLE {name}" for name in ("complaints", "charges", "decisions", "settlements", "settled_merchants")),
    *(f"DROP TABLE {name}" for name in ("subsidy_terms", "day_statements", "settlement_lines", "settlement_steps")),
    *(f"DROP INDEX {name}" for name in ("ix_redemptions_open", "ix_redemptions_voided")),
    *(f"DROP TABLE {name}" for name in ("voucher_rejects", "voucher_lists", "voucher_offers", "voucher_state")),
    "DROP TABLE usage_collisions",
    "DROP TABLE recounts",
    "DROP TABLE vouchers",
    "ALTER TABLE terminals DROP COLUMN vouchers",
)


def take_back(storage: Storage) -> None:
    """Make the database what it was before this room."""
    with storage.write() as connection:
        for statement in LATER:
            connection.execute(text(statement))
        versions = Table("alembic_version", MetaData(), autoload_with=connection)
        connection.execute(delete(versions))
        connection.execute(insert(versions).values(version_num=BEFORE))


def upgrade(storage: Storage) -> None:
    with storage.write() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def test_what_was_sold_before_counts_too(storage: Storage, database_url: str, tmp_path: Path) -> None:
    ledger = known_ledger(storage, "bj-0001")
    fee = {"fees": [{"kind": "card", "amount_fen": 300}], "pay_fen": 2300}
    ledger.authorise(1)
    ledger.complete(1)
    ledger.authorise(2, **fee)
    ledger.complete(2)
    ledger.void(2, 1)
    ledger.authorise(3, business_day="2026-13-77")
    ledger.complete(3)
    ledger.void(3)
    ledger.authorise(4)
    ledger.cancel(4)
    ledger.authorise(5, fees=[{"amount_fen": "a lot"}])
    ledger.complete(5)
    with storage.write() as connection:
        ingest(connection, ledger.batch(), now=moment("2026-01-06"))
        assert connection.scalar(select(redemptions.c.site).limit(1)) == SITE
    take_back(storage)
    upgrade(storage)
    assert [(line.day, line.kind, line.steps) for line in lines_of(storage, "2026-01")] == [
        ("2026-01-05", "completed", 3),
        ("2026-01-05", "voided", 1),
        ("2026-01-06", "completed", 1),
        ("2026-01-06", "voided", 1),
    ]
    assert_money_adds_up(storage, [MERCHANT])
    more = ledger.next_sequence
    ledger.void(2, 1)
    arrive(storage, ledger, moment("2026-01-07"), more)
    assert_money_adds_up(storage, [MERCHANT])
    open_storage(database_url, tmp_path).close()
