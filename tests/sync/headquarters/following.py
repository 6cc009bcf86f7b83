"""A till's agent as its own loop would drive it, without its thread."""

from __future__ import annotations

from sync.agent import Agent
from sync.errors import LineDown

TURNS_MAX = 50  # until everything is pushed and fetched


def follow(agent: Agent) -> None:
    """Push and fetch until nothing is left to push and nothing is newer."""
    for _ in range(TURNS_MAX):
        try:
            step = agent._step()
        except LineDown:  # a busy machine's headquarters answers later than a heartbeat waits: it comes again
            continue
        if not step.more and not agent._fetch(step):
            return
    raise AssertionError("it never ends")
