"""Attributes in the pages' templates that look as if they did something must do it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEMPLATES = sorted(path.relative_to(ROOT) for room in ("terminal", "sync") for path in (ROOT / room).rglob("*.html"))
TAG = re.compile(r"<[a-z][^<>]*>")
REQUEST = re.compile(r"\bhx-(get|post|put|patch|delete)=")


def test_there_are_templates() -> None:
    assert len(TEMPLATES) > 40


@pytest.mark.parametrize("path", TEMPLATES, ids=str)
def test_a_question_before_something_is_done_is_asked(path: Path) -> None:
    """htmx asks only before requests of its own: on a plain form the question is never put, and the form is sent."""
    for tag in TAG.findall((ROOT / path).read_text(encoding="utf-8")):
        assert "hx-confirm" not in tag or REQUEST.search(tag), tag
