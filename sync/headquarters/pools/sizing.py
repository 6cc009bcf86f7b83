"""How large a terminal's slice should be, what to call back, and how long a lease lives. Pure.

A slice is what a terminal may sell while its line is down. Large slices strand what others could sell, small ones stop
a terminal that is cut off; so the size follows what the terminal sells (`rate`), for some hours to come, and never
more than its part of what is left. Of that, a share always stays at headquarters: with it the last units go to whoever
has a buyer, one hold at a time, and slices shrink as the pool runs down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final

# What a terminal can go on selling without a line: an afternoon and an evening.
AUTONOMY_H: Final = 8.0
# Of what is left, at most so much may lie in slices; the rest answers holds and grows the slices that run dry.
SLICED_SHARE: Final = 0.5
# A terminal that has sold nothing yet counts as selling so much: it gets a first few units where the pool is rich.
BASE_RATE: Final = 0.25  # units per hour
# Where the pool is rich, nobody is left with less for an outage: an evening at a quiet counter.
RESERVE: Final = 40  # units
# Sales fade by half in so long: a quiet hour after a rush gives units back, a quiet minute does not.
HALF_LIFE_H: Final = 2.0
# A slice is left alone until it is this far from what it should be: each change costs an exchange.
GROW_BELOW: Final = 0.5
RECALL_ABOVE: Final = 2.0
# With less than this share of what is left at headquarters, every surplus is called back, not just a large one.
SHORT_SHARE: Final = 0.25

# By the share of the pool that is left: plenty, little, and the last tickets. A lease that was not renewed may be
# written off by a person once it is over, so near the end it has to be over sooner.
LIFE_S_PLENTY: Final = 72 * 3600
LIFE_S_LITTLE: Final = 24 * 3600
LIFE_S_LAST: Final = 4 * 3600
LITTLE_SHARE: Final = 0.2
LAST_SHARE: Final = 0.05

_TAU_H: Final = HALF_LIFE_H / math.log(2)


@dataclass(frozen=True, slots=True)
class PoolState:
    """A key citywide. `allotted`: out in slices, sold or not; `used`: sold; `recent`: fading sales of all terminals."""

    max: int
    allotted: int
    excess: int
    used: int
    recent: float
    terminals: int

    @property
    def free(self) -> int:
        """What may still be granted."""
        return max(0, self.max - self.allotted - self.excess)

    @property
    def left(self) -> int:
        """What is not sold, wherever it lies."""
        return max(0, self.max - self.used)


@dataclass(frozen=True, slots=True)
class SliceState:
    """One terminal's part. `unspent` is what it may still sell; `wanted` what it had to refuse for want of it."""

    unspent: int
    recent: float
    wanted: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """`target`: the unspent that the terminal should have; of that `grow` more now, or `recall` back."""

    target: int
    grow: int
    recall: int


def rate_of(recent: float) -> float:
    """Units per hour behind a fading count."""
    return recent / _TAU_H


def faded(recent: float, since: datetime, now: datetime) -> float:
    """A fading count a while later; a clock that went back fades nothing."""
    hours = max(0.0, (now - since).total_seconds() / 3600)
    return recent * math.exp2(-min(hours / HALF_LIFE_H, 1000.0))


def decide(pool: PoolState, at: SliceState) -> Decision:
    """What to do about one terminal's slice of one pool; never more than is free."""
    target = _target(pool, at)
    if at.unspent < target * GROW_BELOW or (at.wanted > 0 and at.unspent < target):
        return Decision(target, max(0, min(target - at.unspent, pool.free)), 0)
    short = pool.free < pool.left * SHORT_SHARE
    surplus = at.unspent - target
    if surplus > 0 and (short or at.unspent > target * RECALL_ABOVE):
        return Decision(target, 0, surplus)
    return Decision(target, 0, 0)


def life_s(pool: PoolState) -> int:
    """How long a lease on this pool may be spent without another word."""
    share = pool.left / pool.max if pool.max else 0.0
    if share > LITTLE_SHARE:
        return LIFE_S_PLENTY
    return LIFE_S_LITTLE if share > LAST_SHARE else LIFE_S_LAST


def _target(pool: PoolState, at: SliceState) -> int:
    """Hours of sales or the reserve, at most this terminal's part of the share that may be out."""
    rate = max(BASE_RATE, rate_of(at.recent))
    everyone = max(rate, rate_of(pool.recent) + BASE_RATE * pool.terminals)
    part = pool.left * SLICED_SHARE * rate / everyone
    return int(min(max(math.ceil(rate * AUTONOMY_H), RESERVE) + at.wanted, part))
