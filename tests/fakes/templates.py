"""What a room's templates ask of its catalogue, read off their text: the keys of `t("…")` and of `t("prefix." ~ …)`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_WHOLE = re.compile(r"""\bt\(\s*["']([a-z0-9.-]+)["']\s*[,)]""")
_PREFIX = re.compile(r"""\bt\(\s*["']([a-z0-9.-]+\.)["']\s*~""")
_PYTHON = re.compile(r"""\bt\(\s*"([a-z0-9.-]+)"\s*[,)]""")


def template_keys(directory: Path) -> Iterator[tuple[str, str]]:
    """(template, key) for every whole key in the templates of `directory`."""
    for path in sorted(directory.rglob("*.html")):
        for key in _WHOLE.findall(path.read_text(encoding="utf-8")):
            yield path.name, key


def template_prefixes(directory: Path) -> Iterator[tuple[str, str]]:
    """(template, prefix) for every key that a template completes with data."""
    for path in sorted(directory.rglob("*.html")):
        for prefix in _PREFIX.findall(path.read_text(encoding="utf-8")):
            yield path.name, prefix


def source_keys(directory: Path) -> Iterator[tuple[str, str]]:
    """(file, key) for every whole key that Python code passes to `t`."""
    for path in sorted(directory.rglob("*.py")):
        for key in _PYTHON.findall(path.read_text(encoding="utf-8")):
            yield path.name, key
