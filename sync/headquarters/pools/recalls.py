"""How often others are asked for units of a key: a scan over its allotments, which a run on a pool's end would repeat
for every customer who is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine

# One look per key and worker. Whoever was asked comes at its next heartbeat, some seconds later: to ask again before
# that brings nothing.
ASK_EVERY_S: Final = 5
# Keys with slices are of campaigns and places: two windows of every site of the city. Some 100 bytes each.
ASKED_KEPT_MAX: Final = 20_000

_lock: Final = threading.Lock()
_asked: Final[WeakKeyDictionary[Engine, dict[str, datetime]]] = WeakKeyDictionary()


def due(engine: Engine, keys: Iterable[str], now: datetime) -> list[str]:
    """Those of `keys`, sorted, that this worker has not asked for within `ASK_EVERY_S`; from now on it has."""
    since = now - timedelta(seconds=ASK_EVERY_S)
    with _lock:
        asked = _asked.setdefault(engine, {})
        # A clock that was set back must not keep anybody from asking.
        wanted = [key for key in sorted(set(keys)) if not since < asked.get(key, since) <= now]
        if len(asked) + len(wanted) > ASKED_KEPT_MAX:
            asked.clear()  # somebody is asked once too often
        asked.update(dict.fromkeys(wanted, now))
    return wanted
