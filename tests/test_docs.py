"""The documentation is complete and its links, commands and files are real."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import TypeAdapter

from config.settings import (
    READER_KINDS,
    HqFileSettings,
    ReaderSection,
    SerialReaderSection,
    TerminalSettings,
    known_keys,
    load_hq,
    load_terminal,
)
from drivers.card import Authenticity, AuthenticityReason, CardError, ReaderError
from drivers.framing import FRAMINGS
from drivers.reader import ReaderState
from drivers.virtual.card import DEMO_CARDS
from sync.headquarters.app import create_app as create_headquarters
from sync.headquarters.projection import FlagCode
from sync.wire import ProblemCode
from terminal.daemon import Daemon
from terminal.demo import OPERATOR, PEOPLE, prepare
from terminal.offers.refusal import RefusalCode
from terminal.serving.hub import Hub
from tests.config.error_tree import error_classes, import_all
from tests.docs_tables import DOCS, TABLES, Table, block, cells, commands, drawn, spelling

ROOT = DOCS.parent
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
UNITS = sorted((ROOT / "systemd").glob("*.service"))
LIVE_KEYS = ROOT / "config/keys/unionpay.toml"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
INLINE = re.compile(r"`([^`\n]+)`")
TYPED = re.compile(r"(?:sudo -u jingka )?jingka (?!COMMAND)([^|]+)")  # not: a placeholder, a table of several
FENCE = re.compile(r"^ *```\w*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
every_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
every_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)


def read(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def code_of(page: str) -> set[str]:
    """Everything that stands in backticks on a page."""
    return set(INLINE.findall(read(page)))


# --- complete ---------------------------------------------------------------------------------------------------------


def test_every_setting_is_explained() -> None:
    every_key = {*known_keys(TerminalSettings), *known_keys(HqFileSettings)}
    sections = {key for key in every_key if any(other.startswith(f"{key}.") for other in every_key)}
    assert every_key - sections - code_of("settings.md") == set()


def test_every_command_is_explained() -> None:
    assert {f"jingka {path}" for path in commands()} - code_of("commands.md") == set()


def test_every_option_and_argument_is_explained() -> None:
    options = {spelling(each) for command in commands().values() for each in command.params}
    assert options - code_of("commands.md") == set()


def test_every_refusal_is_explained() -> None:
    assert set(RefusalCode) - code_of("refusals.md") == set()


def test_every_error_is_explained() -> None:
    import_all()
    assert {each.code for each in error_classes()} - code_of("errors.md") == set()


def test_every_code_between_terminal_and_headquarters_is_explained() -> None:
    assert set(ProblemCode) - code_of("api.md") == set()
    assert set(FlagCode) - code_of("headquarters.md") == set()


def test_every_reader_frame_and_state_is_explained() -> None:
    assert {*READER_KINDS, *FRAMINGS, *ReaderState, *Authenticity, *AuthenticityReason} - code_of("readers.md") == set()


def test_every_verdict_on_a_chip_is_explained() -> None:
    assert {*Authenticity, *AuthenticityReason} - code_of("authenticity.md") == set()


def test_the_key_file_shown_has_the_fields_of_the_real_one() -> None:
    shown = [tomllib.loads(each) for each in re.findall(r"^```toml\n(.*?)^```", read("authenticity.md"), re.M | re.S)]
    (example,) = (each["keys"][0] for each in shown if "keys" in each)
    (real,) = (
        each for each in tomllib.loads(LIVE_KEYS.read_text("utf-8"))["keys"] if each["index"] == example["index"]
    )
    assert set(example) == set(real)
    assert (example["rid"], example["expires"]) == (real["rid"], real["expires"])
    assert real["checksum"].startswith(example["checksum"].removesuffix("..."))


def test_every_message_about_cards_and_readers_is_explained() -> None:
    import_all()
    codes = {each.code for each in error_classes() if issubclass(each, CardError | ReaderError)}
    assert len(codes) > 20
    assert codes - code_of("readers.md") == set()


def test_every_reader_and_frame_has_an_example_that_loads() -> None:
    blocks = [tomllib.loads(shown) for shown in re.findall(r"^ *```toml\n(.*?)^ *```", read("readers.md"), re.M | re.S)]
    sections = TypeAdapter(tuple[ReaderSection, ...])
    readers = [reader for each in blocks for reader in sections.validate_python(each["readers"])]
    assert {reader.kind for reader in readers} >= set(READER_KINDS) - {"virtual"}
    frames = {reader.frame for reader in readers if isinstance(reader, SerialReaderSection)}
    assert frames <= set(FRAMINGS)
    assert frames >= {"plain", "idtech", "ecr-55aa"}


def test_the_rules_shown_are_the_files_that_are_installed() -> None:
    (rule,) = re.findall(r"```js\n(.*?)```", read("readers.md"), re.DOTALL)
    assert rule in (ROOT / "systemd" / "50-jingka-pcscd.rules").read_text(encoding="utf-8")


@pytest.fixture
def applications(tmp_path: Path) -> Iterator[list[FastAPI]]:
    """The terminal and headquarters, as the demonstration builds them; neither listens."""
    terminal_file, hq_file = prepare(tmp_path, "virtual")
    daemon = Daemon(load_terminal(terminal_file), Hub())
    try:
        yield [daemon.app, create_headquarters(load_hq(hq_file))]
    finally:
        daemon.ledger.close()


def test_every_call_of_both_apis_is_explained(applications: list[FastAPI]) -> None:
    calls = {path for application in applications for path in application.openapi()["paths"]}
    told = {re.sub(r"\{\w+\}", "{}", path) for path in re.findall(r"`(?:[A-Z]+ )?(/[^`?\s]+)", read("api.md"))}
    apis = {re.sub(r"\{\w+\}", "{}", path) for path in calls if re.match(r"/(api/|demo/|healthz|metrics)", path)}
    assert len(apis) > 20
    assert apis - told == set()


@every_table
def test_no_cell_is_left_empty(table: Table) -> None:
    rows = cells(block(read(table.page), table.name)[1])
    assert len(rows) == 1 + len({row[0] for row in table.rows()}), "the header and a row for each"
    for key, row in rows.items():
        assert len(row) == len(table.columns), f"{key} has another number of cells than the header"
        assert all(row[-table.written :]) if table.written else True, f"{key}: write the last cells"


@every_table
def test_no_row_explains_what_is_gone(table: Table) -> None:
    known = {row[0] for row in table.rows()} | {table.columns[0]}
    assert set(cells(block(read(table.page), table.name)[1])) <= known


@every_table
def test_drawing_a_table_twice_changes_nothing(table: Table) -> None:
    once = drawn(table, read(table.page))
    assert drawn(table, once) == once


def test_drawing_a_table_keeps_what_people_wrote() -> None:
    table = Table("any.md", "letters", ("letter", "drawn", "written"), lambda: [["a", "new"], ["b", "new"]], 1)
    rows = "| letter | drawn | written |\n|---|---|---|\n| a | old | kept |\n"
    page = f"before\n<!-- table: letters -->\n{rows}<!-- end -->\nafter"
    assert cells(block(drawn(table, page), "letters")[1])["a"] == ["a", "new", "kept"]
    assert cells(block(drawn(table, page), "letters")[1])["b"] == ["b", "new", ""]


# --- real -------------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        aim = (page.parent / path).resolve() if path else page
        assert aim.is_relative_to(ROOT), f"{target} leaves the project"
        assert aim.exists(), f"{target} is not there"
        assert not anchor or anchor in anchors(aim), f"{target}: no such heading"


@every_page
def test_every_command_shown_is_one_that_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    known = commands()
    for line in [*INLINE.findall(text), *(line for shown in FENCE.findall(text) for line in shown.splitlines())]:
        typed = TYPED.fullmatch(line.strip())
        if typed is None:
            continue
        path, options = command_line(shlex.split(typed[1], comments=True))
        assert path in known, f"{line}: no such command"
        allowed = {name for part in parents(path) if part in known for each in known[part].params for name in each.opts}
        assert options <= allowed, f"{line}: no such option"


def command_line(words: list[str]) -> tuple[str, set[str]]:
    """The command and the options of a line as typed after `jingka`."""
    known, path = commands(), ""
    options = {word for word in words if word.startswith("--")}
    for word in words:
        longer = f"{path} {word}".strip()
        if any(each == longer or each.startswith(f"{longer} ") for each in known):
            path = longer
    return path, options


def parents(path: str) -> list[str]:
    words = path.split()
    return [" ".join(words[:count]) for count in range(1, len(words) + 1)]


def test_the_readmes_scripts_can_be_run() -> None:
    scripts = set(re.findall(r"scripts/[a-z]+", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert {"scripts/run", "scripts/test"} <= scripts
    assert [each for each in scripts if not os.access(ROOT / each, os.X_OK)] == []


def test_the_readme_tells_what_the_demonstration_uses() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for person, _, _, pin in (*PEOPLE, OPERATOR):
        assert f"`{person}`, PIN `{pin}`" in readme
    assert not any(card.digits in page.read_text(encoding="utf-8") for card in DEMO_CARDS.values() for page in PAGES)


def test_the_cashiers_page_quotes_what_stands_on_the_screen() -> None:
    words = (ROOT / "terminal" / "web" / "locale" / "zh.toml").read_text(encoding="utf-8")
    quoted = set(re.findall(r"“([^”]+)”", read("cashier.md")))
    assert len(quoted) > 4
    assert [each for each in quoted if each not in words] == []


def test_the_architecture_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)`", read("architecture.md")))
    assert len(named) > 20
    assert [each for each in named if not (ROOT / each).exists()] == []


def test_the_changes_tell_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_decision_stands_in_the_index_and_no_number_twice() -> None:
    files = sorted(path.name for path in (DOCS / "decisions").glob("[0-9]*.md"))
    assert [name for name in files if f"({name})" not in read("decisions/README.md")] == []
    assert len({name[:4] for name in files}) == len(files)


# --- systemd ----------------------------------------------------------------------------------------------------------


def unit_of(path: Path) -> Any:
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",), strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
    parser.read_string(path.read_text(encoding="utf-8"))
    return parser


@every_unit
def test_a_unit_is_hardened_and_starts_a_real_command(unit: Path) -> None:
    service = unit_of(unit)["Service"]
    assert service["User"] == "jingka"
    assert service["ProtectSystem"] == "strict"
    assert all(service[key] == "yes" for key in ("NoNewPrivileges", "PrivateTmp", "ProtectHome"))
    assert set(service["RestrictAddressFamilies"].split()) == {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"}
    assert service["Restart"] == "always"
    program, *words = shlex.split(service["ExecStart"])
    path, options = command_line(words)
    assert Path(program).name == "jingka"
    assert path in commands()
    assert options == {"--config"}


@every_unit
def test_a_unit_may_write_where_its_example_settings_say(unit: Path) -> None:
    service = unit_of(unit)["Service"]
    example = ROOT / "config" / "examples" / f"{unit.stem.removeprefix('jingka-')}.toml"
    assert tomllib.loads(example.read_text(encoding="utf-8"))["data_dir"] == f"/var/lib/{service['StateDirectory']}"
    assert example.name == Path(shlex.split(service["ExecStart"])[-1]).name


@every_unit
def test_systemd_itself_understands_a_unit(unit: Path, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return  # not a machine with systemd: the tests above have read the unit
    here = tmp_path / unit.name
    text = unit.read_text(encoding="utf-8")
    here.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE), encoding="utf-8")
    verdict = subprocess.run([analyze, "verify", "--man=no", str(here)], capture_output=True, text=True, check=False)
    complaints = [line for line in verdict.stderr.splitlines() if unit.name in line]
    assert complaints == []
