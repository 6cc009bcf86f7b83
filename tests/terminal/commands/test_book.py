"""`jingka book`: checked, explained, compared, released and replayed as a person would."""

from __future__ import annotations

import asyncio
import io
import json
import stat
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from config.errors import JingkaError
from terminal.cli import app
from terminal.commands.replay import show
from terminal.held_quotes import QuoteRequest
from terminal.offers.book import canonical_json, load_book
from terminal.offers.replay import Report
from terminal.offers.sale import SaleLine
from terminal.offers.schema import book_schema
from terminal.offers.signature import BookSignatureInvalid, BookUnsigned
from terminal.redemption_id import new_id
from tests.fakes.till import open_till, winter_book

WINTER = Path(__file__).parents[3] / "config" / "books" / "winter-2012.toml"
RUNNER = CliRunner()


def jingka(*arguments: str | Path) -> str:
    done = RUNNER.invoke(app, ["book", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments: str | Path) -> str:
    done = RUNNER.invoke(app, ["book", *map(str, arguments)])
    assert done.exit_code == 2, done.output
    return done.output


def fails(error: type[JingkaError], *arguments: str | Path) -> JingkaError:
    done = RUNNER.invoke(app, ["book", *map(str, arguments)])
    assert isinstance(done.exception, error), done.output
    return done.exception


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    """The winter book with one ticket a card, its price a yuan higher."""
    text = WINTER.read_text(encoding="utf-8")
    path = tmp_path / "draft.toml"
    changed = text.replace("revision = 1", "revision = 2").replace("unit_fen = 1000", "unit_fen = 1100", 1)
    path.write_text(changed.replace('id = "tickets", max = 2', 'id = "tickets", max = 1'), encoding="utf-8")
    return path


def test_check_tells_doubts_and_still_passes(tmp_path: Path) -> None:
    doubtful = tmp_path / "doubtful.toml"
    text = WINTER.read_text(encoding="utf-8").replace('en = "laundry" }', 'en = "洗衣" }', 1)
    doubtful.write_text(text, encoding="utf-8")
    out = jingka("check", doubtful)
    line = text[: text.index('en = "洗衣"')].count("\n") + 1
    assert f"(line {line}): is not English" in out
    assert f"（第 {line} 行）：不是英文" in out
    assert json.loads(jingka("check", doubtful, "--json"))["findings"][0]["severity"] == "warning"


def test_explain_says_one_offer_or_all(draft: Path) -> None:
    one = jingka("explain", draft, "winter-film")
    assert "11 元" in one
    assert "11 yuan each" in one
    assert jingka("explain", draft).count("活动）：") == 4
    assert set(json.loads(jingka("explain", draft, "--json"))) == set(load_book(WINTER).offers)


def test_explain_names_the_nearest_offer() -> None:
    assert "did you mean winter-film" in refused("explain", WINTER, "winter-fim").replace("\n", " ")


def test_diff_in_words_and_as_data(draft: Path) -> None:
    text = jingka("diff", WINTER, draft)
    assert "改动 优惠 winter-film: price.unit_fen = 1000 → 1100" in text
    assert "changed offer winter-film: limits[tickets].max = 2 → 1" in text
    rows = json.loads(jingka("diff", WINTER, draft, "--json"))
    assert {row["path"] for row in rows} == {"revision", "price.unit_fen", "limits[tickets].max"}
    assert "没有改动" in jingka("diff", WINTER, WINTER)


def test_schema_is_printed_and_written(tmp_path: Path) -> None:
    assert jingka("schema") == book_schema()
    jingka("schema", "--out", tmp_path / "s.json")
    assert (tmp_path / "s.json").read_text(encoding="utf-8") == book_schema()


def test_a_book_is_released_and_taken(tmp_path: Path) -> None:
    key, out = tmp_path / "release.pem", tmp_path / "book.json"
    public = jingka("keygen", key).rpartition('signed_by = "')[2].strip().rstrip('"')
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert public in jingka("sign", WINTER, "--key", key, "--out", out)
    assert load_book(out, public) == load_book(WINTER)
    assert "revision 1, 4 offers" in jingka("verify", out, "--key", public)
    assert public in jingka("verify", out)
    assert "revision 1, 4 offers" in jingka("check", out)
    out.write_text(out.read_text(encoding="utf-8").replace("1000", "100"), encoding="utf-8")
    fails(BookSignatureInvalid, "verify", out, "--key", public)
    fails(BookSignatureInvalid, "check", out)


def test_a_key_is_never_overwritten_and_never_guessed(tmp_path: Path) -> None:
    key = tmp_path / "release.pem"
    jingka("keygen", key)
    before = key.read_bytes()
    assert fails(JingkaError, "keygen", key).code == "key-exists"
    assert key.read_bytes() == before
    key.chmod(0o644)
    assert fails(JingkaError, "sign", WINTER, "--key", key, "--out", tmp_path / "o.json").code == "key-exposed"
    assert "keygen" in refused("sign", WINTER, "--key", tmp_path / "none.pem", "--out", tmp_path / "o.json")
    assert not (tmp_path / "o.json").exists()


def test_a_broken_book_is_not_signed(tmp_path: Path) -> None:
    key, broken = tmp_path / "release.pem", tmp_path / "broken.toml"
    jingka("keygen", key)
    broken.write_text(WINTER.read_text(encoding="utf-8").replace("revision = 1", "revision = 0"), encoding="utf-8")
    assert fails(JingkaError, "sign", broken, "--key", key, "--out", tmp_path / "o.json").code == "book-invalid"
    assert "json" in refused("sign", WINTER, "--key", key, "--out", tmp_path / "o.toml")
    assert not (tmp_path / "o.json").exists()


def test_an_unsigned_book_is_no_signed_one(tmp_path: Path) -> None:
    plain = tmp_path / "plain.json"
    plain.write_text(canonical_json(load_book(WINTER).book), encoding="utf-8")
    fails(BookUnsigned, "verify", plain)
    fails(BookUnsigned, "verify", WINTER)


@pytest.fixture
def sold(tmp_path: Path) -> Path:
    """A till's data directory: three members bought two tickets each, one sale was cancelled, one half void."""
    till = open_till(tmp_path)
    ends = {"member": "complete", "model-worker": "cancel", "proved": "void"}
    for card, end in ends.items():
        till.present(card)
        presented = till.counter.presentation
        assert presented is not None
        lines = (SaleLine("film-ticket", 2, 8000, {"format": "2d"}),)
        held = asyncio.run(till.counter.quote(QuoteRequest(presented.id, "winter-film", lines, {})))
        done = asyncio.run(till.counter.authorise(new_id(), held.id, "c01"))
        if end == "cancel":
            till.ledger.cancel(done.id, "c01", "no money")
            continue
        till.ledger.complete(done.id, "c01", None)
        if end == "void":
            till.ledger.void(done.id, "c01", "mistake", 1)
    till.ledger.close()
    return tmp_path


DAYS = ("--from", "2012-12-01", "--to", "2012-12-31")


def test_replay_of_the_book_in_force_differs_in_nothing(sold: Path) -> None:
    same = sold / "same.json"
    same.write_text(canonical_json(winter_book().book), encoding="utf-8")
    report = json.loads(jingka("replay", same, *DAYS, "--data", sold, "--json"))
    assert (report["sales"], report["changed"], report["given_back"]) == (2, 0, 2)
    film = report["offers"]["winter-film"]
    assert (film["was_pay_fen"], film["would_pay_fen"], film["refused"]) == (3000, 3000, {})


def test_replay_of_a_draft_says_what_would_differ(sold: Path, draft: Path) -> None:
    report = json.loads(jingka("replay", draft, *DAYS, "--data", sold, "--json"))
    film = report["offers"]["winter-film"]
    assert (film["sales"], film["would_sell"], film["would_pay_fen"]) == (2, 0, 24_000)
    assert (film["was_saving_fen"], film["would_save_fen"]) == (21_000, 0)
    assert report["limits"] == [{"offer": "winter-film", "limit": "tickets", "used": 0, "bites": 3}]
    assert {example["code"] for example in report["examples"]} == {"limit-reached"}
    text = jingka("replay", draft, *DAYS, "--data", sold)
    assert "winter-film/tickets: 已用 used 0，触限 bit 3" in text
    assert "█" in text
    assert "│ winter-film │" in text  # whole, also on a narrow screen
    assert "winter-film: 拒绝 refused limit-reached 2" in text
    assert all(example["id"] in text for example in report["examples"])
    assert "2 笔 sales，2 笔不同 would differ，2 次退回 gave back" in text


def test_replay_adds_the_offers_up() -> None:
    report = Report()
    for offer, sales, pay_fen in (("film", 2, 1_000), ("an-offer-with-quite-a-long-name-that-is-folded", 3, 5_050)):
        total = report.offers[offer]
        total.sales, total.was_list_fen, total.was_pay_fen, total.would_pay_fen = sales, 10_000, pay_fen, pay_fen + 50
    screen = Console(file=io.StringIO(), width=100)
    show(report, screen)
    assert isinstance(screen.file, io.StringIO)
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in screen.file.getvalue().splitlines()]
    assert ["合计 total", "5", "60.50", "61.50", "139.50", "138.50"] in rows


def test_replay_of_days_in_the_wrong_order_is_refused(sold: Path, draft: Path) -> None:
    said = refused("replay", draft, "--from", "2012-12-31", "--to", "2012-12-01", "--data", sold)
    assert "2012-12-01 is before 2012-12-31" in said


def test_replay_outside_the_days_is_empty(sold: Path, draft: Path) -> None:
    days = ("--from", "2013-12-01", "--to", "2013-12-31")
    report = json.loads(jingka("replay", draft, *days, "--data", sold, "--json"))
    assert (report["sales"], report["offers"], report["examples"]) == (0, {}, [])
    assert "0 笔 sales" in jingka("replay", draft, *days, "--data", sold)
