"""What a terminal and headquarters say to each other, version 1 (`/api/v1`).

Entries travel as the very text that the ledger hashed: `EntryMessage.body` is the canonical JSON as a string, so
headquarters proves the chain over the same bytes and never over its own idea of them.

Requests refuse unknown fields: a terminal newer than headquarters is told so instead of being half understood. Answers
ignore them: headquarters may say more in time without breaking the terminals that are out there.
"""

from __future__ import annotations

import gzip
import zlib
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator
from pydantic import Field as Bounded

from sync.errors import BodyTooLarge, EncodingUnknown, MessageMalformed

API: Final = "/api/v1"
ENROLMENTS_PATH: Final = f"{API}/enrolments"

# One batch is one HTTP request and one transaction at headquarters: big enough that a week without a line drains in
# minutes, small enough that a slow uplink (1 Mbit/s) carries it, compressed, within the request's time limit.
BATCH_ENTRIES_MAX: Final = 500
# One entry is 1 to 3 kB as a rule and 64 KiB at most in today's ledger; the wire leaves room for a later one.
ENTRY_BYTES_MAX: Final = 256 * 1024
# A single entry of the largest size fits many times, though JSON escaping may double it. Holds for a body as sent and
# for a body decompressed (a body that gzip does not shrink is sent plain, so one bound serves both).
BODY_BYTES_MAX: Final = 4 * 1024 * 1024
# An answer holds a few numbers and at most one flag per entry of the batch.
ANSWER_BYTES_MAX: Final = 256 * 1024

LABEL_CHARS_MAX: Final = 200  # a name or a code, as a person reads it
READERS_MAX: Final = 16  # a counter has one or two
ACCEPTS_CONDITION: Final = "condition"
NEWS_MAX: Final = 16  # feeds; there are half a dozen
NEWS_CHARS_MAX: Final = 128  # of a version: a number, a hash, or both

SEQUENCE_MAX: Final = 2**63 - 1  # a BIGINT at headquarters
COUNT_MAX: Final = 2**31 - 1  # an INTEGER at headquarters; a till makes that many entries in a thousand years
SKEW_MS_MAX: Final = 10**14  # three thousand years: any clock a PC can show
_GZIP_LEVEL: Final = 6  # zlib's own default: level 9 costs three times the time for one percent
_GZIP_WBITS: Final = 31  # zlib: gzip framing only


def entries_path(terminal: str) -> str:
    """Where this terminal's entries go; terminal ids need no escaping (`TerminalId`)."""
    return f"{API}/terminals/{terminal}/entries"


def feed_path(terminal: str, feed: str) -> str:
    """Where this terminal fetches a feed."""
    return f"{API}/terminals/{terminal}/{feed}"


# --- the small words --------------------------------------------------------------------------------------------------

TerminalId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""Safe in a URL path, a file name and a signature's `keyid` without escaping."""

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
PublicKey = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Sequence = Annotated[int, Bounded(ge=1, le=SEQUENCE_MAX)]
Watermark = Annotated[int, Bounded(ge=0, le=SEQUENCE_MAX)]
Timestamp = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
"""RFC 3339, UTC, milliseconds."""

Version = Annotated[str, StringConstraints(min_length=1, max_length=NEWS_CHARS_MAX)]
"""Of what a feed hands out; only ever compared for equality."""

Label = Annotated[str, StringConstraints(min_length=1, max_length=LABEL_CHARS_MAX)]


class ProblemCode(StrEnum):
    """The `code` of headquarters' problem documents; closed, and each the code of an error in `sync.errors`."""

    SEQUENCE_GAP = "sequence-gap"  # carries `expected`: send from there
    CHAIN_FORKED = "chain-forked"  # carries `expected`: the first number at which the chains part
    TERMINAL_UNKNOWN = "terminal-unknown"
    TERMINAL_REVOKED = "terminal-revoked"
    SIGNATURE_MISSING = "signature-missing"
    SIGNATURE_INVALID = "signature-invalid"
    CLOCK_SKEWED = "clock-skewed"  # carries `time`: headquarters' clock
    NONCE_REPLAYED = "nonce-replayed"
    MESSAGE_MALFORMED = "message-malformed"
    BODY_TOO_LARGE = "body-too-large"
    ENCODING_UNKNOWN = "encoding-unknown"
    CODE_REFUSED = "code-refused"  # enrolment code unknown, out of date, or used with another key
    BUSY = "busy"


PROBLEM_STATUS: Final[dict[ProblemCode, int]] = {
    ProblemCode.SEQUENCE_GAP: 409,
    ProblemCode.CHAIN_FORKED: 409,
    ProblemCode.TERMINAL_UNKNOWN: 401,
    ProblemCode.TERMINAL_REVOKED: 401,
    ProblemCode.SIGNATURE_MISSING: 401,
    ProblemCode.SIGNATURE_INVALID: 401,
    ProblemCode.CLOCK_SKEWED: 401,
    ProblemCode.NONCE_REPLAYED: 401,
    ProblemCode.MESSAGE_MALFORMED: 422,
    ProblemCode.BODY_TOO_LARGE: 413,
    ProblemCode.ENCODING_UNKNOWN: 415,
    ProblemCode.CODE_REFUSED: 403,
    ProblemCode.BUSY: 503,
}


# --- requests: unknown fields refused ---------------------------------------------------------------------------------


class Request(BaseModel):
    """What a terminal sends."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class EntryMessage(Request):
    """One ledger entry: `hash` is the chain's SHA-256 (hex), `body` the canonical JSON text it was taken over."""

    sequence: Sequence
    hash: Hash
    body: Annotated[str, StringConstraints(min_length=2, max_length=ENTRY_BYTES_MAX)]


class ReaderCondition(Request):
    """One card reader, as the terminal's page shows it."""

    name: Label
    state: Label


class Condition(Request):
    """How a terminal is; only informs. `book`, `roll` and `vouchers` are the revisions in force, `oldest_s` how long
    its oldest entry has waited by its own clock, `boot` names the machine's boot.
    """

    version: Label
    boot: Label | None = None
    book: Version | None = None
    roll: Version | None = None
    vouchers: Version | None = None
    oldest_s: Annotated[int, Bounded(ge=0, le=COUNT_MAX)] | None = None
    readers: Annotated[tuple[ReaderCondition, ...], Bounded(max_length=READERS_MAX)] = ()


class EntryBatch(Request):
    """Entries in sequence without a hole; an empty batch asks only for the watermark (the heartbeat).

    `waiting`: how many the terminal still has after these; `skew_ms`: its wall clock minus headquarters', as far as it
    knows (its signatures are dated by headquarters' time, so they do not show it). Both only inform, as `condition`
    does, which is sent only to a headquarters that has said (`Acknowledgement.accepts`) that it knows the field.
    """

    terminal: TerminalId
    entries: Annotated[tuple[EntryMessage, ...], Bounded(max_length=BATCH_ENTRIES_MAX)]
    waiting: Annotated[int, Bounded(ge=0, le=COUNT_MAX)] | None = None
    skew_ms: Annotated[int, Bounded(ge=-SKEW_MS_MAX, le=SKEW_MS_MAX)] | None = None
    condition: Condition | None = None

    @model_validator(mode="after")
    def _follow_on(self) -> Self:
        for first, second in zip(self.entries, self.entries[1:], strict=False):
            if second.sequence != first.sequence + 1:
                raise ValueError(f"entry {second.sequence} does not follow entry {first.sequence}")
        return self


class EnrolmentRequest(Request):
    """A machine asks to become a terminal: the code's secret part, its new public key, its software's version."""

    code: Annotated[str, StringConstraints(pattern=r"^[0-9A-HJKMNP-TV-Z]{16}$")]
    public_key: PublicKey
    version: Label


# --- answers: unknown fields ignored ----------------------------------------------------------------------------------


class Answer(BaseModel):
    """What headquarters sends."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Flag(Answer):
    """A fact that headquarters took in and finds fault with; it never blocks what is behind it."""

    sequence: Sequence
    code: Label


class Acknowledgement(Answer):
    """Headquarters has every entry up to and with `acknowledged`, durably; `time` is its clock as it answered.

    `head` is the chain's hash at that entry (None: nothing yet, or said by an older headquarters): with the signature
    over all of this, the terminal's receipt. `news` names the version of each feed (book, roll, …) that this terminal
    should have by now, `accepts` what a batch may hold beside what the first version knew; `rotate_key` asks for a new
    device key.
    """

    acknowledged: Watermark
    flagged: tuple[Flag, ...] = ()
    time: Timestamp
    news: Annotated[dict[str, Version], Bounded(max_length=NEWS_MAX)] = {}
    accepts: Annotated[tuple[Label, ...], Bounded(max_length=NEWS_MAX)] = ()
    rotate_key: bool = False
    head: Hash | None = None


class EnrolmentAnswer(Answer):
    """Who this machine is from now on, and the key that headquarters signs with; `name` is for people."""

    terminal: TerminalId
    merchant: Label
    site: Label
    name: Label
    headquarters_key: PublicKey
    time: Timestamp


class Problem(Answer):
    """RFC 9457, the part that a terminal acts on. `code` stays a string: an unknown one must be readable too."""

    code: str = "unknown"
    title: str = ""
    detail: str = ""
    expected: Watermark | None = None
    time: Timestamp | None = None


# --- bytes ------------------------------------------------------------------------------------------------------------

M = TypeVar("M", bound=BaseModel)


def parse_message(model: type[M], body: bytes) -> M:
    """A message from its JSON bytes; `MessageMalformed` names the place, never the value found there."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "message"
        raise MessageMalformed("parse", model.__name__, reason=f"{place}: {first['msg']}") from error


def encode_message(message: BaseModel, *, leave_out_none: bool = False) -> bytes:
    """The message as JSON bytes, UTF-8 as it is (no `\\u` escapes); `leave_out_none`: without fields that are None."""
    return message.model_dump_json(exclude_none=leave_out_none).encode()


def encode_body(plain: bytes) -> tuple[bytes, str | None]:
    """`plain` as it goes on the wire, with its `Content-Encoding`: gzip where that makes it smaller, else None."""
    if len(plain) > BODY_BYTES_MAX:
        raise BodyTooLarge("encode", "request body", max_bytes=BODY_BYTES_MAX)
    packed = gzip.compress(plain, _GZIP_LEVEL, mtime=0)  # mtime 0: the same batch gives the same bytes
    return (packed, "gzip") if len(packed) < len(plain) else (plain, None)


def decode_body(body: bytes, encoding: str | None, *, max_bytes: int = BODY_BYTES_MAX) -> bytes:
    """The plain bytes of a body; never more than `max_bytes` of them, however small the input that asks for it."""
    if len(body) > max_bytes:
        raise BodyTooLarge("decode", "request body", max_bytes=max_bytes)
    if encoding is None or encoding.lower() in ("", "identity"):
        return body
    if encoding.lower() != "gzip":
        raise EncodingUnknown("decode", "request body", encoding=encoding)
    inflate = zlib.decompressobj(wbits=_GZIP_WBITS)
    try:
        plain = inflate.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise MessageMalformed("decode", "request body", reason="not gzip") from error
    if len(plain) > max_bytes:
        raise BodyTooLarge("decode", "request body", max_bytes=max_bytes)
    if not inflate.eof or inflate.unused_data:
        raise MessageMalformed("decode", "request body", reason="gzip cut off or followed by something")
    return plain


def timestamp(moment: datetime) -> str:
    """`moment` (aware) as RFC 3339 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_timestamp(text: str) -> datetime:
    """The aware UTC time of a `Timestamp`; `MessageMalformed` for one that names no real moment."""
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise MessageMalformed("parse", "timestamp", reason="not a time") from error
