"""Draws the tables of `docs/` from the code: `python -m tests.docs_tables`.

A table stands between `<!-- table: name -->` and `<!-- end -->`. Cells that the code knows are drawn anew; the last
columns, which people write, are kept by the row's first cell. A new row comes with empty cells: fill them in.
"""

from __future__ import annotations

import json
import re
import tomllib
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer.main
from annotated_types import Ge, Le, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config.errors import JingkaError
from config.settings import READER_KINDS, HqFileSettings, TerminalSettings
from drivers.card import AuthenticityReason, CardError, ReaderError
from drivers.framing import FRAMINGS
from drivers.reader import ReaderState
from sync.headquarters.projection import FlagCode
from sync.wire import PROBLEM_STATUS, ProblemCode
from terminal.cli import app
from terminal.offers.refusal import REFUSAL_WORDS
from tests.config.error_tree import error_classes, import_all

DOCS = Path(__file__).parents[1] / "docs"
LOCALE = DOCS.parent / "terminal" / "web" / "locale"
Rows = list[list[str]]


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a page: what the code says of it, and how many columns at its end people write."""

    page: str
    name: str
    columns: Sequence[str]
    rows: Callable[[], Rows]
    written: int = 0


# --- settings ---------------------------------------------------------------------------------------------------------


def settings_rows(model: type[BaseModel], prefix: str = "") -> Rows:
    """Every key with what it takes and its default; the sections of one union (readers) share their keys."""
    rows: dict[str, list[str]] = {}
    for name, field in model.model_fields.items():
        inner = _models_in(field.annotation)
        for section in inner:
            for key, takes, default in settings_rows(section, f"{prefix}{name}."):
                known = rows.get(key)
                rows[key] = [key, takes, default] if known is None else _either(known, [key, takes, default])
        if not inner:
            rows[f"`{prefix}{name}`"] = [f"`{prefix}{name}`", takes_of(field), default_of(field)]
    return list(rows.values())


def _either(first: list[str], second: list[str]) -> list[str]:
    """The same key of two kinds of reader: each cell says both where they differ."""
    return [one if two in one else f"{one}, {two}" for one, two in zip(first, second, strict=True)]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]


def takes_of(field: FieldInfo) -> str:
    """What a key takes, for a person: its words or its kind, with its bounds."""
    kind = _kind(field.annotation)
    least = [mark.ge for mark in field.metadata if isinstance(mark, Ge)]
    most = [mark.le for mark in field.metadata if isinstance(mark, Le)]
    if least and most:
        return f"{kind}, {least[0]} to {most[0]}"
    if any(isinstance(mark, MinLen) for mark in field.metadata):
        return f"{kind}, not empty"
    return kind


def _kind(annotation: Any) -> str:
    words = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", Path: "path"}
    if annotation in words:
        return words[annotation]
    inner = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{each}`" for each in inner)
    if typing.get_origin(annotation) is tuple:
        return f"list of {_kind(inner[0])}"
    if len(inner) == 2 and type(None) in inner:
        return _kind(inner[0])
    return "table of whole numbers"


def default_of(field: FieldInfo) -> str:
    """A key's default; one that depends on the machine is told in its meaning."""
    if field.is_required():
        return "required"
    if field.default_factory is not None or field.default in ("", None, ()):
        return "none"
    if isinstance(field.default, tuple):
        return f"`{json.dumps(field.default)}`"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


# --- commands ---------------------------------------------------------------------------------------------------------


def commands() -> Mapping[str, Any]:
    """Every command that a person may type, by its words after `jingka`, as typer built it."""
    found: dict[str, Any] = {}

    def walk(command: Any, path: str) -> None:
        inner = getattr(command, "commands", None)
        if inner is None or command.invoke_without_command:
            found[path] = command
        for name, each in (inner or {}).items():
            walk(each, f"{path} {name}".strip())

    walk(typer.main.get_command(app), "")
    return found


def spelling(parameter: Any) -> str:
    """An option or argument as it is typed."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).upper()
    return ", ".join(parameter.opts)


def command_rows() -> Rows:
    """A row per command: what it takes (a star: must be given), what it does."""
    rows = []
    for path, command in commands().items():
        takes = [f"`{spelling(each)}`{'*' if each.required else ''}" for each in command.params]
        rows.append([f"`jingka {path}`", " ".join(takes), " ".join((command.help or "").split())])
    return rows


def option_rows() -> Rows:
    """A row per option and meaning, with the commands that have it so."""
    told: dict[tuple[str, str], list[str]] = {}
    for path, command in commands().items():
        for each in command.params:
            told.setdefault((f"`{spelling(each)}`", str(getattr(each, "help", None) or "")), []).append(path)
    return [[name, ", ".join(takers), text] for (name, text), takers in sorted(told.items())]


# --- words ------------------------------------------------------------------------------------------------------------


def refusal_rows() -> Rows:
    """Every reason why an offer is not given."""
    return [[f"`{code}`", words.zh, words.en] for code, words in REFUSAL_WORDS.items()]


def error_rows() -> Rows:
    """Every error, by room."""
    import_all()
    classes = sorted(error_classes(), key=lambda each: (each.__module__.split(".")[:2], each.code))
    return [[f"`{each.code}`", each.retry.value, *_words(each)] for each in classes]


def _words(error: type[JingkaError]) -> list[str]:
    """What happened and the next step, in both languages."""
    return [f"{error.what.zh}<br>→ {error.hint.zh}", f"{error.what.en}<br>→ {error.hint.en}"]


def problem_rows() -> Rows:
    """What headquarters answers a terminal with instead of yes."""
    return [[f"`{code}`", str(PROBLEM_STATUS[code])] for code in ProblemCode]


# --- readers ----------------------------------------------------------------------------------------------------------


def message_rows(branch: type[JingkaError]) -> Rows:
    """Every error of a branch, with the first sentence of its docstring."""
    import_all()
    classes = sorted((each for each in error_classes() if issubclass(each, branch)), key=lambda each: each.code)
    return [
        [f"`{each.code}`", " ".join((each.__doc__ or "").partition("\n\n")[0].split()), *_words(each)]
        for each in classes
    ]


def state_rows() -> Rows:
    """Every state of a reader, with the words of the status page."""
    words = {name: tomllib.loads((LOCALE / f"{name}.toml").read_text(encoding="utf-8")) for name in ("zh", "en")}
    return [
        [f"`{state}`", *(f"{each['reader'][state]}<br>→ {each['reader-hint'][state]}" for each in words.values())]
        for state in ReaderState
    ]


def frame_rows() -> Rows:
    """Every frame of a serial line."""
    return [[f"`{name}`", framing.words.zh, framing.words.en] for name, framing in FRAMINGS.items()]


def _codes(codes: Iterable[str]) -> Rows:
    return [[f"`{code}`"] for code in codes]


TABLES = (
    Table(
        "settings.md", "terminal", ("key", "takes", "default", "meaning"), lambda: settings_rows(TerminalSettings), 1
    ),
    Table(
        "settings.md", "headquarters", ("key", "takes", "default", "meaning"), lambda: settings_rows(HqFileSettings), 1
    ),
    Table("commands.md", "commands", ("command", "takes", "does"), command_rows),
    Table("commands.md", "options", ("option", "of", "meaning"), option_rows),
    Table("refusals.md", "refusals", ("code", "zh", "en", "numbers", "next step"), refusal_rows, 2),
    Table("errors.md", "errors", ("code", "retry", "zh", "en"), error_rows),
    Table(
        "readers.md",
        "kinds",
        ("kind", "what it reads", "how it is connected"),
        lambda: _codes(READER_KINDS),
        2,
    ),
    Table("readers.md", "frames", ("frame", "zh", "en", "readers, and what to set in them"), frame_rows, 1),
    Table("readers.md", "states", ("state", "zh", "en", "what is behind it"), state_rows, 1),
    Table("readers.md", "card-messages", ("code", "what happened", "zh", "en"), lambda: message_rows(CardError)),
    Table("readers.md", "reader-messages", ("code", "what happened", "zh", "en"), lambda: message_rows(ReaderError)),
    Table("readers.md", "reasons", ("reason", "what is behind it"), lambda: _codes(AuthenticityReason), 1),
    Table("api.md", "problems", ("code", "status", "what the terminal does"), problem_rows, 1),
    Table("headquarters.md", "flags", ("code", "what it means and what to do"), lambda: _codes(FlagCode), 1),
)


# --- drawing ----------------------------------------------------------------------------------------------------------


def block(page: str, name: str) -> tuple[str, str, str]:
    """A page's text before, inside and after the table `name`."""
    before, mark, rest = page.partition(f"<!-- table: {name} -->\n")
    inside, end, after = rest.partition("<!-- end -->")
    assert mark, f"the page has no table {name}"
    assert end, f"the table {name} has no end"
    return before + mark, inside, end + after


def cells(inside: str) -> Mapping[str, list[str]]:
    """The rows of a drawn table by their first cell."""
    rows = [line.strip().strip("|").split(" | ") for line in inside.splitlines() if line.startswith("| ")]
    return {row[0].strip(): [cell.strip() for cell in row] for row in rows}


def drawn(table: Table, page: str) -> str:
    """`page` with this one table drawn anew."""
    before, inside, after = block(page, table.name)
    kept = cells(inside)
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    for row in table.rows():
        escaped = [re.sub(r"\s*\|\s*", " or ", cell) for cell in row]  # a bar would end the cell
        known = kept.get(row[0], [])
        written = (
            known[-table.written :] if table.written and len(known) == len(table.columns) else [""] * table.written
        )
        lines.append("| " + " | ".join([*escaped, *written]) + " |")
    return before + "\n".join(lines) + "\n" + after


def redraw() -> None:
    """Draw every table into its page."""
    for table in TABLES:
        path = DOCS / table.page
        path.write_text(drawn(table, path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    redraw()
