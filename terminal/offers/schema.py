"""The book's form as a JSON Schema, for editors that complete and check while one is written."""

from __future__ import annotations

import json
from typing import Any, Final

from terminal.offers.model import Book

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
# JSON Schema's own "time" wants a zone (RFC 3339 section 5.6); the book's times are its own clock's.
_TIME: Final = {"type": "string", "pattern": r"^[0-9]{2}:[0-9]{2}(:[0-9]{2})?$"}


def book_schema() -> str:
    """The schema as JSON text, always spelt the same. What is more than form is left to `jingka book check`."""
    schema = Book.model_json_schema(by_alias=True)
    plain = {"$schema": DIALECT, **_mended(schema)}
    return json.dumps(plain, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _mended(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("format") == "time":
            return {**{key: inner for key, inner in value.items() if key not in {"format", "type"}}, **_TIME}
        return {key: _mended(inner) for key, inner in value.items()}
    return [_mended(inner) for inner in value] if isinstance(value, list) else value
