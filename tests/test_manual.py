"""No command stands in headquarters' pages that no test types; `tests/manual.py` is the register."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from sqlalchemy import make_url

from config.settings import load_hq
from tests.manual import (
    COMMANDS,
    NO_COMMANDS,
    NOT_TYPED,
    PAGES,
    ROOT,
    SENTENCES,
    TYPED_BY,
    Block,
    blocks,
    commands_in_sentences,
    is_command,
    no_command,
)

every_page = pytest.mark.parametrize("page", PAGES)
# Tests that take lines of their page, not blocks, and the expression by which they do.
BY_LINE = {
    "campaigns.md": ("tests.terminal.commands.test_headquarters_book", "TYPED"),
    "roll.md": ("tests.terminal.commands.test_headquarters_roll", "TYPED"),
    "settlement.md": ("tests.terminal.commands.test_headquarters_money", "SHOWN"),
}


def lines(block: Block) -> list[str]:
    return [line for line in block.text.splitlines() if line.strip()]


@every_page
def test_every_block_says_what_it_is_and_somebody_types_it(page: str) -> None:
    for block in blocks(page):
        if block.language in COMMANDS:
            assert not no_command(block)
            assert (page, block.language) in TYPED_BY, f"{block.first}: nobody types it"
            assert (ROOT / TYPED_BY[page, block.language]).is_file()
        else:
            assert no_command(block), f"{block.first}: type it in a test, or say why there is nothing to type"
            assert not any(map(is_command, lines(block))), f"{block.first}: a command among {block.language}"


@pytest.mark.parametrize("page", BY_LINE)
def test_who_takes_lines_leaves_none_out(page: str) -> None:
    module, name = BY_LINE[page]
    expression: re.Pattern[str] = getattr(importlib.import_module(module), name)
    for block in blocks(page):
        if block.language == "sh":
            assert all(map(expression.fullmatch, lines(block))), f"{block.first}: a line that no test takes"


def test_what_is_typed_at_the_database_machines_stands_where_the_pair_looks() -> None:
    for page in PAGES:
        for block in blocks(page):
            assert block.language != "bash" or block.heading == "Fail over", block.first


@pytest.mark.parametrize("page", SENTENCES)
def test_a_command_in_a_sentence_is_typed_too_or_has_its_reason(page: str) -> None:
    typed = {line.strip() for each in PAGES for block in blocks(each) for line in lines(block)}
    for command in commands_in_sentences(page):
        assert command in typed or command in NOT_TYPED, f"{page}: {command}: put it into a block that a test types"


def test_nothing_is_excused_that_stands_nowhere() -> None:
    there = {block.first for page in PAGES for block in blocks(page)}
    there |= {command for page in SENTENCES for command in commands_in_sentences(page)}
    assert NOT_TYPED.keys() <= there
    assert all(any(line.startswith(named) for line in there) for named in NO_COMMANDS)


def test_each_form_of_the_databases_address_is_a_setting(tmp_path: Path) -> None:
    (shown,) = [block for block in blocks("headquarters.md") if block.language == "toml"]
    for number, line in enumerate(lines(shown)):
        path = tmp_path / f"{number}.toml"
        path.write_text(f'data_dir = "{tmp_path}"\n[hq]\n{line}\n', encoding="utf-8")
        settings = load_hq(path)
        url = make_url(settings.database_url)
        assert (url.get_backend_name(), url.username, url.database) == ("postgresql", "jingka", "jingka")


def test_what_is_a_command_and_what_is_not() -> None:
    assert is_command("sudo -u jingka jingka enrol --code X")
    assert is_command("  systemctl restart jingka-headquarters")
    assert not is_command("jingka")  # a name
    assert not is_command('database_url = "postgresql://jingka@db.example/jingka"')
    assert not is_command("proxy_buffering off;")
