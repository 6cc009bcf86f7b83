"""What happens to the roll by itself: activations take effect, temporary cards end, snapshots are made.

One thread a worker; each step takes what it needs under the database's locks, so any number of workers may run it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from config.errors import JingkaError
from sync.headquarters.roll import members, snapshot
from sync.headquarters.storage import Storage
from terminal.membership.token import ProgrammeKey

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 2.0  # two look-ups in an index; a first roll is on its way to terminals that soon
STOP_S_MAX: Final = 5.0  # a build that takes longer is cut off with the process; the next worker makes it anew


class RollKeeper:
    """Starts and stops with the application."""

    def __init__(
        self, storage: Storage, key: ProgrammeKey, *, changes_max: int, data_dir: Path, clock: Callable[[], datetime]
    ) -> None:
        self._storage = storage
        self._key = key
        self._changes_max = changes_max
        self._data_dir = data_dir
        self._clock = clock
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._run, name="roll-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the step in hand."""
        self._stopping.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(STOP_S_MAX)

    def wake(self) -> None:
        """Look now: a list has been put in force."""
        self._woken.set()

    def step(self) -> None:
        """One look. Raises `StorageUnavailable` and what a build meets."""
        now = self._clock()
        while members.sweep_due(self._storage, now):
            pass
        made = snapshot.build_if_wanted(
            self._storage, self._key, changes_max=self._changes_max, data_dir=self._data_dir, now=now
        )
        if made is not None:
            logger.info("the roll is ready for terminals at version %d, %d bytes", made.version, made.size_bytes)

    def _run(self) -> None:
        told = ""
        while not self._stopping.is_set():
            try:
                self.step()
                told = ""
            except JingkaError as error:
                if error.code != told:  # once for each change, not for each try
                    logger.warning("the roll: %s", error)
                told = error.code
            except Exception:
                logger.exception("the roll's keeper failed; it goes on")
            self._woken.wait(LOOK_EVERY_S)
            self._woken.clear()
