"""Whatever book the model lets through can be checked, explained, compared, released and described by its schema."""

from __future__ import annotations

import json

import jsonschema
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings

from terminal.offers.book import book_hash, canonical_json, parse_book
from terminal.offers.diff import diff
from terminal.offers.explain import explain
from terminal.offers.findings import FINDINGS_MAX
from terminal.offers.lint import lint, mistakes
from terminal.offers.schema import book_schema
from terminal.offers.signature import signed_form
from tests.terminal.offers.reference.worlds import World, worlds

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
VALIDATOR = jsonschema.Draft202012Validator(json.loads(book_schema()))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(world=worlds())
def test_any_book_can_be_looked_at_in_every_way(world: World) -> None:
    book = world.book.book
    found = lint(book)
    assert len(found) <= FINDINGS_MAX
    assert all(finding.text("zh") and finding.text("en") for finding in found)
    assert mistakes(book) == tuple(finding for finding in found if finding.severity == "error") == ()
    for offer in book.offers:
        words = explain(book, offer)
        assert words.zh.endswith("。")
        assert not set("{}") & set(words.zh + words.en)
    assert diff(book, book) == ()
    canonical = canonical_json(book)
    assert VALIDATOR.is_valid(json.loads(canonical))
    released = parse_book(signed_form(canonical, book.revision, KEY.public_key().public_bytes_raw(), KEY.sign), "json")
    assert (released, book_hash(released)) == (book, world.book.hash)
