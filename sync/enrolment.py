"""How a machine becomes a terminal: once, with a code from headquarters, each side proving itself to the other.

The machine proves that it was invited (the code's secret) and that it holds its new key (it signs the request).
Headquarters proves that it made the code: its answer is signed by the key whose fingerprint the code carries.

A crash at any moment is repaired by running it again: the key is on disk before headquarters hears of it, and
headquarters answers the same code from the same key with the same words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sync.enrolment_code import EnrolmentCode, parse_code
from sync.errors import (
    AlreadyEnrolled,
    AnswerUnverified,
    CodeRefused,
    EnrolmentDamaged,
    HeadquartersUntrusted,
    KeyDamaged,
    KeyMissing,
    MessageMalformed,
    NotEnrolled,
    SignatureInvalid,
    SignatureMissing,
)
from sync.private_file import read_private, replace_private
from sync.wire import (
    ENROLMENTS_PATH,
    EnrolmentAnswer,
    EnrolmentRequest,
    ProblemCode,
    encode_message,
    parse_message,
    parse_timestamp,
)

if TYPE_CHECKING:
    import httpx

    from sync.line import Exchange

KEY_FILE: Final = "device.key"
ENROLMENT_FILE: Final = "enrolment.json"
DISTRIBUTION: Final = "jingka-terminal"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Who this terminal is, as headquarters said; `headquarters_key` has 32 bytes, `name` is for people."""

    terminal: str
    merchant: str
    site: str
    name: str
    headquarters_key: bytes


def enrol(
    url: str,
    code: str,
    data_dir: Path,
    transport: httpx.BaseTransport | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Enrolment:
    """Makes this machine a terminal of the headquarters at `url`; writes `device.key` and `enrolment.json`.

    Doing it again with the same code is harmless. Errors: `CodeMistyped` (before anything is sent), `CodeRefused`,
    `HeadquartersUntrusted`, `AlreadyEnrolled` (this directory belongs to a terminal of another headquarters),
    `LineDown` and the other answers of `sync.refusals`, and those of the key file.
    """
    from sync.line import Line  # the daemon only loads an enrolment, and starts the quicker without these
    from sync.release_keys import forget_release_keys
    from sync.signing import DeviceKey

    parsed = parse_code(code)
    try:
        existing = load_enrolment(data_dir)
    except NotEnrolled:
        pass
    else:
        if not parsed.promises(existing.headquarters_key):
            raise AlreadyEnrolled("enrol", str(data_dir), terminal=existing.terminal)
        return existing
    key = DeviceKey.load_or_create(data_dir / KEY_FILE)
    request = EnrolmentRequest(code=parsed.secret_text, public_key=key.public.hex(), version=version(DISTRIBUTION))
    line = Line(url, key=key, key_id=key.public.hex(), transport=transport)
    try:
        exchange = line.post(ENROLMENTS_PATH, encode_message(request), now=now())
        told = _headquarters_time(exchange)
        if told is not None:
            exchange = line.post(ENROLMENTS_PATH, encode_message(request), now=told)
    finally:
        line.close()
    answer, body = _proven(exchange, parsed, url)
    forget_release_keys(data_dir)  # those of another headquarters, whose enrolment somebody took away
    replace_private(data_dir / ENROLMENT_FILE, body)
    return answer


def load_enrolment(data_dir: Path) -> Enrolment:
    """What `enrol` wrote; errors `NotEnrolled`, `EnrolmentDamaged`, `KeyExposed`."""
    path = data_dir / ENROLMENT_FILE
    try:
        return _enrolment(parse_message(EnrolmentAnswer, read_private(path)))
    except KeyMissing as error:
        raise NotEnrolled("load", str(path)) from error
    except (MessageMalformed, KeyDamaged) as error:
        raise EnrolmentDamaged("load", str(path), reason=error.what_text("en")) from error


def _headquarters_time(exchange: Exchange) -> datetime | None:
    """Headquarters' clock when it refused ours. Not yet provable, and it need not be: it only dates our own request."""
    from sync.refusals import problem_of

    problem = problem_of(exchange.response)
    if problem.code != ProblemCode.CLOCK_SKEWED or problem.time is None:
        return None
    return parse_timestamp(problem.time)


def _proven(exchange: Exchange, code: EnrolmentCode, url: str) -> tuple[Enrolment, bytes]:
    """The answer, once the code vouches for its key and its key for all of it; with the bytes to keep."""
    from sync.refusals import problem_of, refusal
    from sync.signing import verify_response

    if exchange.response.status not in (200, 201):
        if problem_of(exchange.response).code == ProblemCode.CODE_REFUSED:
            raise CodeRefused("enrol", url)
        raise refusal(exchange.response, url, "enrol")
    try:
        answer = _enrolment(parse_message(EnrolmentAnswer, exchange.response.body))
    except MessageMalformed as error:
        raise AnswerUnverified("enrol", url, reason=error.what_text("en")) from error
    if not code.promises(answer.headquarters_key):
        raise HeadquartersUntrusted("enrol", url)
    try:
        verify_response(exchange.response, exchange.request, headquarters_key=answer.headquarters_key)
    except (SignatureInvalid, SignatureMissing) as error:
        raise HeadquartersUntrusted("enrol", url) from error
    return answer, exchange.response.body


def _enrolment(answer: EnrolmentAnswer) -> Enrolment:
    return Enrolment(
        terminal=answer.terminal,
        merchant=answer.merchant,
        site=answer.site,
        name=answer.name,
        headquarters_key=bytes.fromhex(answer.headquarters_key),
    )
