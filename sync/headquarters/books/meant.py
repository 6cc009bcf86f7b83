"""The book that is meant for a terminal, for feeds: several ask for it in an acknowledgement; it is looked up once.

What was found is remembered with the connection, which a request has for its one transaction, and goes with it. Whoever
changes roll-outs or notes what a terminal has asks `releases.in_force_for` itself.
"""

from __future__ import annotations

import threading
from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import Connection

from sync.headquarters.books.releases import in_force_for
from sync.headquarters.books.stages import InForce
from sync.headquarters.projection import Place

_lock: Final = threading.Lock()
_found: Final[WeakKeyDictionary[Connection, dict[Place, InForce | None]]] = WeakKeyDictionary()


def meant_for(connection: Connection, place: Place) -> InForce | None:
    """As `releases.in_force_for`, the same for as long as `connection` is open."""
    with _lock:
        found = _found.setdefault(connection, {})
    if place not in found:
        found[place] = in_force_for(connection, place)
    return found[place]
