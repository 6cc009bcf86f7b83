"""Everything of this room that the web serves."""

from __future__ import annotations

from fastapi import APIRouter

from config.errors import Language
from sync.headquarters.pools.desk import PoolDesk
from sync.headquarters.pools.pages import pool_pages
from sync.headquarters.pools.people_routes import pool_people_routes
from sync.headquarters.pools.terminal_routes import pool_terminal_routes
from sync.headquarters.pools.terms import Books
from sync.headquarters.service import Headquarters
from terminal.serving.pages import Pages
from terminal.serving.sign_in import Gate


def pool_routes(hq: Headquarters, books: Books, gate: Gate, pages: Pages, language: Language) -> tuple[APIRouter, ...]:
    """For terminals, for people, and the page."""
    desk = PoolDesk(hq, books)
    return (pool_terminal_routes(desk, language), pool_people_routes(desk, gate), pool_pages(desk, gate, pages))
