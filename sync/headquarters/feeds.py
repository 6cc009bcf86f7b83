"""What headquarters hands to terminals, and how a terminal learns that there is something new.

Every acknowledgement names the version of each feed as it is for that terminal (`news`); the terminal fetches the
feeds whose version is not the one it has. So nothing is polled for, and what is urgent (a lost card) is at every
connected terminal within a heartbeat and a fetch.
"""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection

from sync.headquarters.projection import Place


class Feed(Protocol):
    """One thing that terminals fetch: the book, the roll, usage, leases."""

    @property
    def name(self) -> str:
        """As in the address: `/api/v1/terminals/{id}/<name>`, and in `news`."""

    def version(self, connection: Connection, place: Place) -> str | None:
        """What this terminal should have by now; None: nothing for it. Asked at every heartbeat, so one look-up."""
