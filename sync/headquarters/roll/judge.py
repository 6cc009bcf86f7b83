"""The finding `not-member-then`: by the roll, the card was no active member's when it was sold to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection

from sync.errors import MessageMalformed
from sync.headquarters.projection import Finding, FlagCode, Folded, Place
from sync.headquarters.roll import members, versions
from sync.wire import parse_timestamp
from terminal.ledger.entry import Entry, EntryKind
from terminal.membership.standing import Standing


class RollJudge:
    """A `sync.headquarters.ingest.Judge`: at most three queries for a batch.

    The counter's clock says when. Sales from before headquarters had a roll, and tokens of another key, are not judged.
    """

    def __call__(
        self, connection: Connection, place: Place, entries: Sequence[Entry], folded: Folded, now: datetime
    ) -> Iterable[Finding]:
        """The findings on the authorisations among `entries`."""
        sold = [(entry, entry.body.get("token")) for entry in entries if entry.kind is EntryKind.AUTHORISED]
        if not sold:
            return []
        state = versions.state_of(connection)
        if state.began_at is None:
            return []
        ours = f"v{state.key_version}:"
        asked = [
            (entry, token, at)
            for entry, token in sold
            if entry.redemption in folded.changes
            and isinstance(token, str)
            and token.startswith(ours)
            and (at := _moment(entry)) is not None
            and at >= state.began_at
        ]
        if not asked:
            return []
        standings = members.standings_at(connection, [(token, at) for _, token, at in asked])
        return _findings([entry for entry, _, _ in asked], standings)


def _findings(entries: Sequence[Entry], standings: Sequence[Standing | None]) -> Iterator[Finding]:
    for entry, standing in zip(entries, standings, strict=True):
        if standing is not Standing.ACTIVE:
            told = (standing or Standing.UNKNOWN).value
            yield Finding(entry.sequence, FlagCode.NOT_MEMBER_THEN, f"{entry.redemption} {told}")


def _moment(entry: Entry) -> datetime | None:
    try:
        return parse_timestamp(entry.at)
    except MessageMalformed:
        return None
