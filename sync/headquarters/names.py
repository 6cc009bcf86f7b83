"""What merchants, their sites and offers are called: by the newest released book, else by their ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from config.errors import Language
from sync.headquarters.books import releases
from sync.headquarters.errors import StorageUnavailable
from sync.headquarters.remembered import Remembered
from sync.headquarters.storage import Storage

LOOK_EVERY_S: Final = 1.0  # a page of a hundred rows asks once, and a new release is named at once
FOUND_MAX: Final = 500  # merchants that one search by name means; more is no search
Told = Mapping[str, Mapping[Language, str]]


@dataclass(frozen=True, slots=True)
class BookNames:
    """The names in one book; `sites` by `merchant/site`."""

    revision: int = 0
    merchants: Told = field(default_factory=dict)
    sites: Told = field(default_factory=dict)
    offers: Told = field(default_factory=dict)


class Names:
    """Looks which book is the newest once a second at the most; reads each book once. Safe from any thread."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._remembered = Remembered(held_s_min=LOOK_EVERY_S)
        self._last = BookNames()

    def words(self, language: Language) -> Mapping[str, Callable[..., str]]:
        """For templates: `merchant_name(id)`, `site_name(merchant, id)`, `offer_title(id)`; an unknown id as it is."""

        def merchant_name(merchant: str) -> str:
            return self.now().merchants.get(merchant, {}).get(language, merchant)

        def site_name(merchant: str, site: str) -> str:
            return self.now().sites.get(f"{merchant}/{site}", {}).get(language, site)

        def offer_title(offer: str) -> str:
            return self.now().offers.get(offer, {}).get(language, offer)

        return {"merchant_name": merchant_name, "site_name": site_name, "offer_title": offer_title}

    def merchants_called(self, part: str) -> list[str]:
        """The ids of merchants whose name has `part` in it, in any language; at most `FOUND_MAX`."""
        wanted = part.casefold()
        told = self.now().merchants.items()
        return [one for one, name in told if any(wanted in each.casefold() for each in name.values())][:FOUND_MAX]

    def now(self) -> BookNames:
        """The names by now; those known last while the database does not answer: a page of a problem has names too."""
        try:
            self._last = self._remembered.answer("names", self._look)
        except StorageUnavailable:
            return self._last
        return self._last

    def _look(self) -> BookNames:
        with self._storage.read() as connection:
            revision = releases.newest(connection)
            if revision in (0, self._last.revision):
                return self._last
            book = releases.content_of(connection, revision).book
        return BookNames(
            revision,
            {each.id: {"zh": each.name.zh, "en": each.name.en} for each in book.merchants},
            {
                f"{each.id}/{site.id}": {"zh": site.name.zh, "en": site.name.en}
                for each in book.merchants
                for site in each.sites
            },
            {each.id: {"zh": each.name.zh, "en": each.name.en} for each in book.offers},
        )
