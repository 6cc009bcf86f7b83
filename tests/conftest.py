"""Options of the whole test run."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--schema-examples`: how many requests to make up for each call of the APIs."""
    parser.addoption("--schema-examples", type=int, default=2, help="requests to make up for each call (default 2)")
