from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from terminal.serving.assets import CACHE_ASK, CACHE_FOR_EVER, SERVING_STATIC, VENDOR_FILES, Assets
from terminal.serving.pages import SERVING_TEMPLATES

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]


async def test_a_file_asked_for_by_its_content_may_be_kept_for_ever(client: httpx.AsyncClient) -> None:
    answer = await client.get(Assets().url("app.css"))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/css")
    assert answer.headers["cache-control"] == CACHE_FOR_EVER


@pytest.mark.parametrize("query", ["", "?v=000000000000", "?v=", "?x=1"])
async def test_any_other_way_it_must_be_asked_about(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/static/app.css{query}")
    assert answer.headers["cache-control"] == CACHE_ASK


@pytest.mark.parametrize(
    "path", ["/static/none.css", "/static/../problems.py", "/static/%2e%2e/problems.py", "/static/"]
)
async def test_nothing_else_is_served(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


def test_a_rooms_own_files_come_beside_the_shared_ones(tmp_path: Path) -> None:
    (tmp_path / "room.js").write_text("1", encoding="utf-8")
    assets = Assets(tmp_path)
    assert re.fullmatch(r"/static/room\.js\?v=[0-9a-f]{12}", assets.url("room.js"))
    assert assets.url("app.css") == Assets().url("app.css")


def test_a_missing_file_has_a_plain_address() -> None:
    assert Assets().url("vendor/none.js") == "/static/vendor/none.js"


def test_missing_vendored_files_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("terminal.serving.assets.SERVING_STATIC", tmp_path)
    assert Assets(SERVING_STATIC).missing() == list(VENDOR_FILES)


def test_the_lock_names_exact_versions_and_no_registry() -> None:
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["dependencies"]
    lock = (ROOT / "package-lock.json").read_text(encoding="utf-8")
    assert "resolved" not in lock
    assert "://" not in lock
    packages = json.loads(lock)["packages"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all("integrity" in package for path, package in packages.items() if path)


def test_no_page_has_script_or_style_inside_it() -> None:
    for path in SERVING_TEMPLATES.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|hx-on", text), path.name
