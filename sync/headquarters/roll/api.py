"""The part of `/api/v1` about members and the roll: for people, and for terminals.

A card number comes in a body, never in an address, and in no answer: `SecretStr` keeps it out of everything that shows
a message by accident.
"""

from __future__ import annotations

from typing import Annotated, Final, Self

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from config.errors import Language
from sync.headquarters.reports import RedemptionView
from sync.headquarters.roll import feed, snapshot
from sync.headquarters.roll.desk import Dossier, NewCard, RollDesk
from sync.headquarters.roll.imports import ImportView, RejectedLine
from sync.headquarters.roll.members import MemberView, Spell
from sync.headquarters.roll.rules import Action
from sync.headquarters.service import Headquarters
from sync.headquarters.terminal_api import OCTETS_TYPE, answered, http_request, problems
from sync.signing import HttpRequest
from sync.wire import API, SEQUENCE_MAX, ProblemCode
from sync.wire_roll import SNAPSHOT_NAME, RollAnswer
from terminal.membership.card_list import PERSON_CHARS_MAX
from terminal.membership.official_lists import ListKind
from terminal.membership.standing import MemberClass
from terminal.serving.people import Role
from terminal.serving.sign_in import Gate

NUMBER_CHARS_MAX: Final = 40  # nineteen digits, in groups
CSV_TYPE: Final = "text/csv"
READERS: Final = (Role.OPERATOR, Role.AUDITOR)
CHECKERS: Final = (Role.OPERATOR, Role.APPROVER)  # of a list: whoever did not bring it

Number = Annotated[SecretStr, Field(min_length=1, max_length=NUMBER_CHARS_MAX)]
Token = Annotated[str, StringConstraints(pattern=r"^v[0-9]{1,4}:[0-9a-f]{64}$")]
ImportNumber = Annotated[int, InPath(ge=1, le=SEQUENCE_MAX)]


class Asked(BaseModel):
    """What people send."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class WhichCard(Asked):
    """A card by its number as on its face, or by its token: one of them."""

    card: Number | None = None
    token: Token | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.card is None) == (self.token is None):
            raise ValueError("give `card` or `token`")
        return self

    def token_at(self, desk: RollDesk) -> str:
        """Its token. Raises `NumberMistyped`, `HashingKeyMissing`."""
        if self.card is not None:
            return desk.token_of(self.card.get_secret_value())
        assert self.token is not None
        return self.token


class StandingChange(WhichCard):
    """What to do to it."""

    action: Action


class Replacement(WhichCard):
    """Which card is lost, and the number of the one in its place."""

    new: Number


class Addition(Asked):
    """A card to be put on the roll by hand."""

    card: Number
    member_class: MemberClass = MemberClass.ORDINARY
    person: Annotated[SecretStr, Field(max_length=PERSON_CHARS_MAX)] = SecretStr("")
    temporary: bool = False


class MemberDossier(BaseModel):
    """All about one card."""

    member: MemberView
    history: list[Spell]
    cards: list[MemberView]
    redemptions: list[RedemptionView]


class Overdue(BaseModel):
    """Suspensions that were not confirmed within seven days."""

    members: list[MemberView]


class ListPreview(BaseModel):
    """A list, and its lines that were set aside."""

    summary: ImportView
    rejected: list[RejectedLine]


class RollPage(BaseModel):
    """The roll: its version (0: none), and the lists, latest first."""

    version: int
    lists: list[ImportView]


def member_routes(desk: RollDesk, gate: Gate) -> APIRouter:
    """Members by token or card, and what is done to their cards."""
    router = APIRouter(prefix=API, tags=["members"])

    @router.post("/members/find")
    def find(request: Request, which: WhichCard) -> MemberDossier:
        """All about a card. 404 `member-missing`, 409 `card-number-mistyped`."""
        gate.require(request, *READERS)
        return _told(desk.dossier(which.token_at(desk)))

    @router.get("/members/overdue")
    def overdue(request: Request) -> Overdue:
        """Suspensions that nobody confirmed in time; they stay until a person decides."""
        gate.require(request, *READERS)
        return Overdue(members=desk.overdue())

    @router.post("/members/standing")
    def change(request: Request, wanted: StandingChange) -> MemberView:
        """Suspend, lose, reinstate, withdraw, activate or extend a card. 409 `standing-refused`."""
        by = gate.require(request, Role.OPERATOR)
        return desk.change(wanted.token_at(desk), wanted.action, by)

    @router.post("/members/replacement", status_code=201)
    def replace(request: Request, wanted: Replacement) -> MemberView:
        """The card is lost, another takes its place and carries on what was used up. 409 `member-known`."""
        by = gate.require(request, Role.OPERATOR)
        return desk.replace(wanted.token_at(desk), desk.token_of(wanted.new.get_secret_value()), by)

    @router.post("/members", status_code=201)
    def add(request: Request, wanted: Addition) -> MemberView:
        """A card that no list has yet: active after 48 hours, a temporary one at once. 409 `member-known`."""
        by = gate.require(request, Role.OPERATOR)
        card = NewCard(wanted.member_class, wanted.person.get_secret_value(), wanted.temporary)
        return desk.add(desk.token_of(wanted.card.get_secret_value()), card, by)

    return router


def list_routes(desk: RollDesk, gate: Gate) -> APIRouter:
    """The union's and the bank's lists."""
    router = APIRouter(prefix=API, tags=["roll"])

    @router.get("/roll")
    def roll(request: Request) -> RollPage:
        """The roll's version and the lists."""
        gate.require(request, *READERS, Role.APPROVER)
        return RollPage(version=desk.state().version, lists=desk.imports())

    body = {"content": {CSV_TYPE: {"schema": {"type": "string"}}}, "required": True}

    @router.post("/roll/lists", status_code=201, openapi_extra={"requestBody": body})
    async def preview(request: Request, kind: ListKind) -> ListPreview:
        """What a list (the body, CSV of at most 4 MiB) would do. Nothing of it counts until it is confirmed."""
        by = gate.require(request, Role.OPERATOR)
        content = await request.body()
        view = await run_in_threadpool(desk.preview, content, kind, by)
        return _list(*await run_in_threadpool(desk.list_of, view.id))

    @router.get("/roll/lists/{number}")
    def show(request: Request, number: ImportNumber) -> ListPreview:
        """One list. 404 `import-missing`."""
        gate.require(request, *READERS, Role.APPROVER)
        return _list(*desk.list_of(number))

    @router.post("/roll/lists/{number}/confirm")
    def confirm(request: Request, number: ImportNumber) -> ImportView:
        """Make it count; `state` is `second` when it takes another person. 409 `second-person-needed`."""
        by = gate.require(request, *CHECKERS)
        return desk.confirm(number, by)

    @router.post("/roll/lists/{number}/discard")
    def discard(request: Request, number: ImportNumber) -> ImportView:
        """Forget it. 409 `import-settled`."""
        by = gate.require(request, *CHECKERS)
        return desk.discard(number, by)

    return router


def roll_feed_routes(hq: Headquarters, language: Language) -> APIRouter:
    """What terminals fetch: the base in chunks, and the changes since."""
    router = APIRouter(prefix=API, tags=["terminals"], responses=problems(*ProblemCode))

    @router.get("/terminals/{terminal}/roll", response_model=RollAnswer)
    async def changes(
        request: Request,
        terminal: str,
        base: Annotated[str, Query(pattern=rf"^$|{SNAPSHOT_NAME}")] = "",
        after: Annotated[int, Query(ge=0, le=SEQUENCE_MAX)] = 0,
    ) -> Response:
        """The cards that changed after a version, one page of them. 404 `snapshot-missing`: there is no roll yet."""

        def answer(asked: HttpRequest) -> RollAnswer:
            now = hq.clock()
            caller = hq.door.identify(asked, terminal, now)
            with hq.storage.write() as connection:
                caller.claim.take(connection, now)
                return feed.answer(connection, base=base, after=after, now=now)

        return await run_in_threadpool(answered, hq, await http_request(request), answer, 200, language)

    @router.get(
        "/terminals/{terminal}/roll/{base}/{number}",
        response_class=Response,
        responses={200: {"content": {OCTETS_TYPE: {}}}},
    )
    async def chunk(
        request: Request,
        terminal: str,
        base: Annotated[str, InPath(pattern=SNAPSHOT_NAME)],
        number: Annotated[int, InPath(ge=0, le=2**31 - 1)],
    ) -> Response:
        """One chunk of a base, 512 KiB but for the last. 404 `snapshot-missing`: a newer one has taken its place."""

        def answer(asked: HttpRequest) -> bytes:
            now = hq.clock()
            caller = hq.door.identify(asked, terminal, now)
            with hq.storage.write() as connection:
                caller.claim.take(connection, now)
                return snapshot.chunk(connection, base, number)

        return await run_in_threadpool(answered, hq, await http_request(request), answer, 200, language)

    return router


def _told(dossier: Dossier) -> MemberDossier:
    return MemberDossier(
        member=dossier.member, history=dossier.history, cards=dossier.cards, redemptions=dossier.redemptions
    )


def _list(view: ImportView, rejected: list[RejectedLine]) -> ListPreview:
    return ListPreview(summary=view, rejected=rejected)
