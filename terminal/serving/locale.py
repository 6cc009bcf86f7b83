"""What the pages say, in both languages: catalogues as TOML files, one pair per room, with the same keys and places.

catalogue = load_catalogue(SERVING_LOCALE, Path("terminal/web/locale"))
words = catalogue.locale("zh")
words.t("counter.take", amount=words.money(1000))
"""

from __future__ import annotations

import string
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from config.errors import LANGUAGES, Language
from config.zone import SHANGHAI

SERVING_LOCALE = Path(__file__).parent / "locale"
LANGUAGE_COOKIE = "jingka_language"

_BABEL_NAMES: Mapping[Language, str] = {"zh": "zh_CN", "en": "en_GB"}


@dataclass(frozen=True)
class Catalogue:
    """All sentences: `texts[language]["counter.take"]`."""

    texts: Mapping[Language, Mapping[str, str]]

    def locale(self, language: Language) -> Locale:
        """The sentences of one language."""
        return Locale(language, self.texts[language])

    def disagreements(self) -> list[str]:
        """Keys that one language lacks, or whose places differ: must be empty."""
        zh, en = self.texts["zh"], self.texts["en"]
        found = [f"{key}: only in {'zh' if key in zh else 'en'}" for key in sorted(zh.keys() ^ en.keys())]
        for key in sorted(zh.keys() & en.keys()):
            if places_of(zh[key]) != places_of(en[key]):
                found.append(f"{key}: places {sorted(places_of(zh[key]))} and {sorted(places_of(en[key]))}")
        return found


@dataclass(frozen=True)
class Locale:
    """One language's sentences, money and times."""

    language: Language
    texts: Mapping[str, str]

    def t(self, key: str, **numbers: object) -> str:
        """The sentence `key` with its places filled. An unknown key or a missing number is a fault of ours."""
        return self.texts[key].format(**numbers)

    def known(self, key: str) -> bool:
        """Whether there is a sentence `key`: for words that come from data, like an attribute's name."""
        return key in self.texts

    @staticmethod
    def money(fen: int) -> str:
        """Fen as yuan: 123450 is `¥1,234.50`."""
        yuan, rest = divmod(abs(fen), 100)
        return f"{'−' if fen < 0 else ''}¥{yuan:,}.{rest:02d}"

    def day(self, day: date) -> str:
        """A calendar day with its weekday."""
        from babel.dates import format_date

        return format_date(day, "full" if self.language == "zh" else "EEE d MMM y", locale=self._babel)

    @staticmethod
    def clock(at: datetime) -> str:
        """The time of day in Shanghai, to the second."""
        return at.astimezone(SHANGHAI).strftime("%H:%M:%S")

    @staticmethod
    def moment(at: datetime) -> str:
        """The day and the time in Shanghai, to the minute."""
        return at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M")

    def clock_of(self, instant: str) -> str:
        """The same of an RFC 3339 instant, as the ledger writes them."""
        return self.clock(datetime.fromisoformat(instant))

    def duration(self, seconds: float) -> str:
        """A length of time, rounded to its largest unit: `2分钟`, `3 hours`."""
        from babel.dates import format_timedelta

        return format_timedelta(timedelta(seconds=seconds), locale=self._babel)

    @cached_property
    def _babel(self) -> str:
        return _BABEL_NAMES[self.language]


def load_catalogue(*directories: Path) -> Catalogue:
    """Read `zh.toml` and `en.toml` of each directory into one catalogue. A key given twice is a fault of ours."""
    texts: dict[Language, dict[str, str]] = {language: {} for language in LANGUAGES}
    for directory in directories:
        for language in LANGUAGES:
            tree = tomllib.loads((directory / f"{language}.toml").read_text(encoding="utf-8"))
            for key, text in _flatten(tree, ""):
                assert key not in texts[language], f"{directory / language}.toml repeats {key}"
                texts[language][key] = text
    return Catalogue(texts)


def places_of(text: str) -> frozenset[str]:
    """The names of the `{places}` in a sentence."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name)


def language_of(headers: Mapping[str, str], default: Language) -> Language:
    """The language to answer in: the switch on the page (a cookie) first, then `Accept-Language`, then the default."""
    return cookie_language(headers) or _accepted(headers.get("accept-language", "")) or default


def cookie_language(headers: Mapping[str, str]) -> Language | None:
    """What the language switch was set to, if it was used."""
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == LANGUAGE_COOKIE:
            return _known(value)
    return None


def _accepted(header: str) -> Language | None:
    """The first language we speak in an `Accept-Language` header. Clients list them best first."""
    return next(filter(None, map(_known, header.split(","))), None)


def _known(tag: str) -> Language | None:
    primary = tag.strip().partition(";")[0].partition("-")[0].lower()
    return next((language for language in LANGUAGES if language == primary), None)


def _flatten(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            assert isinstance(value, str), f"{prefix}{key} is no text"
            yield f"{prefix}{key}", value


def catalogue_keys(catalogue: Catalogue, prefix: str) -> Sequence[str]:
    """Every key that begins with `prefix`, to check that a closed list of codes has all its words."""
    return sorted(key for key in catalogue.texts["zh"] if key.startswith(prefix))
