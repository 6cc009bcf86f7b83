"""What answers of headquarters other than yes mean to a terminal: status and problem document become a typed error."""

from __future__ import annotations

from typing import Final

from sync.errors import (
    HeadquartersBusy,
    HeadquartersFailing,
    HeadquartersRefused,
    MessageMalformed,
    SignatureInvalid,
    SignatureMissing,
    SyncError,
    TerminalRefused,
    TerminalRevoked,
    TerminalUnknown,
)
from sync.signing import HttpRequest, HttpResponse, verify_response
from sync.wire import Problem, ProblemCode, parse_message

RETRY_AFTER_S_DEFAULT: Final = 5
# Headquarters may ask for patience, but no answer (a proxy's least of all) may silence a terminal for longer.
RETRY_AFTER_S_MAX: Final = 300


def problem_of(response: HttpResponse) -> Problem:
    """The problem document in an answer; one with the code `unknown` when there is none (a proxy's page, say)."""
    try:
        return parse_message(Problem, response.body)
    except MessageMalformed:
        return Problem()


def is_proven(response: HttpResponse, request: HttpRequest, headquarters_key: bytes) -> bool:
    """Whether headquarters itself gave this answer to this very request: refusals are signed too."""
    try:
        verify_response(response, request, headquarters_key=headquarters_key)
    except (SignatureInvalid, SignatureMissing):
        return False
    return True


def refusal(response: HttpResponse, subject: str, operation: str, *, proven: bool = False) -> SyncError:
    """The error for any answer but an agreed yes. Unproven it is good for waiting and telling, never for acting."""
    status, code = response.status, problem_of(response).code
    if status == 429:
        return HeadquartersBusy(operation, subject, wait_s=retry_after_s(response))
    if status >= 500:
        return HeadquartersFailing(operation, subject, status=status, wait_s=retry_after_s(response, default=0))
    if status == 401:
        if code == ProblemCode.TERMINAL_UNKNOWN:
            return TerminalUnknown(operation, subject, proven=proven)
        if code == ProblemCode.TERMINAL_REVOKED:
            return TerminalRevoked(operation, subject, proven=proven)
        return TerminalRefused(operation, subject, problem=code)
    return HeadquartersRefused(operation, subject, status=status, problem=code, proven=proven)


def retry_after_s(response: HttpResponse, default: int = RETRY_AFTER_S_DEFAULT) -> int:
    """RFC 9110 section 10.2.3, bounded. Only the form in seconds: a date would bring in the terminal's own clock."""
    value = next((text for name, text in response.headers.items() if name.lower() == "retry-after"), "").strip()
    if not (value.isascii() and value.isdigit()):
        return default
    return min(int(value[:10]), RETRY_AFTER_S_MAX)
