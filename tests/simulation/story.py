"""What happens in a city that is played out, and what must be true of it all along.

The world knows what no machine knows: every ticket that was really handed over, also one whose record burnt with the
disk it was on. `check_always` is asked at every ticket, `check_at_the_end` when every line is up again and quiet.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections import deque
from dataclasses import dataclass, field
from typing import Final

LINES_KEPT: Final = 400  # of the story that a failing seed prints: its last days


class Broken(AssertionError):
    """A promise did not hold; the message is the story that led to it."""


@dataclass(slots=True)
class Ticket:
    """One redemption as the world saw it."""

    redemption: str
    member: int
    terminal: str
    units: int
    granted: str
    lost: bool = False  # its record went with a disk before headquarters heard of it

    @property
    def stands(self) -> bool:
        return self.units > 0


@dataclass(slots=True)
class Story:
    """Everything that was handed over in a city with one pool."""

    seed: int
    pool: int
    per_card: int
    tickets: dict[str, Ticket] = field(default_factory=dict)
    out: int = 0  # tickets handed over and not given back
    by_member: Tally[int] = field(default_factory=Tally)
    refused: Tally[str] = field(default_factory=Tally)  # customers, by the first reason they were told
    unserved: int = 0  # units that customers wanted and nobody had a right to sell, while the campaign ran
    counts: Tally[str] = field(default_factory=Tally)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))
    now_ms: int = 0

    def say(self, who: str, what: str) -> None:
        """One line of the story."""
        day, rest = divmod(self.now_ms, 86_400_000)
        hour, rest = divmod(rest, 3_600_000)
        minute, rest = divmod(rest, 60_000)
        self.lines.append(f"day {day} {hour:02}:{minute:02}:{rest // 1000:02} {who}: {what}")

    def sold(self, ticket: Ticket) -> None:
        """Handed over."""
        if ticket.redemption in self.tickets:
            self.fail(f"{ticket.redemption} was sold twice")
        self.tickets[ticket.redemption] = ticket
        self.out += ticket.units
        self.by_member[ticket.member] += ticket.units
        self.counts[f"granted {ticket.granted}"] += 1
        self.say(ticket.terminal, f"sold {ticket.units} to member {ticket.member} ({ticket.granted}), {self.out} out")
        self.check_always()

    def given_back(self, redemption: str, units: int, why: str) -> None:
        """Units of a ticket came back."""
        ticket = self.tickets[redemption]
        ticket.units -= units
        self.out -= units
        self.by_member[ticket.member] -= units
        self.counts[why] += 1
        self.say(ticket.terminal, f"{why} {units} of member {ticket.member}, {self.out} out")

    def check_always(self) -> None:
        """More tickets than the pool are never out."""
        if self.out > self.pool:
            self.fail(f"{self.out} tickets of {self.pool} are out")

    def fail(self, what: str) -> None:
        """Raise with the story so far."""
        told = "\n".join(self.lines)
        raise Broken(f"seed {self.seed}: {what}\n{told}\nseed {self.seed}: {what}")
