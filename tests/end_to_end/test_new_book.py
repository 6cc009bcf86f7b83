"""A new offer book under a running terminal: real processes, a real file replaced, sales before and after."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.installation import FILM_LIST_FEN, Installation, eventually

NEW_PRICE_FEN = 1500


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    """A till that is not enrolled: from headquarters' first book on, the settings' own is looked at no more."""
    with Installation(tmp_path / "site") as installation:
        installation.terminal.start()
        yield installation


def put_book(site: Installation, text: str) -> None:
    """As headquarters' file arrives: whole, in one step."""
    fresh = site.root / "book.fresh"
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(site.root / "book.json")


def changed_book(site: Installation, revision: int) -> str:
    """The book that is there, as another revision with another price of the film."""
    book: dict[str, Any] = json.loads((site.root / "book.json").read_text("utf-8"))
    book["revision"] = revision
    film = next(offer for offer in book["offers"] if offer["id"] == "winter-film")
    film["price"] = {"kind": "fixed_unit", "unit_fen": NEW_PRICE_FEN}
    return json.dumps(book)


def wait_for_revision(site: Installation, revision: int) -> None:
    eventually(lambda: site.health()["book"]["revision"] == revision, f"revision {revision} is in force")


def status_page(site: Installation) -> str:
    return site.manager.get("/status", headers={"cookie": cookies(site.manager, "en")}).raise_for_status().text


def cookies(client: httpx.Client, language: str) -> str:
    """The session's cookies and the language of the pages."""
    return "; ".join([*(f"{name}={value}" for name, value in client.cookies.items()), f"jingka_language={language}"])


def doctor(site: Installation) -> str:
    command = [sys.executable, "-m", "terminal", "doctor", "--config", str(site.terminal.settings_file)]
    done = subprocess.run(command, env=site.environment, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def test_a_new_book_is_taken_without_a_restart_and_the_open_quote_is_kept(site: Installation) -> None:
    began = site.quote(site.present("member"), 2).json()
    assert (began["revision"], began["pay"]) == (1, 2000)
    with site.cashier.stream("GET", "/api/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("retry")
        put_book(site, changed_book(site, 2))
        told = next(json.loads(next(lines).removeprefix("data: ")) for line in lines if line == "event: book")
    assert told == {"revision": 2, "code": None}
    wait_for_revision(site, 2)
    sold = site.redeem(began["quote"])
    assert (sold.status_code, sold.json()["pay"]) == (201, 2000)
    anew = site.quote(site.present("member-2"), 2).json()
    assert (anew["revision"], anew["pay"], anew["list"]) == (2, 2 * NEW_PRICE_FEN, 2 * FILM_LIST_FEN)
    kept = [line for line in site.terminal.output.splitlines() if "book of revision" in line]
    assert len(kept) == 2, kept


def test_a_bad_book_changes_nothing_and_is_told_until_it_is_mended(site: Installation) -> None:
    good = changed_book(site, 2)
    put_book(site, good[: len(good) // 2])
    eventually(lambda: "revision 1 goes on" in status_page(site), "the status page says so")
    assert (site.health()["status"], site.health()["book"]) == ("degraded", {"revision": 1})
    assert "book check" in doctor(site)
    assert site.quote(site.present("member"), 2).json()["pay"] == 2000
    (site.root / "book.json").unlink()
    eventually(lambda: "No such file" in status_page(site), "the status page says that it is gone")
    assert site.buy(site.present("member-2"), 2)["pay"] == 2000
    put_book(site, good)
    wait_for_revision(site, 2)
    assert "goes on" not in status_page(site)
