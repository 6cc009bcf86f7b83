"""The offer book: from a TOML or JSON file to a checked, hashed, immutable revision that is ready to quote from.

Both forms go through the same JSON validation: the same book written either way is the same object, with one hash.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from config.errors import JingkaError, Retry, Words
from terminal.offers.catalogue import Agreement, Merchant
from terminal.offers.findings import Finding, findings_of, line_of
from terminal.offers.lint import lint, mistakes
from terminal.offers.model import Book, Offer, When
from terminal.offers.prepared import PreparedOffer, prepare
from terminal.offers.proofs import Proof, VoucherProof
from terminal.offers.signature import BookUnsigned, check_spelling, is_signed, verified

BOOK_BYTES_MAX = 4 * 1024 * 1024  # 1,000 offers of 4 kB, the model's own bound

Format = Literal["toml", "json"]
_SYNTAX_LINE = re.compile(r"line (\d+)")


class BookMissing(JingkaError):
    """There is no book to read, or it may not be read."""

    code = "book-missing"
    retry = Retry.STOP
    what = Words("读不到优惠册 {subject}：{cause}", "the offer book {subject} cannot be read: {cause}")
    hint = Words(
        "请检查设置中的优惠册路径和文件权限", "check the book's path in the settings and the file's permissions"
    )


class BookInvalid(JingkaError):
    """The book cannot be used; `findings` says what is wrong and where, all of it."""

    code = "book-invalid"
    retry = Retry.STOP
    what = Words(
        "优惠册 {subject} 有 {count} 处错误：{first_zh}", "the offer book {subject} has {count} mistake(s): {first_en}"
    )
    hint = Words(
        "请运行 jingka book check 查看全部错误并改正",
        "run jingka book check to see all of them and mend the book",
    )

    def __init__(self, subject: str, findings: tuple[Finding, ...]) -> None:
        first = findings[0]
        super().__init__(
            "read book",
            subject,
            count=len(findings),
            path=first.path,
            line=first.line or 0,
            nearest=first.nearest or "",
            first_zh=first.text("zh"),
            first_en=first.text("en"),
        )
        self.findings = findings


@dataclass(frozen=True, slots=True)
class LoadedBook:
    """One revision, ready to quote from. `hash` is the SHA-256, in hex, of the book's canonical JSON."""

    book: Book
    revision: int
    hash: str
    zone: ZoneInfo
    offers: Mapping[str, PreparedOffer]

    @classmethod
    def of(cls, book: Book) -> LoadedBook:
        """Prepare a book that `check_book` has found without errors."""
        return cls(book, book.revision, book_hash(book), ZoneInfo(book.tz), prepare(book))


def load_book(path: Path, signed_by: str | None = None) -> LoadedBook:
    """Read, check and prepare a book. The suffix `.json` means JSON, anything else TOML.

    A signed book must be as it was signed; with `signed_by`, a public key in base64, no other book is taken. Raises
    `BookMissing`, `BookInvalid`, `BookUnsigned` or `BookSignatureInvalid`.
    """
    book, findings = _checked(_read(path), _format_of(path), _Seal(str(path), signed_by))
    errors = tuple(finding for finding in findings if finding.severity == "error")
    if book is None or errors:
        raise BookInvalid(str(path), errors)
    return LoadedBook.of(book)


def parse_book(source: str | bytes, form: Format) -> Book:
    """A book from text that a person or headquarters wrote. Raises `BookInvalid` with every finding."""
    book, findings = _checked(source, form, _Seal(form))
    errors = tuple(finding for finding in findings if finding.severity == "error")
    if book is None or errors:
        raise BookInvalid(form, errors)
    return book


def check_book(path: Path) -> tuple[Finding, ...]:
    """Everything a person would regret about this book, errors first.

    Raises `BookMissing`, and `BookSignatureInvalid` for a signed one that was changed.
    """
    _, findings = _checked(_read(path), _format_of(path), _Seal(str(path)), look=lint)
    return _errors_first(findings)


def check_text(source: str, form: Format) -> tuple[Book | None, tuple[Finding, ...]]:
    """What `check_book` finds in a draft that is in no file, and the book where it has a readable form.

    Raises `BookSignatureInvalid` for a signed one that was changed.
    """
    book, findings = _checked(source, form, _Seal(form), look=lint)
    return book, _errors_first(findings)


def canonical_json(book: Book) -> str:
    """The book in its one spelling: sorted keys, no blanks, nothing that is default. Reads back as an equal book."""
    plain = book.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def book_hash(book: Book) -> str:
    """SHA-256 over the canonical JSON in UTF-8, in hex."""
    return hashlib.sha256(canonical_json(book).encode()).hexdigest()


def _errors_first(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: (finding.severity != "error", finding.line or 0)))


# Reading ------------------------------------------------------------------------------------------------------------


def _format_of(path: Path) -> Format:
    return "json" if path.suffix == ".json" else "toml"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(BOOK_BYTES_MAX + 1)
    except OSError as error:
        raise BookMissing("read book", str(path), cause=error.strerror or "") from error


@dataclass(frozen=True, slots=True)
class _Seal:
    """What a signature must be: on the book called `subject`, by the key `signed_by` (None: any, or none at all)."""

    subject: str
    signed_by: str | None = None


def _checked(
    source: str | bytes,
    form: Format,
    seal: _Seal,
    look: Callable[[Book], tuple[Finding, ...]] = mistakes,
) -> tuple[Book | None, tuple[Finding, ...]]:
    """The book, None when it has no readable form, and what is wrong with it; `look` says what of a readable one."""
    size = len(source if isinstance(source, bytes) else source.encode(errors="surrogatepass"))
    if size > BOOK_BYTES_MAX:
        words = Words(f"文件超过 {BOOK_BYTES_MAX} 字节", f"is larger than {BOOK_BYTES_MAX} bytes")
        return None, (Finding("error", (), words),)
    try:
        text = source.decode() if isinstance(source, bytes) else source
        data = tomllib.loads(text) if form == "toml" else json.loads(text, object_pairs_hook=_unique_keys)
        signed = data if form == "json" and is_signed(data) else None
        if signed is not None:
            data = verified(signed, seal.subject, seal.signed_by)
        elif seal.signed_by is not None:
            raise BookUnsigned("read book", seal.subject)
        plain = json.dumps(data, default=_plain)
    except (ValueError, RecursionError) as error:  # syntax, encoding, a repeated key, nesting beyond reason
        match = _SYNTAX_LINE.search(str(error))
        words = Words(f"文件格式错误：{error}", f"cannot be read as {form.upper()}: {error}")
        return None, (Finding("error", (), words, line=int(match.group(1)) if match else None),)
    book: Book | None = None
    try:
        book = Book.model_validate_json(plain)
        if signed is not None:
            check_spelling(signed, book_hash(book), seal.subject)
        findings = look(book)
    except ValidationError as error:
        findings = findings_of(error, Book)
    if form == "toml":
        findings = tuple(replace(finding, line=line_of(finding.location, text)) for finding in findings)
    return book, findings


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one table")
    return table


def _plain(value: object) -> str:
    """TOML's own days and times as the text that JSON has for them."""
    assert isinstance(value, date | time | datetime), value
    return value.isoformat()


# Moving a campaign --------------------------------------------------------------------------------------------------


def moved_to(book: Book, today: date) -> Book:
    """The book with all its days moved by the same number, so that its campaigns are on today; all else as it is.

    What comes to lie on `today` is the first day on which all dated offers hold (the first day of any, when they never
    all do). A book that is on today already is returned as it is. For demonstrations.
    """
    firsts = [offer.when.first_day for offer in book.offers if offer.when.first_day]
    lasts = [last for offer in book.offers if (last := _last_day(offer))]
    if not firsts:
        return book
    common, last = max(firsts), min(lasts, default=date.max)
    if common <= today <= last:
        return book
    return _shifted(book, today - (common if common <= last else min(firsts)))


def _last_day(offer: Offer) -> date | None:
    days = [proof.last_day for proof in offer.proof if isinstance(proof, VoucherProof)]
    return min((day for day in (*days, offer.when.last_day) if day), default=None)


def _shifted(book: Book, by: timedelta) -> Book:
    offers = tuple(
        offer.model_copy(
            update={
                "when": _shifted_when(offer.when, by),
                "proof": tuple(_shifted_proof(proof, by) for proof in offer.proof),
            }
        )
        for offer in book.offers
    )
    merchants = tuple(_shifted_merchant(merchant, by) for merchant in book.merchants)
    return book.model_copy(update={"offers": offers, "merchants": merchants})


def _shifted_when(when: When, by: timedelta) -> When:
    return when.model_copy(
        update={
            "first_day": when.first_day and when.first_day + by,
            "last_day": when.last_day and when.last_day + by,
            "blackout": tuple(day + by for day in when.blackout),
        }
    )


def _shifted_proof(proof: Proof, by: timedelta) -> Proof:
    if not isinstance(proof, VoucherProof) or proof.last_day is None:
        return proof
    return proof.model_copy(update={"last_day": proof.last_day + by})


def _shifted_merchant(merchant: Merchant, by: timedelta) -> Merchant:
    old = merchant.agreement
    renewal = old.renewal
    if renewal is not None and renewal.objected_on is not None:
        renewal = renewal.model_copy(update={"objected_on": renewal.objected_on + by})
    agreement = Agreement(first_day=old.first_day + by, last_day=old.last_day + by, renewal=renewal)
    return merchant.model_copy(update={"agreement": agreement})
