"""Every page of headquarters, for every role, in both languages: it opens or says why not, and has words for all.

Pages are found as people find them, by the links of the pages before, so a new one is looked at here by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from html import unescape
from typing import Final

import httpx
import pytest
from sqlalchemy import update

from config.errors import LANGUAGES, Language
from config.settings import load_hq
from drivers.virtual.card import DEMO_CARDS
from sync.headquarters.app import HERE, NAV, create_app
from sync.headquarters.ingest import ingest
from sync.headquarters.money.record import settle
from sync.headquarters.service import utc_now
from sync.headquarters.storage import Storage, open_storage
from sync.headquarters.tables import terminals
from terminal.demo import MERCHANT, SITE, prepare
from terminal.demo_headquarters import STAFF
from terminal.serving.locale import LANGUAGE_COOKIE, SERVING_LOCALE, load_catalogue
from terminal.serving.people import Person
from tests.sync.headquarters.client import served, sign_in
from tests.sync.headquarters.written_ledger import WrittenLedger, known_ledger

PAGES_MAX: Final = 150  # of one role: far more than there are, and an end for a page that always links to another
A_KIND_MAX: Final = 3  # pages that differ in a name or a number alone
HREF: Final = re.compile(r'href="(/[^"#]*)"')
NOT_A_PAGE: Final = re.compile(r"^/static/|^/api/|\.(csv|xlsx|json)\b")
TABLES: Final = sorted({key.partition(".")[0] for key in load_catalogue(SERVING_LOCALE, HERE / "locale").texts["zh"]})
KEY: Final = re.compile(rf"(?<![\w./-])(?:{'|'.join(TABLES)})\.[a-z][a-z-]+(?![\w.])")
TAGS: Final = re.compile(r"<(script|style|textarea)\b.*?</\1>|<[^>]*>", re.DOTALL)
SPOKEN: Final[dict[Language, str]] = {"zh": "页面", "en": "Pages"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The demonstration's headquarters, with something on every page."""
    root = tmp_path_factory.mktemp("city")
    _, hq_file = prepare(root, "virtual")
    settings = load_hq(hq_file)
    storage = open_storage("", settings.data_dir)
    _fill(storage)
    storage.close()
    with served(create_app(settings)) as client:
        _fill_by_people(client)
        yield client


def _fill(storage: Storage) -> None:
    """Sales, a finding, a fork, a terminal whose clock is wrong."""
    ledger, other = known_ledger(storage, "bj-0001"), known_ledger(storage, "bj-0002")
    for each in (ledger, other):
        each.authorise(1, merchant=MERCHANT, site=SITE)
        each.complete(1)
    ledger.complete(9)
    clone = WrittenLedger("bj-0002")
    clone.authorise(4)
    with storage.write() as connection:
        connection.execute(update(terminals).values(merchant=MERCHANT, site=SITE))
        for batch in (ledger.batch(), other.batch(), clone.batch()):
            ingest(connection, batch, now=utc_now() - timedelta(days=1), skew_ms=240_000, judges=(settle,))


def _fill_by_people(client: httpx.Client) -> None:
    """A draft that waits, a list that waits, a card that was suspended."""
    sign_in(client, "e01", "2468")
    assert client.post("/campaigns/drafts", files={"title": (None, "Spring")}).status_code == 303
    sign_in(client, "h01", "2468")
    lines = ["pan,standing,class,issued,person", f"{DEMO_CARDS['member'].digits},active,ordinary,2020-05-04,P-1", "no"]
    client.post("/api/v1/roll/lists?kind=combined", content="\n".join(lines)).raise_for_status()
    asked = {"card": DEMO_CARDS["member-2"].digits, "action": "suspend"}
    client.post("/api/v1/members/standing", json=asked).raise_for_status()
    client.cookies.clear()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("person", [person for person, _ in STAFF], ids=lambda person: str(person.role))
def test_every_page_of_every_role_opens_and_has_all_its_words(
    site: httpx.Client, person: Person, language: Language
) -> None:
    pages = _pages_of(site, person.id, language)
    for link in NAV:
        if person.role in link.roles:
            assert link.path in pages, f"no page leads {person.role} to {link.path}"
    for path, page in pages.items():
        assert page.status_code == 200, f"{path}: {page.status_code}"
        _assert_words(path, page.text, language)


@pytest.mark.parametrize("person", [person for person, _ in STAFF], ids=lambda person: str(person.role))
def test_a_page_that_is_not_of_the_role_says_so_in_words(site: httpx.Client, person: Person) -> None:
    with _browser(site, person.id, "en") as own:
        for link in NAV:
            if person.role not in link.roles:
                page = own.get(link.path)
                assert page.status_code == 403, link.path
                assert "<h1>" in page.text
                _assert_words(link.path, page.text, "en")


def _pages_of(site: httpx.Client, person: str, language: Language) -> dict[str, httpx.Response]:
    """Every page that links lead to from the overview, a few of each kind."""
    found: dict[str, httpx.Response] = {}
    kinds: dict[str, int] = {}
    with _browser(site, person, language) as own:
        todo = ["/"]
        while todo:
            path = todo.pop(0)
            kind = _kind_of(path)
            if path in found or kinds.get(kind, 0) >= A_KIND_MAX:
                continue
            kinds[kind] = kinds.get(kind, 0) + 1
            found[path] = own.get(path, follow_redirects=True)
            todo += [unescape(each) for each in HREF.findall(found[path].text) if not NOT_A_PAGE.search(each)]
            assert len(found) <= PAGES_MAX, "pages without an end"
    return found


@contextmanager
def _browser(site: httpx.Client, person: str, language: Language) -> Iterator[httpx.Client]:
    """Somebody's own browser, signed in."""
    with httpx.Client(base_url=site.base_url, trust_env=False, timeout=30, headers={"accept": "text/html"}) as own:
        own.cookies.set(LANGUAGE_COOKIE, language)
        sign_in(own, person, "2468")
        yield own


def _kind_of(path: str) -> str:
    """`/settlement/dongsi/2026-11` and its neighbour are pages of one kind; so are all filters of a list."""
    plain, _, query = path.partition("?")
    first, *rest = plain.strip("/").split("/")
    return f"{first}/{rest[0] if first == 'campaigns' and rest else ''}/{len(rest)}{'?' if query else ''}"


def _assert_words(path: str, page: str, language: Language) -> None:
    text = unescape(TAGS.sub(" ", page))
    assert f'lang="{"zh-CN" if language == "zh" else "en"}"' in page, path
    assert SPOKEN[language] in page or "<nav" not in page, path
    assert KEY.findall(text) == [], f"{path} shows keys"
    for label in re.findall(r'(?:aria-label|title|placeholder)="([^"]*)"', page):
        assert not KEY.search(label), f"{path}: {label}"
    assert page.count("<h1") == 1, f"{path} has {page.count('<h1')} headings of the first rank"
    for field in re.findall(r"<(?:input|select|textarea)\b[^>]*>", page):
        named = 'type="hidden"' in field or "aria-label" in field or _is_labelled(page, field)
        assert named, f"{path}: {field} has no label"


def _is_labelled(page: str, field: str) -> bool:
    """Whether every place where the field stands is inside a `<label>`."""
    return all(
        page.rfind("<label", 0, found.start()) > page.rfind("</label>", 0, found.start())
        for found in re.finditer(re.escape(field), page)
    )


def test_pages_link_to_no_year_that_there_is_none_of(site: httpx.Client) -> None:
    with _browser(site, "f01", "zh") as own:
        assert "/year/2009" in own.get(f"/merchants/{MERCHANT}/year/2010").text
        assert "/year/2008" not in own.get(f"/merchants/{MERCHANT}/year/2009").text
