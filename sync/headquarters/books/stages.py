"""Rolling a release out: first here and there, then everywhere; and what each terminal has of it.

A terminal should have the newest revision among the stages that reach it. Nothing is assigned to terminals one by one,
so one that is enrolled tomorrow is reached as if it had always been there, and a stage of ten percent lies within a
later one of thirty. Stopping a stage keeps it from reaching more; who has the revision keeps it, for a terminal never
goes back: to undo a release, its predecessor is released anew (`release.restore`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from sqlalchemy import Connection, bindparam, func, insert, select, update

from sync.headquarters.books.errors import ReleaseMissing, RolloutBackwards, RolloutIdle, TargetInvalid
from sync.headquarters.books.tables import book_holdings, book_releases, book_stages
from sync.headquarters.people import audit
from sync.headquarters.projection import Place
from sync.headquarters.storage import insert_or
from sync.headquarters.tables import TerminalState, terminals
from terminal.serving.people import Person

NAMES_MAX: Final = 500  # of merchants, sites or terminals in one stage: more is a percentage
NAME_CHARS_MAX: Final = 129  # a merchant's 64 characters, a stroke, a site's 64
STAGES_PAGE_MAX: Final = 200
# Running stages at once: each heartbeat of each terminal looks at all of them.
STAGES_RUNNING_MAX: Final = 50

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=NAME_CHARS_MAX)]
Names = Annotated[tuple[Name, ...], Field(max_length=NAMES_MAX)]


class Target(BaseModel):
    """Whom a stage reaches: everywhere, or whoever any of these names. A site is `merchant/site`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    everywhere: bool = False
    merchants: Names = ()
    sites: Names = ()
    terminals: Names = ()
    percent: Annotated[int, Field(ge=1, le=99)] | None = None

    @model_validator(mode="after")
    def _somebody(self) -> Target:
        named = bool(self.merchants or self.sites or self.terminals or self.percent)
        if named == self.everywhere:
            raise ValueError("either everywhere, or merchants, sites, terminals or a percentage")
        if any("\0" in name for name in (*self.merchants, *self.sites, *self.terminals)):
            raise ValueError("a NUL character in a name")
        return self

    def reaches(self, place: Place, revision: int) -> bool:
        """Whether the terminal at `place` is among them. Pure: the percentage hangs on its name and the revision."""
        return (
            self.everywhere
            or place.merchant in self.merchants
            or f"{place.merchant}/{place.site}" in self.sites
            or place.terminal in self.terminals
            or (self.percent is not None and share_of(place.terminal, revision) < self.percent)
        )


def share_of(terminal: str, revision: int) -> int:
    """A number from 0 to 99 by which a terminal belongs to a percentage; another one for each revision."""
    digest = hashlib.sha256(f"{revision}:{terminal}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100


def target_of(**asked: Any) -> Target:
    """A target out of what a person typed. Raises `TargetInvalid`."""
    try:
        return Target(**asked)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "target"
        raise TargetInvalid("roll out", "target", reason=f"{place}: {first['msg']}") from error


@dataclass(frozen=True, slots=True)
class InForce:
    """A release by its number and hash; as `version`, what the terminals' feed calls it."""

    revision: int
    sha256: str

    @property
    def version(self) -> str:
        """As in `news`."""
        return f"{self.revision}:{self.sha256}"


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a roll-out; `stopped_at` None: it still reaches terminals."""

    id: int
    revision: int
    sha256: str
    target: Target
    started_by: str
    started_at: datetime
    stopped_by: str | None
    stopped_at: datetime | None


def start(connection: Connection, revision: int, target: Target, *, by: Person, now: datetime) -> Stage:
    """From now on the revision reaches `target` too. Raises `ReleaseMissing`, `RolloutBackwards`, `TargetInvalid`."""
    locked = connection.scalar(
        select(book_releases.c.revision).where(book_releases.c.revision == revision).with_for_update()
    )
    if locked is None:
        raise ReleaseMissing("roll out", str(revision))
    running = running_stages(connection)
    newer = max((stage.revision for stage in running if stage.target.everywhere), default=0)
    if newer > revision:
        raise RolloutBackwards("roll out", str(revision), newer=newer)
    if len(running) >= STAGES_RUNNING_MAX:
        raise TargetInvalid("roll out", str(revision), reason=f"> {STAGES_RUNNING_MAX}")
    row = {
        "revision": revision,
        "everywhere": target.everywhere,
        "target": target.model_dump_json(),
        "started_by": by.id,
        "started_at": now,
    }
    number = connection.scalar(insert(book_stages).values(row).returning(book_stages.c.id))
    audit.note(connection, by, "book-rolled-out", f"book {revision}", now=now, detail=said(target))
    return next(stage for stage in _stages(connection, book_stages.c.id == number))


def stop(connection: Connection, revision: int, *, by: Person, now: datetime) -> int:
    """The revision reaches nobody else; how many stages that ends. Raises `RolloutIdle`."""
    running = (book_stages.c.revision == revision, book_stages.c.stopped_at.is_(None))
    ended = connection.execute(update(book_stages).where(*running).values(stopped_by=by.id, stopped_at=now))
    if ended.rowcount == 0:
        raise RolloutIdle("stop", str(revision))
    audit.note(connection, by, "book-stopped", f"book {revision}", now=now)
    return ended.rowcount


def running_stages(connection: Connection) -> list[Stage]:
    """The stages that still reach terminals, newest revision first; none behind one that is everywhere already."""
    running = book_stages.c.stopped_at.is_(None)
    whole = select(func.max(book_stages.c.revision)).where(running, book_stages.c.everywhere).scalar_subquery()
    return _stages(connection, running, book_stages.c.revision >= func.coalesce(whole, 0))


def stages_of(connection: Connection, revisions: Iterable[int]) -> list[Stage]:
    """Every stage that these revisions ever had, running or stopped, newest revision first."""
    return _read(connection.execute(_OF_REVISIONS, {"revisions": list(revisions)}))


def reached_since(connection: Connection, place: Place) -> datetime | None:
    """When a roll-out of any revision first reached `place`; None: none ever did."""
    columns = (book_stages.c.revision, book_stages.c.target, book_stages.c.started_at)
    for row in connection.execute(select(*columns).order_by(book_stages.c.id)):
        if _target(row.target).reaches(place, row.revision):
            began: datetime = row.started_at
            return began
    return None


def choose(place: Place, stages: Sequence[Stage]) -> InForce | None:
    """The newest revision that reaches `place`. Pure."""
    reaching = [stage for stage in stages if stage.target.reaches(place, stage.revision)]
    best = max(reaching, key=lambda stage: stage.revision, default=None)
    return InForce(best.revision, best.sha256) if best else None


def held_by(connection: Connection, terminal: str) -> InForce | None:
    """The release that a terminal has said it has; None: none of ours."""
    columns = (book_holdings.c.revision, book_holdings.c.sha256)
    row = connection.execute(select(*columns).where(book_holdings.c.terminal == terminal)).one_or_none()
    return InForce(row.revision, row.sha256) if row is not None and row.revision else None


def note_held(connection: Connection, terminal: str, held: InForce | None, fault: str, *, now: datetime) -> None:
    """What a terminal says it has (None: nothing of ours), and the code of why it takes no other."""
    values = {
        "revision": held.revision if held else 0,
        "sha256": held.sha256 if held else "",
        "fault": fault,
        "told_at": now,
    }
    statement = insert_or(connection, book_holdings).values(terminal=terminal, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[book_holdings.c.terminal], set_=values))


@dataclass(slots=True)
class Reach:
    """How far a revision has come: terminals that should have it, that have it, and faults by code of those waiting."""

    meant: int = 0
    has: int = 0
    faults: dict[str, int] = field(default_factory=dict)


def reach(connection: Connection) -> dict[int, Reach]:
    """Per revision, over all terminals that are not revoked. One pass over the city: 5,000 rows."""
    stages = running_stages(connection)
    joined = terminals.outerjoin(book_holdings, book_holdings.c.terminal == terminals.c.id)
    columns = (terminals.c.id, terminals.c.merchant, terminals.c.site, book_holdings.c.revision,
               book_holdings.c.sha256, book_holdings.c.fault)  # fmt: skip
    found: dict[int, Reach] = {}
    query = select(*columns).select_from(joined).where(terminals.c.state != TerminalState.REVOKED.value)
    for row in connection.execute(query):
        chosen = choose(Place(row.id, row.merchant, row.site), stages)
        meant = max(chosen.revision if chosen else 0, row.revision or 0)
        if row.revision:
            found.setdefault(row.revision, Reach()).has += 1
        if meant:
            counted = found.setdefault(meant, Reach())
            counted.meant += 1
            if row.fault and meant != row.revision:
                counted.faults[row.fault] = counted.faults.get(row.fault, 0) + 1
    return found


def said(target: Target) -> str:
    """The target for the audit log."""
    if target.everywhere:
        return "everywhere"
    named = [*target.merchants, *target.sites, *target.terminals]
    return " ".join([*named, *([f"{target.percent}%"] if target.percent else [])])


def _stages(connection: Connection, *conditions: Any) -> list[Stage]:
    return _read(connection.execute(_NEWEST_FIRST.where(*conditions)))


def _read(rows: Iterable[Any]) -> list[Stage]:
    return [
        Stage(
            id=row.id,
            revision=row.revision,
            sha256=row.sha256,
            target=_target(row.target),
            started_by=row.started_by,
            started_at=row.started_at,
            stopped_by=row.stopped_by,
            stopped_at=row.stopped_at,
        )
        for row in rows
    ]


@lru_cache(STAGES_PAGE_MAX)
def _target(text: str) -> Target:
    """A stage's target as it stands in the database: read with every batch and heartbeat, and never changed."""
    return Target.model_validate_json(text)


_NEWEST_FIRST: Final = (
    select(book_stages, book_releases.c.sha256)
    .select_from(book_stages.join(book_releases, book_releases.c.revision == book_stages.c.revision))
    .order_by(book_stages.c.revision.desc(), book_stages.c.id.desc())
    .limit(STAGES_PAGE_MAX)
)
_OF_REVISIONS: Final = _NEWEST_FIRST.where(book_stages.c.revision.in_(bindparam("revisions", expanding=True)))
