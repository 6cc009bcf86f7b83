"""`jingka doctor` and `jingka support` tell what headquarters lets this till spend, beside a running daemon."""

from __future__ import annotations

import json
from pathlib import Path

from config.places import LEDGER_FILE
from config.settings import load_terminal
from sync.elsewhere import CHANGES_FILE, UsageElsewhere, UsageSet
from terminal.commands.inspect import Check, examine
from terminal.commands.support import write_support
from terminal.demo import prepare
from terminal.ledger.clock import SystemClock
from terminal.ledger.grants import Grant, LeaseWord
from terminal.ledger.ledger import Ledger


def grants(settings_file: Path) -> Check:
    (check,) = (check for check in examine(settings_file) if check.name == "grants")
    return check


def test_slices_and_use_elsewhere_are_told_as_they_are(tmp_path: Path) -> None:
    config, _ = prepare(tmp_path / "till", "virtual")
    settings = load_terminal(config)
    assert "no slices" in grants(config).found

    clock = SystemClock()
    ledger = Ledger.open(settings.data_dir / LEDGER_FILE, settings.terminal.name, clock)
    grant = Grant("film|pool|campaign=c|campaign=c", "film", "pool", 12, returned=2)
    ledger.allowances.take(LeaseWord(1, "v1", 600_000, clock.monotonic_ms(), clock.boot(), (grant,)))
    UsageElsewhere(settings.data_dir).replace(UsageSet.of([(1, 1)], "1", "2012-12-25T02:30:00.000Z"))
    told = grants(config).found
    assert told.startswith("lease 1, ")
    assert "unspent: film/pool 10; 1 counters of other shops as of 2012-12-25T02:30:00.000Z" in told

    ledger.allowances.end("lease-frozen")
    out = tmp_path / "support.json"
    write_support(config, out)
    dump = json.loads(out.read_text("utf-8"))
    assert "ended (lease-frozen)" in next(each["found"] for each in dump["checks"] if each["name"] == "grants")
    ledger.close()

    (settings.data_dir / CHANGES_FILE).write_bytes(b"torn")
    damaged = grants(config)
    assert not damaged.ok
    assert "fetched anew" in damaged.hint_en
