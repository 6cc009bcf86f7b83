"""Doubts about words and names: a translation that is missing, an entry written twice, one that nothing uses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from config.errors import Words
from terminal.offers.findings import Finding, Location, warning
from terminal.offers.model import Book, Offer
from terminal.offers.prepared import attributes_read
from terminal.offers.values import Wording

_TRANSLATE = Words("补上译文", "put in the translation")
_UNUSED = Words("删去，或在一项优惠中写上它", "take it out, or name it in an offer")
_ONCE = Words("只留一处", "keep one of them")
_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_SMALL_LETTER = re.compile(r"[a-z]")  # "2D" and "VIP" are the same in both languages; a word has small letters


def untranslated(book: Book) -> Iterator[Finding]:
    """A zh without Chinese, or an en with Chinese in it."""
    yield from _wordings(book, ())


def _wordings(value: object, here: Location) -> Iterator[Finding]:
    if isinstance(value, Wording):
        if _CHINESE.search(value.en):
            yield warning((*here, "en"), f"不是英文：{value.en}", f"is not English: {value.en}", _TRANSLATE)
        if not _CHINESE.search(value.zh) and _SMALL_LETTER.search(value.zh):
            yield warning((*here, "zh"), f"不是中文：{value.zh}", f"is not Chinese: {value.zh}", _TRANSLATE)
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _wordings(getattr(value, name), (*here, name))
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _wordings(inner, (*here, name))
    elif isinstance(value, tuple):
        for index, inner in enumerate(value):
            yield from _wordings(inner, (*here, index))


def unused(book: Book) -> Iterator[Finding]:
    """Categories, questions and merchants that no offer speaks of."""
    sold = {name for offer in book.offers for name in offer.what.categories}
    asked = {name for offer in book.offers for name in attributes_read(offer)}
    for name in book.categories:
        if name not in sold:
            yield warning(("categories", name), "没有优惠使用这个类别", "is a category of no offer", _UNUSED)
    for name in book.attributes:
        if name not in asked:
            yield warning(("attributes", name), "没有优惠问这个问题", "is a question that no offer asks", _UNUSED)
    if any(not offer.where.merchants and not offer.where.sites for offer in book.offers):
        return
    named = {name.partition("/")[0] for offer in book.offers for name in (*offer.where.merchants, *offer.where.sites)}
    for index, merchant in enumerate(book.merchants):
        if merchant.id not in named:
            yield warning(("merchants", index), "这家商户没有任何优惠", "is a merchant without any offer", _UNUSED)


def written_twice(_book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    """A name that stands twice in one list, or a site whose whole merchant is named beside it."""
    lists: tuple[tuple[Location, Sequence[str]], ...] = (
        (("who", "classes"), offer.who.classes),
        (("where", "merchants"), offer.where.merchants),
        (("where", "sites"), offer.where.sites),
        (("what", "categories"), offer.what.categories),
        (("when", "days"), offer.when.days),
    )
    for place, names in lists:
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            yield warning((*here, *place), f"{name} 写了两次", f"names {name} twice", _ONCE)
    for site in offer.where.sites:
        if site.partition("/")[0] in offer.where.merchants:
            yield warning(
                (*here, "where", "sites"),
                f"{site} 所属商户已整家列出",
                f"names {site}, whose whole merchant is named already",
                _ONCE,
            )
