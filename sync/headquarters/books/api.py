"""The campaigns' part of `/api/v1`, for people signed in; roles and states are the desk's matter."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from sync.headquarters.books.desk import CampaignDesk, OpenDraft
from sync.headquarters.books.drafts import TITLE_CHARS_MAX, DraftView, Look
from sync.headquarters.books.releases import NOTE_CHARS_MAX, ReleaseView
from sync.headquarters.books.stages import Reach, Stage, Target
from sync.wire import API
from sync.wire_book import REVISION_MAX
from terminal.offers.book import BOOK_BYTES_MAX
from terminal.serving.people import HEADQUARTERS_ROLES
from terminal.serving.sign_in import Gate

BOOKS = API + "/books"

Id = Annotated[int, Path(ge=1, le=2**63 - 1)]
Revision = Annotated[int, Path(ge=1, le=REVISION_MAX)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
Text = Annotated[str, StringConstraints(max_length=BOOK_BYTES_MAX)]
Title = Annotated[str, StringConstraints(max_length=TITLE_CHARS_MAX)]
Note = Annotated[str, StringConstraints(max_length=NOTE_CHARS_MAX)]
Form = Literal["toml", "json"]


class Asked(BaseModel):
    """What a person asks for; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class NewDraft(Asked):
    """A draft of `text`; without one, of the newest release."""

    title: Title
    text: Text | None = None
    form: Form = "toml"


class SavedDraft(Asked):
    """The text in place of what `version` held."""

    text: Text
    version: Version
    title: Title | None = None


class TextToCheck(Asked):
    """A text that is not saved."""

    text: Text
    form: Form = "toml"


class AtVersion(Asked):
    """The version that the person has seen."""

    version: Version


class Noted(Asked):
    """What the release is for; empty: the draft's title."""

    note: Note = ""


class Restoring(Noted):
    """With `everywhere`, the new revision is rolled out at once."""

    everywhere: bool = False


class FindingOut(BaseModel):
    """A mistake (`error`) or doubt (`warning`) and its line, both languages whole."""

    severity: Literal["error", "warning"]
    path: str
    line: int | None
    zh: str
    en: str


class WordsOut(BaseModel):
    """One text in both languages."""

    zh: str
    en: str


class Checked(BaseModel):
    """What a text comes to: `ok` when nothing is wrong; `changes` against the revision `against` (0: none yet)."""

    ok: bool
    findings: list[FindingOut]
    against: int
    changes: list[WordsOut]
    offers: dict[str, WordsOut]


class DraftOut(BaseModel):
    """A draft with its text and what it comes to; `writers` can never approve it."""

    draft: DraftView
    text: str
    writers: list[str]
    check: Checked


class StageOut(BaseModel):
    """One stage of a roll-out; `stopped_at` null: it still reaches terminals."""

    id: int
    revision: int
    target: Target
    started_by: str
    started_at: datetime
    stopped_by: str | None
    stopped_at: datetime | None


class BooksOut(BaseModel):
    """`reach` counts terminals by revision: that should have it, that have it, and the faults of those waiting."""

    newest: int
    drafts: list[DraftView]
    releases: list[ReleaseView]
    reach: dict[int, Reach]
    running: list[StageOut]


class ReleaseOut(BaseModel):
    """A release with the text it was written as."""

    release: ReleaseView
    text: str
    stages: list[StageOut]
    reach: Reach


class Stopped(BaseModel):
    """How many stages were ended."""

    stages: int


def book_routes(desk: CampaignDesk, gate: Gate) -> APIRouter:
    """Everything about books. 404 `draft-missing`, `release-missing`; 403 `role-missing`; 409 for out of step."""
    router = APIRouter(prefix=BOOKS, tags=["books"])
    _looking(router, desk, gate)
    _drafting(router, desk, gate)
    _releasing(router, desk, gate)
    return router


def _looking(router: APIRouter, desk: CampaignDesk, gate: Gate) -> None:
    @router.get("")
    def books(request: Request) -> BooksOut:
        """Drafts under way, releases, and how far each has come."""
        gate.require(request, *HEADQUARTERS_ROLES)
        seen = desk.overview()
        return BooksOut(
            newest=seen.newest,
            drafts=seen.drafts,
            releases=seen.releases,
            reach=seen.reach,
            running=[stage_out(stage) for stage in seen.running],
        )

    @router.post("/check")
    def check(request: Request, asked: TextToCheck) -> Checked:
        """Findings with lines, changes against the newest release, each offer in words; saves nothing."""
        gate.require(request, *HEADQUARTERS_ROLES)
        return checked_out(desk.look(asked.text, asked.form))

    @router.get("/{revision}")
    def release(request: Request, revision: Revision) -> ReleaseOut:
        """One release. 404 `release-missing`."""
        gate.require(request, *HEADQUARTERS_ROLES)
        seen = desk.release(revision)
        return ReleaseOut(
            release=seen.release,
            text=seen.text,
            stages=[stage_out(stage) for stage in seen.stages],
            reach=seen.reach,
        )

    @router.get("/{revision}/signed", response_class=Response, responses={200: {"content": {"application/json": {}}}})
    def signed(request: Request, revision: Revision) -> Response:
        """The signed form, as `jingka book verify` takes it. 404 `release-missing`."""
        gate.require(request, *HEADQUARTERS_ROLES)
        return Response(
            desk.signed(revision),
            media_type="application/json",
            headers={"Content-Disposition": f'attachment; filename="book-{revision}.json"'},
        )


def _drafting(router: APIRouter, desk: CampaignDesk, gate: Gate) -> None:
    @router.post("/drafts", status_code=201)
    def begin(request: Request, asked: NewDraft) -> DraftView:
        """A new draft. 409 `drafts-full`, 422 `draft-unreadable`."""
        return desk.begin(gate.person(request), asked.title, asked.text, asked.form)

    @router.get("/drafts/{draft}")
    def draft(request: Request, draft: Id) -> DraftOut:
        """One draft and what it comes to. 404 `draft-missing`."""
        gate.require(request, *HEADQUARTERS_ROLES)
        return draft_out(desk.draft(draft))

    @router.put("/drafts/{draft}")
    def save(request: Request, draft: Id, asked: SavedDraft) -> DraftView:
        """Put a text in place of the version that was read. 409 `draft-changed`, `draft-out-of-step`."""
        return desk.save(gate.person(request), draft, asked.text, asked.version, asked.title)

    @router.post("/drafts/{draft}/submit")
    def submit(request: Request, draft: Id, asked: AtVersion) -> DraftView:
        """Hand it in for approval. 409 `draft-changed`, `draft-out-of-step`, 422 `draft-unfit`."""
        return desk.submit(gate.person(request), draft, asked.version)

    @router.post("/drafts/{draft}/approve")
    def approve(request: Request, draft: Id, asked: AtVersion) -> DraftView:
        """Another person's yes. 403 `own-draft`, 409 `draft-changed`, `draft-out-of-step`."""
        return desk.approve(gate.person(request), draft, asked.version)

    @router.post("/drafts/{draft}/send-back")
    def send_back(request: Request, draft: Id, asked: AtVersion) -> DraftView:
        """An approver's no: it is open again. 409 `draft-changed`, `draft-out-of-step`."""
        return desk.send_back(gate.person(request), draft, asked.version)

    @router.post("/drafts/{draft}/discard")
    def discard(request: Request, draft: Id, asked: AtVersion) -> DraftView:
        """Give it up. 409 `draft-changed`, `draft-out-of-step`."""
        return desk.discard(gate.person(request), draft, asked.version)


def _releasing(router: APIRouter, desk: CampaignDesk, gate: Gate) -> None:
    @router.post("/drafts/{draft}/release", status_code=201)
    def release(request: Request, draft: Id, asked: Noted) -> ReleaseView:
        """Number and sign an approved draft. 409 `draft-out-of-step`, `draft-outdated`, `release-key-missing`."""
        return desk.publish(gate.person(request), draft, asked.note)

    @router.post("/{revision}/stages", status_code=201)
    def roll_out(request: Request, revision: Revision, target: Target) -> StageOut:
        """Reach these terminals too. 409 `rollout-backwards`, 422 `target-invalid`."""
        return stage_out(desk.roll_out(gate.person(request), revision, target))

    @router.post("/{revision}/stop")
    def stop(request: Request, revision: Revision) -> Stopped:
        """Reach nobody else; who has it keeps it. 409 `rollout-idle`."""
        return Stopped(stages=desk.stop(gate.person(request), revision))

    @router.post("/{revision}/restore", status_code=201)
    def restore(request: Request, revision: Revision, asked: Restoring) -> ReleaseView:
        """An earlier revision's content as a new one. 409 `release-newest`, `release-key-missing`."""
        return desk.restore(gate.person(request), revision, asked.note, everywhere=asked.everywhere)


def checked_out(look: Look) -> Checked:
    """A look as the API tells it."""
    return Checked(
        ok=look.usable,
        findings=[
            FindingOut(severity=each.severity, path=each.path, line=each.line, zh=each.text("zh"), en=each.text("en"))
            for each in look.findings
        ],
        against=look.against,
        changes=[WordsOut(zh=change.text("zh"), en=change.text("en")) for change in look.changes],
        offers={offer: WordsOut(zh=words.zh, en=words.en) for offer, words in look.explained},
    )


def draft_out(seen: OpenDraft) -> DraftOut:
    """A draft as the API tells it."""
    return DraftOut(draft=seen.draft, text=seen.text, writers=sorted(seen.writers), check=checked_out(seen.look))


def stage_out(stage: Stage) -> StageOut:
    """A stage as the API tells it."""
    return StageOut(**{name: getattr(stage, name) for name in StageOut.model_fields})
