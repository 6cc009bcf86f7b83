"""A card reported lost at headquarters is refused at the till within ten seconds: real processes, real heartbeats."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import load_terminal
from drivers.virtual.card import DEMO_CARDS
from sync.roll_feed import STATE_FILE
from tests.fakes.installation import Installation, eventually

REACH_S_MAX = 10.0
LIST = ("member", "member-2", "hardship")


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Installation]:
    """Headquarters on PostgreSQL with the programme's key, and a till that speaks every three seconds."""
    environment = {
        "JINGKA_HQ__PROGRAMME_KEY": str(tmp_path / "site" / "programme-key.toml"),
        "JINGKA_HEADQUARTERS__HEARTBEAT_S": "3.0",
    }
    with Installation(tmp_path / "site", database_url=database_url, environment=environment) as installation:
        yield installation.start()


def standing_at_the_till(site: Installation, card: str) -> str:
    """Lay the card on the reader, whatever lay there."""
    site.cashier.post("/demo/cards/remove").raise_for_status()
    eventually(lambda: site.presented() is None, "the reader is empty")
    return str(site.present(card)["standing"])


def reaches(site: Installation, card: str, standing: str) -> float:
    """Seconds until the till says so of the card."""
    began = time.monotonic()
    eventually(lambda: standing_at_the_till(site, card) == standing, f"{card} is {standing} at the till")
    return time.monotonic() - began


def test_a_suspension_reaches_the_till_in_under_ten_seconds(site: Installation) -> None:
    lines = [f"{DEMO_CARDS[name].digits},active,ordinary,2020-05-04,P-{name}" for name in LIST]
    content = "\n".join(["pan,standing,class,issued,person", *lines])
    brought = site.operator.post("/api/v1/roll/lists?kind=combined", content=content)
    assert brought.status_code == 201, brought.text
    assert standing_at_the_till(site, "model-worker") == "active"  # the roll that the till was installed with
    number = brought.json()["summary"]["id"]
    # Most cards of the demonstration would be withdrawn by this short list: that takes two persons.
    assert site.operator.post(f"/api/v1/roll/lists/{number}/confirm").json()["state"] == "second"
    assert site.approver.post(f"/api/v1/roll/lists/{number}/confirm").json()["state"] == "done"
    reaches(site, "model-worker", "withdrawn")  # headquarters' roll is in force, and this card is no longer on the list
    assert standing_at_the_till(site, "member") == "active"
    state = json.loads((site.terminal_dir / STATE_FILE).read_text())
    assert 0 < state["base_version"] <= state["version"]

    times = []
    for action, standing in (("suspend", "suspended"), ("reinstate", "active"), ("lose", "lost")):
        asked = {"card": DEMO_CARDS["member"].digits, "action": action}
        assert site.operator.post("/api/v1/members/standing", json=asked).status_code == 200
        times.append(reaches(site, "member", standing))
    assert max(times) < REACH_S_MAX, times
    assert standing_at_the_till(site, "member-2") == "active"
    changes = load_terminal(site.terminal.settings_file).membership.changes
    assert changes is not None
    written_at = changes.stat().st_mtime_ns
    site.terminal.stop()
    site.terminal.start()
    assert standing_at_the_till(site, "member") == "lost"
    assert changes.stat().st_mtime_ns == written_at
    written = [path for path in site.root.rglob("*") if path.is_file()]
    digits = DEMO_CARDS["member"].digits.encode()
    assert [path for path in written if digits in path.read_bytes()] == []
