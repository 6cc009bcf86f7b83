"""A released book is as it was signed, by the key that the settings name, or it is not taken."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from terminal.offers.book import BookInvalid, canonical_json, check_book, load_book
from terminal.offers.signature import DOMAIN, BookSignatureInvalid, BookUnsigned, signed_form
from tests.fakes.offers import BOOK, BOOK_PATH

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
FLIPS_EVERY = 13  # bytes: every byte would take minutes; 13 meets every field and every kind of character


def text_of(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def form(key: Ed25519PrivateKey = KEY) -> str:
    return signed_form(canonical_json(BOOK.book), BOOK.revision, key.public_key().public_bytes_raw(), key.sign)


@pytest.fixture
def released(tmp_path: Path) -> Path:
    path = tmp_path / "book.json"
    path.write_text(form(), encoding="utf-8")
    return path


def test_signed_book_is_the_very_book(released: Path) -> None:
    assert load_book(released, text_of(KEY)) == load_book(released) == BOOK
    assert check_book(released) == ()
    assert json.loads(released.read_text(encoding="utf-8"))["sha256"] == BOOK.hash


def test_another_keys_book_is_refused_only_where_a_key_is_set(tmp_path: Path) -> None:
    path = tmp_path / "book.json"
    path.write_text(form(OTHER), encoding="utf-8")
    assert load_book(path) == BOOK
    with pytest.raises(BookSignatureInvalid, match="another key"):
        load_book(path, text_of(KEY))


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_unsigned_book_is_refused_where_a_key_is_set(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"book{suffix}"
    path.write_bytes(BOOK_PATH.read_bytes() if suffix == ".toml" else canonical_json(BOOK.book).encode())
    with pytest.raises(BookUnsigned):
        load_book(path, text_of(KEY))
    assert load_book(path) == BOOK


def resigned(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], object]:
    """The same change, signed by the right key: what a careless tool might release."""

    def apply(data: dict[str, Any]) -> None:
        change(data)
        canonical = json.dumps(data["book"], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        whole = json.loads(signed_form(canonical, 1, KEY.public_key().public_bytes_raw(), KEY.sign))
        data.update(sha256=whole["sha256"], signature=whole["signature"])

    return apply


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data.update(revision=2), "revision"),
        (lambda data: data.update(revision=True), "revision"),
        (lambda data: data["book"].update(revision=2), "what its hash says"),
        (lambda data: data["book"]["offers"].reverse(), "what its hash says"),
        (lambda data: data.update(sha256="0" * 64), "what its hash says"),
        (lambda data: data.update(sha256=None), "what its hash says"),
        (lambda data: data.update(signature=base64.b64encode(bytes(64)).decode()), "over other content"),
        (lambda data: data.update(key=text_of(OTHER)), "another key"),
        (lambda data: data.update(key="A"), "damaged"),
        (lambda data: data.update(signature=7), "damaged"),
        (lambda data: data.update(comment="new"), "damaged"),
        (lambda data: data.pop("sha256"), "damaged"),
        (lambda data: data.update(book=[]), "damaged"),
        (lambda data: data["book"].update(tz="\ud800"), "what its hash says"),
        (resigned(lambda data: data["book"].update(revision=9)), "revision"),
        (resigned(lambda data: data["book"]["offers"][0].update(fees=[])), "one spelling"),
    ],
)
def test_change_after_signing_is_found(change: Callable[[dict[str, Any]], object], reason: str, released: Path) -> None:
    data = json.loads(released.read_text(encoding="utf-8"))
    change(data)
    released.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(BookSignatureInvalid, match=reason) as caught:
        load_book(released, text_of(KEY))
    assert caught.value.hint_text("zh")


def test_a_signature_for_another_use_is_none(released: Path) -> None:
    data = json.loads(released.read_text(encoding="utf-8"))
    canonical = canonical_json(BOOK.book).encode()
    data["signature"] = base64.b64encode(KEY.sign(canonical)).decode()
    released.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(BookSignatureInvalid, match="other content"):
        load_book(released)
    data["signature"] = base64.b64encode(KEY.sign(DOMAIN + canonical)).decode()
    released.write_text(json.dumps(data), encoding="utf-8")
    assert load_book(released) == BOOK


def test_flipped_byte_is_refused_or_means_the_same(tmp_path: Path) -> None:
    whole, path, refused = form().encode(), tmp_path / "book.json", 0
    for place in [*range(0, len(whole) - 400, FLIPS_EVERY), *range(len(whole) - 400, len(whole))]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        try:
            assert load_book(path, text_of(KEY)) == BOOK, place
        except (BookUnsigned, BookSignatureInvalid, BookInvalid):
            refused += 1
    assert refused > len(whole) // FLIPS_EVERY // 2


def test_cut_file_is_refused(tmp_path: Path) -> None:
    whole, path = form().encode(), tmp_path / "book.json"
    for length in range(0, len(whole) - 1, 997):
        path.write_bytes(whole[:length])
        with pytest.raises(BookInvalid):
            load_book(path, text_of(KEY))
