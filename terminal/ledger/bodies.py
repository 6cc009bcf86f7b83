"""What each kind of entry says: one frozen dataclass per kind, checked when it is written and when it is read. Pure.

    authorised  Authorisation   the whole sale as quoted, and what it uses up
    completed   Completion      the bank's POS took the money
    cancelled   Cancellation    it did not; everything is given back
    voided      Voiding         a mistake found later; some or all units are given back

An entry says in full what it gives back, so that nobody who replays it needs to know offers or today's rules.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from terminal.ledger.entry import INTEGER_MAX, Entry, EntryKind, Json, is_redemption_id
from terminal.ledger.errors import CardNumberTyped, EntryInvalid

LINES_MAX = 64  # a shop's bill at one counter; DOMAIN's offers need one or two
CLAIMS_MAX = 32  # limits of one offer, each claimed once
PROOFS_MAX = 32
TEXT_CHARS_MAX = 200  # names, reasons, references: what a cashier or an offer book writes in a field
KEY_CHARS_MAX = 1_000  # an offer, a limit, a token of 67 characters, a voucher or showing percent-encoded from Chinese

# UnionPay numbers (62…, 16 to 19 digits), also with blanks or hyphens, also mistyped: so no check digit is asked.
_CARD_NUMBER = re.compile(r"(?<!\d)6[ -]?2(?:[ -]?\d){14,17}(?!\d)")

Text = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=TEXT_CHARS_MAX)]
Key = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=KEY_CHARS_MAX)]
Token = Annotated[str, StringConstraints(strict=True, pattern=r"^v[0-9]{1,6}:[0-9a-f]{64}$")]
LastFour = Annotated[str, StringConstraints(strict=True, pattern=r"^[^0-9]{0,16}[0-9]{4}$")]
Day = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
Count = Annotated[int, Field(strict=True, ge=1, le=INTEGER_MAX)]
Amount = Annotated[int, Field(strict=True, ge=0, le=INTEGER_MAX)]

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class UsageClaim:
    """`amount` used up under `key`, of which at most `max` may be used in all."""

    key: Key
    amount: Count
    max: Amount

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class GiveBack:
    """`amount` under `key` that may be used again."""

    key: Key
    amount: Count

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorisation:
    """A sale as the cashier confirmed it; money in fen, `units` is what a void can give back one by one.

    `id` and `cashier` stand in the entry itself, the rest is its body. `lines` and `fees` are plain JSON maps as the
    quote made them; `masked` shows no more than the last four digits. What came after the first version is None in
    older entries, and left out of the body when there is nothing to say: `authenticity_reason` is why a chip was not
    verified, `approved_by` the manager who let the number be typed.
    """

    id: str
    cashier: str
    business_day: Day
    merchant: Text
    site: Text
    token: Token
    person: Token
    masked: LastFour
    member_class: Text
    standing: Text
    entry_mode: Text
    reader: Text
    authenticity: Text
    offer: Text
    offer_name: Mapping[Text, Text]
    revision: Amount
    book_hash: Text
    lines: Annotated[tuple[Mapping[str, Any], ...], Field(min_length=1, max_length=LINES_MAX)]
    fees: Annotated[tuple[Mapping[str, Any], ...], Field(max_length=LINES_MAX)]
    list_fen: Amount
    pay_fen: Amount
    units: Count
    claims: Annotated[tuple[UsageClaim, ...], Field(max_length=CLAIMS_MAX)]
    proofs: Annotated[Mapping[Text, Any], Field(max_length=PROOFS_MAX)]
    granted: Text
    authenticity_reason: Text | None = None
    approved_by: Text | None = None

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class Completion:
    """The POS took the money; `pos_reference` is its 12-digit number where the offer asks for it."""

    pos_reference: Text | None

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The POS did not take the money: everything claimed is given back."""

    reason: Text
    gives_back: Annotated[tuple[GiveBack, ...], Field(max_length=CLAIMS_MAX)]

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class Voiding:
    """`units` more are void, worth `list_fen` and `pay_fen`; `gives_back` names the usage returned."""

    reason: Text
    units: Count
    list_fen: Amount
    pay_fen: Amount
    gives_back: Annotated[tuple[GiveBack, ...], Field(max_length=CLAIMS_MAX)]

    __pydantic_config__ = _STRICT


Body: TypeAlias = Authorisation | Completion | Cancellation | Voiding

_FORMS: dict[EntryKind, TypeAdapter[Any]] = {
    EntryKind.AUTHORISED: TypeAdapter(Authorisation),
    EntryKind.COMPLETED: TypeAdapter(Completion),
    EntryKind.CANCELLED: TypeAdapter(Cancellation),
    EntryKind.VOIDED: TypeAdapter(Voiding),
}
_KINDS: dict[type, EntryKind] = {
    Authorisation: EntryKind.AUTHORISED,
    Completion: EntryKind.COMPLETED,
    Cancellation: EntryKind.CANCELLED,
    Voiding: EntryKind.VOIDED,
}
ENVELOPE = ("id", "cashier")  # fields of Authorisation that stand in the entry, not in its body
_OPTIONAL = ("authenticity_reason", "approved_by")  # stand in the body only when there is something to say
_BODY_FIELDS = {form: tuple(f.name for f in dataclasses.fields(form) if f.name not in ENVELOPE) for form in _KINDS}


def kind_of(body: Body) -> EntryKind:
    """The kind of entry that carries `body`."""
    return _KINDS[type(body)]


def body_fields(body: Body) -> dict[str, Json]:
    """The body as it stands in the entry: plain maps and lists."""
    fields = {name: _plain(getattr(body, name)) for name in _BODY_FIELDS[type(body)]}
    if isinstance(body, Authorisation):
        for name in _OPTIONAL:
            if fields[name] is None:
                del fields[name]
    return fields


def parse_body(entry: Entry) -> Body:
    """The checked body of `entry`. Raises `EntryInvalid` naming the first wrong field, never its content."""
    fields: dict[str, object] = dict(entry.body)
    if entry.kind is EntryKind.AUTHORISED:
        if any(name in fields for name in ENVELOPE):
            raise EntryInvalid("read", "entry", reason="body names the envelope's fields")
        fields |= {"id": entry.redemption, "cashier": entry.cashier}
    body: Body = _checked(entry.kind, fields)
    return body


def check_authorisation(asked: Authorisation) -> Authorisation:
    """`asked` in the very form in which it will be read back. Raises `EntryInvalid` or `CardNumberTyped`."""
    fields: dict[str, object] = {**body_fields(asked), "id": asked.id, "cashier": asked.cashier}
    if not is_redemption_id(asked.id):
        raise EntryInvalid("authorise", asked.id, reason="the id is no UUIDv7")
    checked: Authorisation = _checked(EntryKind.AUTHORISED, fields)
    for field in ("proofs", "lines", "fees"):
        refuse_card_numbers("authorise", asked.id, field, getattr(checked, field))
    return checked


def refuse_card_numbers(operation: str, redemption: str, field: str, typed: object) -> None:
    """Raise `CardNumberTyped` when any text within `typed` looks like a card number."""
    for text in _texts(typed):
        if _CARD_NUMBER.search(unicodedata.normalize("NFKC", text)):
            raise CardNumberTyped(operation, redemption, field=field)


def _checked(kind: EntryKind, fields: dict[str, object]) -> Any:
    try:
        return _FORMS[kind].validate_python(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise EntryInvalid("read", "entry", reason=f"{kind}.{place}: {first['type']}") from None


def _plain(value: Any) -> Json:
    """Dataclasses and tuples as the maps and lists that JSON has."""
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, UsageClaim):
        return {"key": value.key, "amount": value.amount, "max": value.max}
    if isinstance(value, GiveBack):
        return {"key": value.key, "amount": value.amount}
    if isinstance(value, (dict, Mapping)):  # dict first: asking for the abstract class is ten times slower
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(inner) for inner in value]
    plain: Json = value
    return plain


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, Mapping)):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)
