"""The commands that headquarters' pages give, and which test types each: none stands there that was never run.

    sh      typed whole, block by block (`TYPED_BY`)
    bash    typed at the two database machines
    others  settings, configuration, data: no commands (`NO_COMMANDS`)

`python -m pytest tests/test_manual.py` says what is in a page and in no test's hands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
PAGES: Final = ("headquarters.md", "campaigns.md", "roll.md", "settlement.md", "pools.md")
SENTENCES: Final = PAGES[:3]  # where a command within a sentence is looked at too; the others name what tills have

COMMANDS: Final = frozenset({"sh", "bash"})

# Who types the blocks of a page, taken from the page itself. Each of these fails when it leaves one out.
TYPED_BY: Final[Mapping[tuple[str, str], str]] = {
    ("headquarters.md", "sh"): "tests/end_to_end/test_headquarters_manual.py",
    ("headquarters.md", "bash"): "tests/fakes/postgres_pair.py",  # for tests/faults/test_failover.py
    ("campaigns.md", "sh"): "tests/terminal/commands/test_headquarters_book.py",
    ("roll.md", "sh"): "tests/terminal/commands/test_headquarters_roll.py",
    ("settlement.md", "sh"): "tests/terminal/commands/test_headquarters_money.py",
}

# Blocks by their first line, and commands within a sentence, that no test types; with the reason.
NOT_TYPED: Final[Mapping[str, str]] = {
    "cd /opt/jingka && scripts/setup": "installs packages of the system; scripts/test runs it before every test",
    "sudo -u jingka -s": "opens a shell for a person; the tests of that page type as one user throughout",
    "cd /etc/jingka": "where the tests of that page stand already: in the directory of headquarters.toml",
    "jingka ledger verify": "named as what to compare with; tests/terminal/commands/test_commands.py types it",
    "jingka hq code": "named; the page's own block is typed",
    "jingka hq roll list": "named; the page's own block is typed",
    "jingka roll build": "named; typed with its list in headquarters.md",
}

# Blocks, by how their first line begins, that hold no command; with what becomes of them in the tests.
NO_COMMANDS: Final[Mapping[str, str]] = {
    'database_url = "postgresql://jingka@/jingka"': "settings: tests/test_manual.py loads each line",
    "location / {": "of nginx, which is none of ours and not installed for the tests",
    '{"document":': "the signed form, shortened; the tests of the settlement read whole ones",
}

_FENCE: Final = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_INLINE: Final = re.compile(r"`([^`\n]+)`")
_PROGRAMS: Final = (
    r"sudo|useradd|install|ln|cp|cd|mkdir|chmod|chown|systemctl|jingka|psql|pg_\w+|createuser|createdb|dropdb|tar|scp|"
    r"umask|scripts/\w+"
)
_COMMAND: Final = re.compile(rf"(?:{_PROGRAMS}) .+")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: in what language, under which heading, and its text."""

    language: str
    heading: str
    text: str

    @property
    def first(self) -> str:
        """Its first line, by which tests name it."""
        return self.text.partition("\n")[0].rstrip()


def blocks(page: str) -> list[Block]:
    """Every fenced block of a page, in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        headings = re.findall(r"^#+ (.+)$", text[: fence.start()], re.MULTILINE)
        found.append(Block(fence[1], headings[-1], fence[2]))
    return found


def commands_in_sentences(page: str) -> list[str]:
    """What looks like a command with its arguments between back-ticks, outside of blocks."""
    sentences = _FENCE.sub("", (DOCS / page).read_text(encoding="utf-8"))
    return [inline for inline in _INLINE.findall(sentences) if _COMMAND.fullmatch(inline)]


def is_command(line: str) -> bool:
    """Whether a line of a block begins with a program."""
    return _COMMAND.fullmatch(line.strip()) is not None


def no_command(block: Block) -> bool:
    """Whether it is named as a block that holds none."""
    return any(map(block.first.startswith, NO_COMMANDS))


class Manual:
    """The `sh` blocks of one page, each to be taken once; `left` says what nobody took."""

    def __init__(self, page: str) -> None:
        found = [block for block in blocks(page) if block.language == "sh" and block.first not in NOT_TYPED]
        self._left = {block.first: block.text for block in found}
        assert len(self._left) == len(found), "two blocks that begin with the same line"

    def take(self, first: str) -> str:
        """The block whose first line begins with `first`."""
        (line,) = [each for each in self._left if each.startswith(first)]
        return self._left.pop(line)

    @property
    def left(self) -> list[str]:
        """The first lines of those that were not taken."""
        return list(self._left)
