"""What changed between two books, in words that a person can approve, entry by entry and field by field. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from config.errors import Language, Words
from terminal.offers.model import Book

CHANGES_MAX = 2_000  # a diff that long is another book; the rest is counted

Kind = Literal["added", "removed", "changed"]
KIND_WORDS: Mapping[Kind, Words] = {
    "added": Words("新增", "added"),
    "removed": Words("删除", "removed"),
    "changed": Words("改动", "changed"),
}
# The tables of a book whose entries have an id, and what one of them is called.
_TABLES: Mapping[str, Words] = {
    "offers": Words("优惠", "offer"),
    "merchants": Words("商户", "merchant"),
    "categories": Words("类别", "category"),
    "attributes": Words("问题", "question"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `path` is dotted within the entry, empty for the whole of it; values are JSON."""

    kind: Kind
    table: str  # empty: the book itself
    entry: str
    path: str
    before: Any = None
    after: Any = None

    def text(self, language: Language) -> str:
        """The change as one line."""
        kind = KIND_WORDS[self.kind].text(language)
        called = _TABLES[self.table].text(language) if self.table else Words("优惠册", "book").text(language)
        subject = f"{called} {self.entry}".strip()
        if not self.path:
            return f"{kind} {subject}"
        value = {"added": f"{_said(self.after)}", "removed": f"{_said(self.before)}"}.get(
            self.kind, f"{_said(self.before)} → {_said(self.after)}"
        )
        return f"{kind} {subject}: {self.path} = {value}"


def diff(old: Book, new: Book) -> tuple[Change, ...]:
    """Every difference, in the new book's order, what is gone last; at most `CHANGES_MAX`."""
    return tuple(_all(_plain(old), _plain(new)))[:CHANGES_MAX]


def _all(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    rest = [name for name in (*new, *(name for name in old if name not in new)) if name not in _TABLES]
    for name in rest:
        yield from _compare("", "", name, old.get(name), new.get(name))
    for table in _TABLES:
        before, after = _by_id(old.get(table)), _by_id(new.get(table))
        for entry, value in after.items():
            if entry not in before:
                yield Change("added", table, entry, "", after=value)
            else:
                yield from _compare(table, entry, "", before[entry], value)
        for entry in (entry for entry in before if entry not in after):
            yield Change("removed", table, entry, "", before=before[entry])


def _compare(table: str, entry: str, path: str, old: Any, new: Any) -> Iterator[Change]:
    if old == new:
        return
    if old is None or new is None:
        yield Change("added" if old is None else "removed", table, entry, path, old, new)
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in (*new, *(name for name in old if name not in new)):
            yield from _compare(table, entry, f"{path}.{name}".lstrip("."), old.get(name), new.get(name))
    elif _named(old) and _named(new):
        before, after = _by_id(old), _by_id(new)
        for name in (*after, *(name for name in before if name not in after)):
            yield from _compare(table, entry, f"{path}[{name}]", before.get(name), after.get(name))
    else:
        yield Change("changed", table, entry, path, old, new)


def _named(value: Any) -> bool:
    """A list whose entries have names of their own: limits, fees, proofs, sites."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and _name(one) for one in value)


def _by_id(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    return {str(_name(one)): one for one in value or ()}


def _name(one: Mapping[str, Any]) -> Any:
    return one.get("id") or (one.get("name") if isinstance(one.get("name"), str) else None)


def _said(value: Any) -> str:
    """A value as it would stand in the book."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_said(inner)}" for name, inner in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_said(inner) for inner in value) + "]"
    return str(value)


def _plain(book: Book) -> dict[str, Any]:
    plain: dict[str, Any] = book.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return plain
