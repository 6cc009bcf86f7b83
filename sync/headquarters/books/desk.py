"""The campaign team's use cases, each in one transaction and for one role; pages, API and command line all come here.

editor             begins, writes, hands in, discards; releases what is approved, rolls it out
approver           approves or sends back what others wrote; releases, rolls out, restores
operator           may stop a roll-out, as all three can
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from sync.headquarters.books import drafts, release, releases, stages
from sync.headquarters.books.drafts import DraftView, Look
from sync.headquarters.books.releases import ReleaseView
from sync.headquarters.books.stages import Reach, Stage, Target
from sync.headquarters.storage import Storage
from terminal.offers.book import Format, LoadedBook
from terminal.serving.people import Person, Role
from terminal.serving.problems import RoleMissing

WRITES: Final = (Role.EDITOR,)
DECIDES: Final = (Role.APPROVER,)
RELEASES: Final = (Role.EDITOR, Role.APPROVER)
STOPS: Final = (Role.EDITOR, Role.APPROVER, Role.OPERATOR)

EVERYWHERE: Final = Target(everywhere=True)


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything at one moment: drafts under way, releases newest first, how far each has come, what is rolling out."""

    newest: int
    drafts: list[DraftView]
    releases: list[ReleaseView]
    reach: dict[int, Reach]
    running: list[Stage]


@dataclass(frozen=True, slots=True)
class OpenDraft:
    """A draft with its text, whose hands are in it, and what the text comes to."""

    draft: DraftView
    text: str
    writers: frozenset[str]
    look: Look


@dataclass(frozen=True, slots=True)
class OpenRelease:
    """A release with its book, the text it was written as, its stages and how far it has come."""

    newest: int  # of all releases
    release: ReleaseView
    book: LoadedBook
    text: str
    stages: list[Stage]
    reach: Reach


class CampaignDesk:
    """Callable from any thread; blocks on the database. `key_file` holds the key that signs books."""

    def __init__(self, storage: Storage, clock: Callable[[], datetime], key_file: Path) -> None:
        self.storage = storage
        self._clock = clock
        self._key_file = key_file

    # --- looking: any role at headquarters ----------------------------------------------------------------------------

    def overview(self) -> Overview:
        """Drafts, releases, roll-outs; counts the whole city once."""
        with self.storage.read() as connection:
            return Overview(
                releases.newest(connection),
                drafts.page_of_drafts(connection),
                releases.page_of_releases(connection),
                stages.reach(connection),
                stages.running_stages(connection),
            )

    def draft(self, draft: int) -> OpenDraft:
        """One draft. Raises `DraftMissing`."""
        with self.storage.read() as connection:
            view = drafts.draft_of(connection, draft)
            text = drafts.text_of(connection, draft)
            writers = drafts.writers_of(connection, draft)
            return OpenDraft(view, text, frozenset(writers), drafts.look(connection, text, view.form))

    def release(self, revision: int) -> OpenRelease:
        """One release. Raises `ReleaseMissing`."""
        with self.storage.read() as connection:
            view = releases.release_of(connection, revision)
            return OpenRelease(
                releases.newest(connection),
                view,
                releases.content_of(connection, revision),
                releases.text_of(connection, revision)[1],
                stages.stages_of(connection, (revision,)),
                stages.reach(connection).get(revision, Reach()),
            )

    def signed(self, revision: int) -> str:
        """The signed form of a release, as `jingka book verify` takes it. Raises `ReleaseMissing`."""
        with self.storage.read() as connection:
            return releases.unpacked(releases.signed_bytes(connection, revision))

    def look(self, text: str, form: Format) -> Look:
        """What a text comes to that is not saved."""
        with self.storage.read() as connection:
            return drafts.look(connection, text, form)

    # --- drafts -------------------------------------------------------------------------------------------------------

    def begin(self, by: Person, title: str, text: str | None = None, form: Format = "toml") -> DraftView:
        """A draft of `text`, else of the newest release. Raises what `drafts.begin` does, `RoleMissing`."""
        with self._acting(by, WRITES) as connection:
            return drafts.begin(connection, title, by=by, now=self._clock(), text=text, form=form)

    def save(self, by: Person, draft: int, text: str, version: int, title: str | None = None) -> DraftView:
        """Raises what `drafts.save` does, `RoleMissing`."""
        with self._acting(by, WRITES) as connection:
            return drafts.save(connection, draft, text, version=version, by=by, now=self._clock(), title=title)

    def submit(self, by: Person, draft: int, version: int) -> DraftView:
        """Raises what `drafts.submit` does, `RoleMissing`."""
        with self._acting(by, WRITES) as connection:
            return drafts.submit(connection, draft, version=version, by=by, now=self._clock())

    def discard(self, by: Person, draft: int, version: int) -> DraftView:
        """Raises what `drafts.discard` does, `RoleMissing`."""
        with self._acting(by, WRITES) as connection:
            return drafts.discard(connection, draft, version=version, by=by, now=self._clock())

    def approve(self, by: Person, draft: int, version: int) -> DraftView:
        """Raises what `drafts.approve` does, `RoleMissing`."""
        with self._acting(by, DECIDES) as connection:
            return drafts.approve(connection, draft, version=version, by=by, now=self._clock())

    def send_back(self, by: Person, draft: int, version: int) -> DraftView:
        """Raises what `drafts.send_back` does, `RoleMissing`."""
        with self._acting(by, DECIDES) as connection:
            return drafts.send_back(connection, draft, version=version, by=by, now=self._clock())

    # --- releases -----------------------------------------------------------------------------------------------------

    def publish(self, by: Person, draft: int, note: str = "") -> ReleaseView:
        """An approved draft becomes the next revision. Raises what `release.release` and `release_key` do."""
        key = release.release_key(self._key_file)
        with self._acting(by, RELEASES) as connection:
            return release.release(connection, draft, key=key, by=by, now=self._clock(), note=note)

    def roll_out(self, by: Person, revision: int, target: Target) -> Stage:
        """One more stage. Raises what `stages.start` does, `RoleMissing`."""
        with self._acting(by, RELEASES) as connection:
            return stages.start(connection, revision, target, by=by, now=self._clock())

    def stop(self, by: Person, revision: int) -> int:
        """End every running stage of a revision. Raises what `stages.stop` does, `RoleMissing`."""
        with self._acting(by, STOPS) as connection:
            return stages.stop(connection, revision, by=by, now=self._clock())

    def restore(self, by: Person, revision: int, note: str = "", *, everywhere: bool = False) -> ReleaseView:
        """An earlier revision's content as a new one; with `everywhere`, rolled out in the same transaction.

        Raises what `release.restore` and `release_key` do, `RoleMissing`.
        """
        key = release.release_key(self._key_file)
        with self._acting(by, DECIDES) as connection:
            made = release.restore(connection, revision, key=key, by=by, now=self._clock(), note=note)
            if everywhere:
                stages.start(connection, made.revision, EVERYWHERE, by=by, now=self._clock())
            return made

    @contextmanager
    def _acting(self, by: Person, roles: tuple[Role, ...]) -> Iterator[Connection]:
        """A transaction of somebody whose role it is. Raises `RoleMissing`."""
        if by.role not in roles:
            raise RoleMissing("act", "role", role=roles[0].value)
        with self.storage.write() as connection:
            yield connection
