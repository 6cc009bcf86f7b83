"""Draws the error tree of the house into `config/errors.py`: `python -m tests.config.error_tree`."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

from config import errors
from config.errors import JingkaError

PACKAGES = ("config", "drivers", "sync", "terminal")
NOT_IMPORTABLE = re.compile(
    r"(^|\.)(__main__|migrations)(\.|$)"
)  # they run when imported: a program, alembic's scripts
HEADING = "redrawn by `python -m tests.config.error_tree`:\n\n"
END = '"""\n\nfrom __future__'


def import_all() -> None:
    """Import every module of the house, so that every error class exists."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not NOT_IMPORTABLE.search(module.name):
                importlib.import_module(module.name)


def children(parent: type[JingkaError]) -> list[type[JingkaError]]:
    """The direct subclasses that the house defines (tests may define their own), by room and name."""
    found = {each for each in parent.__subclasses__() if each.__module__.partition(".")[0] in PACKAGES}
    return sorted(found, key=lambda each: (each.__module__, each.__name__))


def error_classes(root: type[JingkaError] = JingkaError) -> Iterator[type[JingkaError]]:
    """`root` and all below it, each once."""
    found = [root]
    for parent in found:  # grows while we walk
        found += [child for child in children(parent) if child not in found]
    return iter(found)


def draw_tree() -> str:
    """The whole tree as text, a line per class with the module that defines it."""
    return "\n".join([JingkaError.__name__, *_branches(JingkaError, "")])


def _branches(parent: type[JingkaError], indent: str) -> Iterator[str]:
    below = children(parent)
    for each in below:
        last = each is below[-1]
        yield f"{indent}{'└── ' if last else '├── '}{each.__name__} ({each.__module__})"
        yield from _branches(each, indent + ("    " if last else "│   "))


def drawn() -> str:
    """The tree that stands in `config/errors.py` now."""
    return _source().partition(HEADING)[2].partition("\n" + END)[0]


def redraw() -> None:
    """Replace the drawing in `config/errors.py` by the truth."""
    before, heading, rest = _source().partition(HEADING)
    _, end, after = rest.partition("\n" + END)
    assert heading, f"the docstring of config/errors.py no longer says: {HEADING}"
    assert end, "the docstring of config/errors.py does not end before its imports"
    _path().write_text(before + heading + draw_tree() + end + after, encoding="utf-8")


def _path() -> Path:
    assert errors.__file__
    return Path(errors.__file__)


def _source() -> str:
    return _path().read_text(encoding="utf-8")


if __name__ == "__main__":
    import_all()
    redraw()
