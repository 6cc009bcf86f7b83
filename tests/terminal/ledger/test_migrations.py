"""From an empty file and from every earlier schema to the present one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import terminal.ledger
from terminal.ledger import database
from terminal.ledger.ledger import Ledger
from terminal.ledger.tables import SCHEMA_REVISION, TRIGGERS, metadata
from terminal.ledger.verify import verify
from tests.fakes.clock import SteppedClock
from tests.fakes.sales import sale

PACKAGE = Path(terminal.ledger.__file__).parent


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(PACKAGE / "migrations"))
    return ScriptDirectory.from_config(config)


REVISIONS = [revision.revision for revision in scripts().walk_revisions()][::-1]


def test_the_program_knows_the_last_migration() -> None:
    assert scripts().get_current_head() == SCHEMA_REVISION
    assert sorted(REVISIONS) == REVISIONS


@pytest.mark.parametrize("start", [None, *REVISIONS])
def test_every_earlier_schema_becomes_the_present_one(path: Path, clock: SteppedClock, start: str | None) -> None:
    database.create_private(path)
    if start is not None:
        engine = database.writing_engine(path)
        with engine.connect() as connection, connection.begin():
            database.upgrade(connection, start)
            database.driver(connection)(
                "INSERT INTO ledger (one, terminal, watermark, probes) VALUES (1, 'T1', 0, 0)", ()
            )
        engine.dispose()
    ledger = Ledger.open(path, "T1", clock)
    ledger.authorise(sale())
    ledger.close()
    assert verify(path).ok


def test_the_migrations_make_what_the_tables_declare(ledger: Ledger, path: Path) -> None:
    with database.snapshot(path) as connection:
        known = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(known, metadata) == []
        names = {
            name for (name,) in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        }
        assert names == set(TRIGGERS)
        for table in ("redemption", "usage"):
            (text,) = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).one()
            assert text.strip().endswith("WITHOUT ROWID")


def test_a_migration_that_is_cut_off_leaves_the_file_as_it_was(path: Path) -> None:
    database.create_private(path)
    engine = database.writing_engine(path)
    with engine.connect() as connection:
        begun = connection.begin()
        database.upgrade(connection)
        begun.close()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one() == 0
    engine.dispose()


def test_alembic_is_not_loaded_when_the_schema_is_up_to_date(ledger: Ledger, path: Path) -> None:
    ledger.close()
    script = (
        "import sys; from pathlib import Path; from terminal.ledger.ledger import Ledger;"
        "from terminal.ledger.clock import SystemClock;"
        "Ledger.open(Path(sys.argv[1]), 'T1', SystemClock()).close();"
        "print([name for name in sys.modules if name.split('.')[0] in ('alembic', 'mako')])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
