"""From the settings to readers: the one place that knows every kind of reader.

Each kind is imported only when the settings name it: a counter with one serial reader loads nothing of PC/SC.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import JingkaError
from config.settings import AuthenticitySection, DemoSection, PcscReaderSection, ReaderSection, SerialReaderSection
from drivers.chip_reading import ChipTerms
from drivers.reader import Reader

if TYPE_CHECKING:
    from drivers.virtual.card import CardPresenter


def chip_terms(
    authenticity: AuthenticitySection, reads_dir: Path | None, wall: Callable[[], datetime]
) -> tuple[ChipTerms, JingkaError | None]:
    """What every chip reader is given, and the key file's fault if it has one: chips are read all the same.

    `reads_dir`: where readings are kept for a bug report, None for not at all; `wall` tells the time for them.
    """
    terms, fault = _with_keys(authenticity)
    if reads_dir is None:
        return terms, fault
    from drivers.recording import ReadRecorder

    return replace(terms, recorder=ReadRecorder(reads_dir, wall)), fault


def _with_keys(authenticity: AuthenticitySection) -> tuple[ChipTerms, JingkaError | None]:
    if authenticity.keys is None:
        return ChipTerms(), None
    from drivers.pboc.authenticity.keys import SchemeKeysError, load_scheme_keys

    try:
        return ChipTerms(keys=load_scheme_keys(authenticity.keys)), None
    except SchemeKeysError as error:
        return ChipTerms(), error


def make_readers(
    sections: Sequence[ReaderSection], demo: DemoSection, terms: ChipTerms
) -> tuple[list[Reader], CardPresenter | None]:
    """The readers of the settings and, in the demonstration, what plays cards into one of them."""
    readers: list[Reader] = []
    presenter: CardPresenter | None = None
    if demo.cards and demo.presenter == "vpcd":
        from drivers.virtual.vpcd import VpcdCard

        presenter = VpcdCard(port=demo.vpcd_port)
    for section in sections:
        if isinstance(section, PcscReaderSection):
            from drivers.pcsc import PcscReader

            readers.append(PcscReader(section.name, terms=terms))
        elif isinstance(section, SerialReaderSection):
            from drivers.serial_port import SerialReader, SerialSettings

            device = section.device
            if demo.cards and demo.presenter == "serial":
                from drivers.virtual.pty import PtyPresenter

                pty = PtyPresenter(section.frame)
                presenter, device = pty, str(pty.device)
            readers.append(
                SerialReader(
                    SerialSettings(
                        device=device,
                        baud=section.baud,
                        bytesize=section.bytesize,
                        parity=section.parity,
                        stopbits=section.stopbits,
                        frame=section.frame,
                    ),
                    section.name,
                )
            )
        else:
            from drivers.virtual.in_process import VirtualReader

            virtual = VirtualReader(section.name, terms=terms)
            readers.append(virtual)
            if demo.cards and demo.presenter == "virtual":
                presenter = virtual
    return readers, presenter
