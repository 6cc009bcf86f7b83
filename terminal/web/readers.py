"""`GET /api/v1/readers`: the readers and the last cards presented, for support. No sign-in, for nothing in it is
anybody's: not even the last four digits.
"""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from config.errors import JingkaError, Language
from drivers.card import Authenticity, AuthenticityReason, EntryMode, Step
from drivers.outcomes import ReadOutcome
from drivers.reader import ReaderState, ReaderStatus
from terminal.serving.locale import language_of
from terminal.web.parts import StatusNow, WebParts


class TroubleTold(BaseModel):
    """An error: its code, what happened, and the next step."""

    code: str
    text: str
    hint: str


class ReaderTold(BaseModel):
    """One reader, its state and why."""

    name: str
    kind: str
    state: ReaderState
    trouble: TroubleTold | None


class StepTold(BaseModel):
    """One command to a chip; `status` is the status word in hex, null when no answer came."""

    command: str
    status: str | None
    took_ms: float


class OutcomeTold(BaseModel):
    """One card presented. `trouble` null: it was read, as `entry_mode` and `authenticity` say."""

    at: datetime
    reader: str
    trouble: TroubleTold | None
    entry_mode: EntryMode | None
    authenticity: Authenticity | None
    authenticity_reason: AuthenticityReason | None
    read_ms: float | None
    steps: list[StepTold]


class ReadersTold(BaseModel):
    """Every reader, and the last cards presented, newest first."""

    readers: list[ReaderTold]
    outcomes: list[OutcomeTold]


def reader_routes(parts: WebParts) -> APIRouter:
    """`/api/v1/readers`."""
    router = APIRouter(tags=["health"])

    @router.get("/api/v1/readers")
    async def readers(request: Request) -> ReadersTold:
        """The readers and the last cards presented, without any digit of a card."""
        return readers_told(await run_in_threadpool(parts.status), language_of(request.headers, parts.language))

    return router


def readers_told(now: StatusNow, language: Language) -> ReadersTold:
    """What the call answers of a moment."""
    return ReadersTold(
        readers=[_reader_told(reader, language) for reader in now.readers],
        outcomes=[_outcome_told(outcome, language) for outcome in now.reads.latest],
    )


def _reader_told(reader: ReaderStatus, language: Language) -> ReaderTold:
    return ReaderTold(
        name=reader.name, kind=reader.kind, state=reader.state, trouble=_trouble_told(reader.error, language)
    )


def _outcome_told(outcome: ReadOutcome, language: Language) -> OutcomeTold:
    return OutcomeTold(
        at=outcome.at,
        reader=outcome.reader,
        trouble=_trouble_told(outcome.error, language),
        entry_mode=outcome.entry_mode,
        authenticity=outcome.authenticity,
        authenticity_reason=outcome.authenticity_reason,
        read_ms=None if outcome.read_ms is None else round(outcome.read_ms, 1),
        steps=[_step_told(step) for step in outcome.steps],
    )


def _step_told(step: Step) -> StepTold:
    status = None if step.status is None else f"{step.status:04X}"
    return StepTold(command=step.command, status=status, took_ms=round(step.took_ms, 1))


def _trouble_told(error: JingkaError | None, language: Language) -> TroubleTold | None:
    if error is None:
        return None
    return TroubleTold(code=error.code, text=error.what_text(language), hint=error.hint_text(language))
