"""The terminal's end of the feed `roll`: a whole roll once, fetched in pieces, and small changes ever after.

What is in force is always two files of one form: the roll, and the changes that hold before it. Changes come first in
each call, so a card that was reported lost is refused within a heartbeat and a fetch, even while half a gigabyte of a
new roll is on its way. The new roll is put in force when it is whole, has headquarters' hash and is sound; the changes
that stand then are newer than it, so no moment sees less than it should. Then they are fetched anew, from its version
on, and most of them fall away.

`roll-state.json` says what the files are. It is written after them; a crash between costs a fetch, never a card.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from config.errors import JingkaError
from sync.errors import HeadquartersRefused, MessageMalformed
from sync.feeds import FETCH_S_MAX, RETRY_S_MAX, RETRY_S_MIN
from sync.wire import parse_message
from sync.wire_roll import CHUNK_ANSWER_BYTES_MAX, CHUNK_BYTES, ROLL_FEED, Base, RollAnswer, chunk_path, roll_path
from terminal.membership.build import ROLL_FILE_MODE, RollNotWritten, write_records
from terminal.membership.roll import RECORD, TOKEN_BYTES, Roll, RollDamaged, RollKeyMismatch, RollMissing
from terminal.membership.whole_file import write_whole

if TYPE_CHECKING:
    from sync.feeds import Source
    from terminal.membership.token import ProgrammeKey

logger = logging.getLogger(__name__)

STATE_FILE: Final = "roll-state.json"
STATE_BYTES_MAX: Final = 4_096  # a handful of names and numbers
CHECK_WAIT_S: Final = 0.5  # of one call, for the check of a new roll that runs beside: entries go meanwhile
RECORDS_BYTES_MAX: Final = RECORD.size * 400_000  # of the changes in memory: twice what headquarters lets grow


@dataclass(frozen=True, slots=True)
class RollFiles:
    """Where the roll and its changes stand, and the directory for what this feed knows of them."""

    roll: Path
    changes: Path
    data_dir: Path


@dataclass(frozen=True, slots=True)
class _State:
    """What the files are: the base and its version, the version that the changes reach, the base on its way.

    `fresh`: the changes are those of an older base, good but too many; they are fetched anew from the base's version.
    """

    base: str = ""
    revision: str = ""  # of the roll in force when it is `base`
    version: int = 0
    base_version: int = 0
    fresh: bool = False
    coming: str = ""
    coming_revision: str = ""
    coming_version: int = 0


class RollFeed:
    """A `sync.feeds.Feed`. Everything but the check of a new roll happens on the agent's thread."""

    name: Final = ROLL_FEED

    def __init__(self, files: RollFiles, key: ProgrammeKey, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._files = files
        self._key = key
        self._monotonic_s = monotonic_s
        self._state_file = files.data_dir / STATE_FILE
        self._state = _load_state(self._state_file, files)
        self._part = files.roll.with_name(f".{files.roll.name}.part")
        self._gathered: dict[bytes, bytes] | None = None  # changes since a new base, while they are fetched anew
        self._gathered_version = 0
        self._check: _Check | None = None
        self._failures = 0
        self._again_s = 0.0  # a base that could not be fetched: not before

    def version(self) -> str:
        """The version in force; with a sign behind it while there is more to do than to follow it."""
        if not self._state.base and not self._state.version:
            return ""
        busy = (self._state.fresh or self._state.coming) and self._monotonic_s() >= self._again_s
        return f"{self._state.version}{'+' if busy else ''}"

    def fetch(self, source: Source, wanted: str) -> None:
        """Changes first; then, with what is left of the time, a piece of a new roll.

        Raises what `Source.get` does, `RollKeyMismatch`, `MessageMalformed`, `RollNotWritten`.
        """
        until_s = self._monotonic_s() + FETCH_S_MAX
        base = self._follow(source, until_s)
        if self._state.base and (base is None or base.name == self._state.base):
            self._forget_coming()
            if self._state.fresh:
                self._renew_changes(source, until_s)
        elif base is not None and (not self._state.base or self._monotonic_s() >= self._again_s):
            self._approach(source, base, until_s)

    # --- the changes --------------------------------------------------------------------------------------------------

    def _follow(self, source: Source, until_s: float) -> Base | None:
        """Bring the changes up to date, as far as the time goes; the base that headquarters would have us on."""
        records: dict[bytes, bytes] = {}
        version, base, more = self._state.version, None, True
        while more and self._monotonic_s() < until_s:
            answer = self._asked(source, version)
            if answer.version < version:  # headquarters was restored from a backup: what we have may never have been
                self._keep(base="", revision="", version=0, base_version=0, fresh=False)
            if not self._state.base:
                return answer.base  # on top of nothing, changes say nothing: the base brings them
            base, version, more = answer.base, answer.version, answer.more
            records |= _records_of(answer)
        if records and not self._add_changes(records):
            version = self._state.base_version
        self._keep(version=version)
        return base

    def _add_changes(self, records: dict[bytes, bytes]) -> bool:
        """Put them in force over those that are; False when those are gone or damaged, and must be fetched too."""
        try:
            before = self._read_changes()
        except (RollMissing, RollDamaged):
            if self._state.version > self._state.base_version:
                return False
            before = {}
        self._write_changes(before | records)
        return True

    def _renew_changes(self, source: Source, until_s: float) -> None:
        """The changes since a new base alone, gathered over as many calls as it takes, then put in force at once."""
        if self._gathered is None:
            self._gathered, self._gathered_version = {}, self._state.base_version
        more = True
        while more and self._monotonic_s() < until_s:
            answer = self._asked(source, self._gathered_version)
            if answer.version < self._gathered_version:
                return  # the next call finds what is amiss
            self._gathered |= _records_of(answer)
            self._gathered_version, more = answer.version, answer.more
        if not more:
            self._write_changes(self._gathered)
            self._keep(version=self._gathered_version, fresh=False)
            self._gathered = None

    def _asked(self, source: Source, after: int) -> RollAnswer:
        body = source.get(roll_path(source.terminal, base=self._state.base, after=after))
        answer = parse_message(RollAnswer, body)
        if (answer.key_version, answer.key_fingerprint) != (self._key.version, self._key.fingerprint):
            raise RollKeyMismatch(
                "follow roll",
                "headquarters",
                roll=f"v{answer.key_version}/{answer.key_fingerprint}",
                key=f"v{self._key.version}/{self._key.fingerprint}",
            )
        if answer.more and answer.version == after:
            raise MessageMalformed("follow roll", "headquarters", reason="a version that does not get ahead")
        return answer

    def _read_changes(self) -> dict[bytes, bytes]:
        """The records in force by token. Raises `RollMissing`, `RollDamaged`, `RollKeyMismatch`."""
        changes = Roll.open(self._files.changes)
        try:
            changes.check_key(self._key)
            return {record[:TOKEN_BYTES]: record for record in changes.records()}
        finally:
            changes.close()

    def _write_changes(self, records: dict[bytes, bytes]) -> None:
        if len(records) * RECORD.size > RECORDS_BYTES_MAX:
            raise MessageMalformed("follow roll", "headquarters", reason="more changes than a roll is worth")
        write_records(records.values(), self._files.changes, self._key)

    # --- a new base ---------------------------------------------------------------------------------------------------

    def _approach(self, source: Source, base: Base, until_s: float) -> None:
        """Fetch some of the base; check it when it is there; put it in force when it is sound.

        A line that fails here must not hold up the changes, so once there is a roll, what goes wrong waits by itself.
        """
        try:
            if base.name != self._state.coming:
                self._begin(base)
            # The old changes hold over the new roll for a while, so they must not be older than it.
            reached = not self._state.base or self._state.version >= base.version
            if self._download(source, base, until_s) and reached and self._checked(base):
                self._put_in_force(base)
            self._failures = 0
        except JingkaError as error:
            self._failures += 1
            self._again_s = self._monotonic_s() + min(RETRY_S_MAX, RETRY_S_MIN * 2.0 ** min(self._failures, 10))
            if not self._state.base:
                raise
            logger.warning("the new roll is not here yet: %s", error)

    def _begin(self, base: Base) -> None:
        self._check = None
        self._part.unlink(missing_ok=True)
        self._keep(coming=base.name, coming_revision=base.revision, coming_version=base.version)

    def _download(self, source: Source, base: Base, until_s: float) -> bool:
        """Append chunks until the time is over; whether all are there."""
        if self._check is not None:
            return True
        try:
            with self._part.open("ab") as part:
                size = part.tell() // CHUNK_BYTES * CHUNK_BYTES if part.tell() < base.size_bytes else part.tell()
                part.truncate(size)  # a chunk that was cut off with the power
                while size < base.size_bytes and self._monotonic_s() < until_s:
                    path = chunk_path(source.terminal, base.name, size // CHUNK_BYTES)
                    body = source.get(path, answer_bytes_max=CHUNK_ANSWER_BYTES_MAX)
                    if len(body) != min(CHUNK_BYTES, base.size_bytes - size):
                        raise MessageMalformed("fetch roll", base.name, reason="a chunk of another size")
                    part.write(body)
                    size += len(body)
                return size == base.size_bytes
        except OSError as error:
            raise RollNotWritten("fetch roll", str(self._part), reason=error.strerror) from error
        except HeadquartersRefused:
            self._forget_coming()  # it is kept no longer: begin with the one that is
            raise

    def _checked(self, base: Base) -> bool:
        """Whether the check is through. It reads every byte and takes seconds, so it has a thread of its own.

        Raises `RollDamaged` and `RollKeyMismatch`; then the file is fetched anew.
        """
        if self._check is None:
            self._check = _Check(self._part, base, self._key)
        self._check.thread.join(CHECK_WAIT_S)
        if self._check.thread.is_alive():
            return False
        error, self._check = self._check.error, None
        if error is not None:
            self._part.unlink(missing_ok=True)
            raise error
        return True

    def _put_in_force(self, base: Base) -> None:
        """Rename it over the old one, whose changes stay in force until they are fetched anew."""
        try:
            descriptor = os.open(self._part, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._part.chmod(ROLL_FILE_MODE)
            self._part.replace(self._files.roll)
            if not self._state.base:
                self._files.changes.unlink(missing_ok=True)  # of a roll that nobody knows the version of
        except OSError as error:
            raise RollNotWritten("put roll in force", str(self._files.roll), reason=error.strerror) from error
        self._keep(
            base=base.name,
            revision=base.revision,
            base_version=base.version,
            version=max(self._state.version, base.version),
            fresh=bool(self._state.base),
            coming="",
            coming_revision="",
            coming_version=0,
        )
        logger.info("the roll %s is in force", base.name)

    def _forget_coming(self) -> None:
        if self._state.coming:
            self._check = None
            self._part.unlink(missing_ok=True)
            self._keep(coming="", coming_revision="", coming_version=0)

    def _keep(self, **changed: object) -> None:
        state = _State(**{**asdict(self._state), **changed})
        if state != self._state:
            text = json.dumps(asdict(state)).encode()
            try:
                write_whole(self._state_file, ROLL_FILE_MODE, lambda file: file.write(text))
            except OSError as error:
                raise RollNotWritten("note roll", str(self._state_file), reason=error.strerror) from error
            self._state = state


class _Check:
    """Reads a whole roll beside the agent's thread; `error` says what is wrong with it once the thread has ended."""

    def __init__(self, path: Path, base: Base, key: ProgrammeKey) -> None:
        self.error: JingkaError | None = None
        self._path, self._base, self._key = path, base, key
        self.thread = threading.Thread(target=self._run, name="roll-check", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            with self._path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != self._base.sha256:
                    raise RollDamaged("check roll", self._base.name, reason="not the file that headquarters made")
            roll = Roll.open(self._path)
            try:
                roll.check_key(self._key)
                roll.verify(_unwatched)
            finally:
                roll.close()
        except JingkaError as error:
            self.error = error
        except OSError as error:
            self.error = RollNotWritten("check roll", self._base.name, reason=error.strerror)


def _unwatched(done_bytes: int, total_bytes: int) -> None:
    """Nobody follows the check."""


def _records_of(answer: RollAnswer) -> dict[bytes, bytes]:
    """The records of a page by token; a later one of a card takes the place of an earlier."""
    try:
        content = base64.b64decode(answer.records, validate=True)
    except binascii.Error as error:
        raise MessageMalformed("follow roll", "headquarters", reason="records: not base64") from error
    if len(content) % RECORD.size:
        raise MessageMalformed("follow roll", "headquarters", reason="records: cut off")
    cut = (content[start : start + RECORD.size] for start in range(0, len(content), RECORD.size))
    return {record[:TOKEN_BYTES]: record for record in cut}


def _load_state(path: Path, files: RollFiles) -> _State:
    """What is known of the files; nothing when that cannot be read or the roll is another: then it is fetched. Changes
    that are not there (any more) are fetched from the roll's version on.
    """
    try:
        with path.open("rb") as file:
            state = _State(**json.loads(file.read(STATE_BYTES_MAX)))
    except (OSError, ValueError, TypeError):
        return _State()
    on_its_way = _State(coming=state.coming, coming_revision=state.coming_revision, coming_version=state.coming_version)
    try:
        found = Roll.open(files.roll)
    except JingkaError:
        return on_its_way
    found.close()
    if found.revision == state.revision:
        return state if _is_sound(files.changes) else replace(state, version=state.base_version)
    if state.coming and found.revision == state.coming_revision:  # the power went between renaming and noting
        reached = max(state.version, state.coming_version)
        return _State(state.coming, found.revision, reached, state.coming_version, fresh=True)
    return on_its_way


def _is_sound(changes: Path) -> bool:
    """Whether there is a changes file that opens."""
    try:
        Roll.open(changes).close()
    except JingkaError:
        return False
    return True
