from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.command_line import Jingka, jingka_in


@pytest.fixture
def jingka(tmp_path: Path) -> Jingka:
    """Runs `jingka` with an empty home."""
    return jingka_in(tmp_path)
