"""Tries with PINs, counted in the database: a guesser gains nothing by meeting another worker, or a restarted one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select, update

from sync.headquarters.people.tables import pin_tries
from sync.headquarters.storage import Storage, insert_or
from sync.headquarters.tables import attempts
from terminal.serving.lockouts import GLOBAL_TRIES_MAX, GLOBAL_WINDOW_S, PinLocked, wait_after_s

ALL_TRIES: Final = "pin"  # the subject in `attempts` that counts everyone's
# Wrong tries are forgotten after a day: far longer than any wait, and invented numbers do not pile up
# (`GLOBAL_TRIES_MAX` lets 43,200 in).
FORGOTTEN_AFTER: Final = timedelta(days=1)


class StoredLockouts:
    """`Lockouts` over the database, by headquarters' clock: elapsed seconds of one machine say nothing to another."""

    def __init__(self, storage: Storage, clock: Callable[[], datetime]) -> None:
        self._storage = storage
        self._clock = clock

    def begin(self, person: str, now: float) -> None:
        """See `Lockouts`; `now` is not used. Raises `StorageUnavailable` too: no PIN is tried that nobody counts."""
        moment = self._clock()
        window, passed_s = divmod(int(moment.timestamp()), GLOBAL_WINDOW_S)
        with self._storage.write() as connection:
            connection.execute(delete(pin_tries).where(pin_tries.c.tried_at <= moment - FORGOTTEN_AFTER))
            connection.execute(delete(attempts).where(attempts.c.window < window))
            count = (
                insert_or(connection, attempts)
                .values(subject=ALL_TRIES, window=window, count=1)
                .on_conflict_do_update(
                    index_elements=[attempts.c.subject, attempts.c.window], set_={"count": attempts.c.count + 1}
                )
                .returning(attempts.c.count)
            )
            all_tries = connection.scalar(count) or 0
            row = {"person": person, "wrong": 0, "free_at": moment, "tried_at": moment}
            connection.execute(insert_or(connection, pin_tries).values(row).on_conflict_do_nothing())
            tries = connection.execute(select(pin_tries).where(pin_tries.c.person == person).with_for_update()).one()
            wait_s = max((tries.free_at - moment).total_seconds(), 0.0)
            if all_tries > GLOBAL_TRIES_MAX:
                wait_s = max(wait_s, float(GLOBAL_WINDOW_S - passed_s))
            if wait_s > 0:
                raise PinLocked("sign in", "person", wait_s=int(wait_s) + 1)  # rolls back: a wait counts no try
            wrong = tries.wrong + 1
            free_at = moment + timedelta(seconds=wait_after_s(wrong))
            counted = {"wrong": wrong, "free_at": free_at, "tried_at": moment}
            connection.execute(update(pin_tries).where(pin_tries.c.person == person).values(counted))

    def succeeded(self, person: str) -> None:
        """See `Lockouts`."""
        window = int(self._clock().timestamp()) // GLOBAL_WINDOW_S
        of_all = (attempts.c.subject == ALL_TRIES, attempts.c.window == window, attempts.c.count > 0)
        with self._storage.write() as connection:
            connection.execute(delete(pin_tries).where(pin_tries.c.person == person))
            connection.execute(update(attempts).where(*of_all).values(count=attempts.c.count - 1))
