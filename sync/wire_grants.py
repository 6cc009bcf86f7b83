"""What a terminal and headquarters say to each other about grants: leases, holds, and what was used elsewhere.

A grant is kept as two totals per terminal and key that only ever grow: `granted`, which headquarters raises, and
`returned`, which the terminal raises. So a message that is lost, doubled or late does no harm: whoever reads totals
keeps the larger. What a terminal may spend under a key is

    granted - returned - frozen - what its own ledger says is used      (as of the answer of the highest generation)

and nothing at all once `life_s` is over, counted by the monotonic clock of the same boot from before the request went
out, nor after a start of the machine until the next answer. Keys are usage keys (`terminal.offers.limits.usage_key`).

    POST   /api/v1/terminals/{id}/leases    LeaseReport -> LeaseAnswer    report, be granted more, learn what to return
    GET    /api/v1/terminals/{id}/leases    -> LeaseAnswer                the same numbers; changes nothing
    POST   /api/v1/holds                    HoldRequest -> HoldAnswer     room for one redemption, while the line is up
    DELETE /api/v1/holds/{redemption}?terminal=T&attempt=N -> HoldAnswer  it will not be used (best effort)
    GET    /api/v1/terminals/{id}/usage?after=VERSION&cursor=CURSOR       see `sync.wire_usage`
"""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field as Bounded
from pydantic import StringConstraints, model_validator

from sync.wire import API, NEWS_CHARS_MAX, SEQUENCE_MAX, Answer, Request, TerminalId, Timestamp, Watermark

HOLDS_PATH: Final = f"{API}/holds"
LEASES_FEED: Final = "leases"
USAGE_FEED: Final = "usage"

# Keys of limits that a slice can be cut for: one to three per offer that one merchant sells, today's and the next
# window's. A city's book has 500 offers over 2,000 merchants; a merchant has a dozen.
LEASE_KEYS_MAX: Final = 512
# Limits of one offer: what an authorisation can claim (`terminal.ledger.bodies.CLAIMS_MAX`).
HOLD_KEYS_MAX: Final = 32
KEY_CHARS_MAX: Final = 1_000  # of a usage key, as in the ledger
# Every key of a full answer at its longest (1,000 characters, 3 bytes each in Chinese, and the numbers) fits.
LEASE_ANSWER_BYTES_MAX: Final = 2 * 1024 * 1024
AMOUNT_MAX: Final = 2**53 - 1  # what JSON keeps exactly; the ledger's own bound
ATTEMPTS_MAX: Final = 1_000  # at one redemption: a cashier changes the number of tickets a few times
LIFE_S_MAX: Final = 31 * 24 * 3600  # no lease outlives a month without a word from its terminal


def leases_path(terminal: str) -> str:
    """Where this terminal reports and reads its slices."""
    return f"{API}/terminals/{terminal}/{LEASES_FEED}"


def hold_path(redemption: str, terminal: str, attempt: int) -> str:
    """What to DELETE when a hold will not be used."""
    return f"{HOLDS_PATH}/{redemption}?terminal={terminal}&attempt={attempt}"


Key = Annotated[str, StringConstraints(min_length=1, max_length=KEY_CHARS_MAX, pattern=r"^[^\x00]+$")]
"""PostgreSQL's text holds every character but NUL."""
Id = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Total = Annotated[int, Bounded(ge=0, le=AMOUNT_MAX)]
Amount = Annotated[int, Bounded(ge=1, le=AMOUNT_MAX)]
Attempt = Annotated[int, Bounded(ge=1, le=ATTEMPTS_MAX)]
Generation = Annotated[int, Bounded(ge=0, le=SEQUENCE_MAX)]
Boot = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
"""The kernel's boot id."""
Uptime = Annotated[int, Bounded(ge=0, le=SEQUENCE_MAX)]
"""Milliseconds of CLOCK_BOOTTIME as the message was made; of one boot, later messages have larger ones."""
RedemptionId = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
]
"""A UUIDv7 in its one spelling."""
LeaseVersion = Annotated[str, StringConstraints(min_length=1, max_length=NEWS_CHARS_MAX)]


# --- leases -----------------------------------------------------------------------------------------------------------


class KeyReport(Request):
    """`returned`: what the terminal gave up in all, durably. `wanted`: units refused here for want of allowance since
    the last answer; a hint for the size of the slice, and no more than a hint.
    """

    key: Key
    returned: Total
    wanted: Total = 0


class LeaseReport(Request):
    """How the terminal stands: the last `generation` it has stored (0: none yet), and every key it was ever granted.

    `sequence` is the head of its ledger, read in the same transaction as the totals. `keys` may leave out a key of
    which nothing was returned. `closing`: the terminal stops, has given up what it had unspent, and wants no more.
    """

    terminal: TerminalId
    generation: Generation
    boot: Boot
    monotonic_ms: Uptime
    sequence: Watermark
    keys: Annotated[tuple[KeyReport, ...], Bounded(max_length=LEASE_KEYS_MAX)] = ()
    closing: bool = False

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({each.key for each in self.keys}) != len(self.keys):
            raise ValueError("a key stands twice")
        return self


class Grant(Answer):
    """One key's numbers. `recall` is the total that `returned` should reach, as far as the terminal has it unspent;
    nothing is asked for when it is not above `returned`. `frozen` may go down again when a person decides so.
    """

    key: Key
    offer: Id
    limit: Id
    granted: Total
    returned: Total  # as headquarters knows it; a terminal that has less was restored from a backup, and takes this
    frozen: Total = 0
    recall: Total = 0


class LeaseAnswer(Answer):
    """All grants of this terminal. `life_s` 0: spend none of them (a person has to look at this terminal first).

    `version` is what `news` will say for the feed `leases` until there is something to exchange again.
    """

    generation: Generation
    life_s: Annotated[int, Bounded(ge=0, le=LIFE_S_MAX)]
    version: LeaseVersion
    grants: Annotated[tuple[Grant, ...], Bounded(max_length=LEASE_KEYS_MAX)] = ()
    time: Timestamp


# --- holds ------------------------------------------------------------------------------------------------------------


class HoldKey(Request):
    """`amount` wanted under `key`, of which `max` is the limit's number in the terminal's book.

    Of a `lease` key it is what the slice lacks; of any other what the sale will claim.
    """

    key: Key
    amount: Amount
    max: Amount


class HoldRequest(Request):
    """Room for one redemption. The same request again is given the same answer and no second room.

    Another sale under the same id (one ticket less) comes with a higher `attempt`, and takes the place of the last.
    """

    terminal: TerminalId
    redemption: RedemptionId
    attempt: Attempt = 1
    boot: Boot
    monotonic_ms: Uptime
    offer: Id
    revision: Annotated[int, Bounded(ge=0, le=2**31 - 1)]
    book_hash: Annotated[str, StringConstraints(max_length=64)] = ""  # empty: the book of that revision, whatever it is
    units: Amount
    keys: Annotated[tuple[HoldKey, ...], Bounded(min_length=1, max_length=HOLD_KEYS_MAX)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({each.key for each in self.keys}) != len(self.keys):
            raise ValueError("a key stands twice")
        return self


class HeldKey(Answer):
    """How a key stands citywide, this hold included when it was granted.

    `used`: sold, held and leased out, of `max`. `granted`: this terminal's total from now on, of a `lease` key; keep it
    as one from a `LeaseAnswer`. 0 of any other key.
    """

    key: Key
    used: Total
    max: Total
    granted: Total = 0


class HoldAnswer(Answer):
    """Whether there is room. When `granted`, the redemption may be authorised within `life_s` of the same boot's
    monotonic clock, counted from before the request went out.
    """

    granted: bool
    keys: Annotated[tuple[HeldKey, ...], Bounded(max_length=HOLD_KEYS_MAX)] = ()
    life_s: Annotated[int, Bounded(ge=0, le=LIFE_S_MAX)] = 0
    time: Timestamp
