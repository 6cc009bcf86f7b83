"""The values that a book is written in: ids, days, times, amounts and wordings, all strict, with their bounds."""

from __future__ import annotations

import re
import zoneinfo
from datetime import date, time
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from config.errors import Words

AMOUNT_FEN_MAX = 100_000_000  # one million yuan: no counter sale of the programme comes near
WORDING_CHARS_MAX = 200

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?")


def _written_day(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not _DAY.fullmatch(value):  # pydantic would read "0" as a timestamp
        raise PydanticCustomError("date_type", "a day is written YYYY-MM-DD")
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise PydanticCustomError("date_parsing", "no day of the calendar") from error


def _written_time(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not _TIME.fullmatch(value):  # a zone would make it another day's time
        raise PydanticCustomError("time_type", "a time is written HH:MM or HH:MM:SS, without a zone")
    try:
        return time.fromisoformat(value)
    except ValueError as error:
        raise PydanticCustomError("time_parsing", "no time of the day") from error


def _known_zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:  # unknown key, a path that escapes, a directory
        raise PydanticCustomError("zone_unknown", "no known zone") from error
    return value


ID = r"[a-z0-9]+([-_][a-z0-9]+)*"  # of offers, merchants, sites and whatever else a book names
ID_CHARS_MAX = 64
Id = Annotated[str, StringConstraints(pattern=rf"^{ID}$", max_length=ID_CHARS_MAX)]
SiteReference = Annotated[str, StringConstraints(pattern=rf"^{ID}/{ID}$")]
Day = Annotated[date, BeforeValidator(_written_day)]
TimeOfDay = Annotated[time, BeforeValidator(_written_time)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Fen = Annotated[int, Field(ge=0, le=AMOUNT_FEN_MAX)]
# Not blank, and without braces: `Words` would take them for places to fill.
Text = Annotated[str, StringConstraints(pattern=r"^[^{}]*[^{}\s][^{}]*$", max_length=WORDING_CHARS_MAX)]
BasisPoints = Annotated[int, Field(gt=0, lt=10_000)]  # of the list price that the member PAYS: 75 折 is 7500


class Part(BaseModel):
    """What all parts of a book have in common."""

    # Deferred: the book's own validator holds those of its parts; building each at import would double a start's work.
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", defer_build=True)


class Wording(Part):
    """A name or label in both languages; neither may be missing."""

    zh: Text
    en: Text

    @property
    def words(self) -> Words:
        """The same as `Words`, for messages."""
        return Words(self.zh, self.en)
