"""The overview's charts as coordinates for SVG: lengths are attributes there, so no style and no script is needed.

Pure: numbers in, numbers out. The template draws them, and says in words what they show.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sync.headquarters.overview import Pace, PoolRun

WIDTH: Final = 600  # units of the view box; it is stretched to the page's width
HEIGHT: Final = 120
SCALE_MIN: Final = 5  # sales a minute at the chart's top: a single sale is not a full bar
_GAP: Final = 2
_SPAN_MIN: Final = timedelta(hours=1)  # of a run that has only begun


@dataclass(frozen=True, slots=True)
class Bar:
    """One minute; `x`, `y`, `width`, `height` in the view box."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class RunDown:
    """A pool's line of what is left, as SVG `points`; `ahead`: the forecast's, empty when there is none.

    `now_x`: where the present is. The axis goes from `begins` to `ends`.
    """

    left: str
    area: str
    ahead: str
    now_x: float
    begins: datetime
    ends: datetime


def bars(pace: Pace) -> list[Bar]:
    """One bar a minute; the tallest minute reaches the top."""
    top = max(SCALE_MIN, pace.most)
    step = WIDTH / len(pace.minutes)
    return [
        Bar(round(number * step, 2), round(HEIGHT * (1 - sales / top), 2), step - _GAP, round(HEIGHT * sales / top, 2))
        for number, sales in enumerate(pace.minutes)
    ]


def run_down(run: PoolRun) -> RunDown:
    """What is left over time, in steps, and ahead to when the last unit goes; as far ahead as back at the most."""
    now = run.points[-1].at
    begins = min(run.points[0].at, now - _SPAN_MIN)
    span = now - begins
    last = run.pool.last_at if run.pool.last_at is not None and run.pool.last_at > now else None
    ahead = min(last - now, span) if last else span / 4
    ends = now + ahead
    whole = max(1, *(point.max for point in run.points))

    def x(moment: datetime) -> float:
        return round(WIDTH * ((moment - begins) / (ends - begins)), 2)

    def y(left: float) -> float:
        return round(HEIGHT * (1 - max(0.0, left) / whole), 2)

    line: list[str] = []
    before = None
    for point in run.points:
        if before is not None:
            line.append(f"{x(point.at)},{before}")  # it stays as it was until it changes
        before = y(point.max - point.used)
        line.append(f"{x(point.at)},{before}")
    remaining = run.points[-1].max - run.points[-1].used
    forecast = ""
    if last:
        share = ahead / (last - now)
        forecast = f"{x(now)},{y(remaining)} {x(ends)},{y(remaining * (1 - share))}"
    area = " ".join([f"{x(run.points[0].at)},{HEIGHT}", *line, f"{x(now)},{HEIGHT}"])
    return RunDown(" ".join(line), area, forecast, x(now), begins, ends)
