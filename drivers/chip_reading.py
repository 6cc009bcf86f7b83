"""From a way to talk to a chip to a `CardRead`: what every chip reader does once a card is in reach."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from config.errors import JingkaError
from drivers.card import CardRead, EntryMode, Step
from drivers.pboc.dol import TerminalData
from drivers.pboc.evidence import Authenticate
from drivers.pboc.exchange import TransmissionProtocol, Transmit
from drivers.pboc.read import read_card
from drivers.terminal_data import terminal_data_now
from drivers.trace import StepTracer
from drivers.traffic import followed

if TYPE_CHECKING:
    from drivers.pboc.authenticity.keys import SchemeKeys
    from drivers.recording import Conversation, ReadRecorder


@dataclass(frozen=True, slots=True)
class ChipTerms:
    """What this terminal brings to every chip, the same for all its readers.

    No `keys`: no chip is checked. No `recorder`: no reading is written down.
    """

    terminal_data: Callable[[], TerminalData] = terminal_data_now
    keys: SchemeKeys | None = None
    recorder: ReadRecorder | None = None


class ChipReading:
    """One reading of one card; `steps` tells how far it came, whatever ended it."""

    def __init__(
        self,
        transmit: Transmit,
        protocol: TransmissionProtocol,
        *,
        contactless: bool,
        reader: str,
        terms: ChipTerms,
    ) -> None:
        transmit = followed(transmit, reader)
        self._conversation = _kept(transmit) if terms.recorder else None
        self._tracer = StepTracer(self._conversation or transmit)
        self._protocol = protocol
        self._contactless = contactless
        self._reader = reader
        self._terms = terms

    @property
    def steps(self) -> tuple[Step, ...]:
        """Commands, status words and times so far."""
        return self._tracer.steps

    def read(self) -> CardRead:
        """The card. Raises what `read_card` and the port below raise."""
        try:
            read = self._read()
        except Exception as fault:
            self._record(fault.code if isinstance(fault, JingkaError) else type(fault).__name__.lower())
            raise
        self._record("read", " ".join(filter(None, (read.authenticity, read.authenticity_reason))))
        return read

    def _record(self, outcome: str, authenticity: str = "") -> None:
        if self._terms.recorder is None or self._conversation is None:
            return
        from drivers.recording import Reading

        self._terms.recorder.keep(
            Reading(self._reader, self._contactless, self._protocol, outcome, self._conversation.pairs, authenticity)
        )

    def _read(self) -> CardRead:
        started_ns = time.monotonic_ns()
        terminal_data = self._terms.terminal_data()
        authenticate = self._authenticator(terminal_data)
        chip = read_card(
            self._tracer,
            self._protocol,
            contactless=self._contactless,
            terminal_data=replace(terminal_data, authenticating=authenticate is not None),
            authenticate=authenticate,
        )
        finished_ns = time.monotonic_ns()
        return CardRead(
            pan=chip.pan,
            expiry=chip.expiry,
            entry_mode=EntryMode.CONTACTLESS if self._contactless else EntryMode.CONTACT,
            reader=self._reader,
            authenticity=chip.verdict.authenticity,
            authenticity_reason=chip.verdict.reason,
            service_code=chip.service_code,
            finished_ns=finished_ns,
            read_ms=(finished_ns - started_ns) / 1e6,
            steps=self.steps,
            device_hint=chip.device_hint,
        )

    def _authenticator(self, terminal_data: TerminalData) -> Authenticate | None:
        if self._terms.keys is None:
            return None
        from drivers.pboc.authenticity.verify import Authenticator

        return Authenticator(self._terms.keys, terminal_data.today)


def _kept(transmit: Transmit) -> Conversation:
    from drivers.recording import Conversation  # only a till that records needs it

    return Conversation(transmit)
