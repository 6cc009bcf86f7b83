"""What a reading went through, step by step: commands, status words and times, and never a card's octets."""

from __future__ import annotations

import time
from collections.abc import Callable

from drivers.card import Step
from drivers.pboc.apdu import CommandApdu
from drivers.pboc.exchange import Transmit

STEPS_MAX = 128  # more than `exchange.COMMANDS_MAX`: a trace is whole or the read has ended


class StepTracer:
    """A `Transmit` around another that notes each step; `steps` is there whatever ends the read."""

    def __init__(self, below: Transmit, *, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._below = below
        self._now_ns = now_ns
        self._steps: list[Step] = []

    @property
    def steps(self) -> tuple[Step, ...]:
        """What was sent so far."""
        return tuple(self._steps)

    def __call__(self, command: bytes, /) -> bytes:
        began_ns = self._now_ns()
        status: int | None = None
        try:
            answer = self._below(command)
            status = int.from_bytes(answer[-2:]) if len(answer) >= 2 else None
            return answer
        finally:
            if len(self._steps) < STEPS_MAX:
                self._steps.append(Step(_name(command), status, (self._now_ns() - began_ns) / 1e6))


def _name(command: bytes) -> str:
    """The command as people name it; a record's or file's number is told, its data never."""
    try:
        return str(CommandApdu.parse(command))
    except ValueError:
        return "not a command"
