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
from config.settings import (
    AuthenticitySection,
    DemoSection,
    PcscReaderSection,
    Pn532ReaderSection,
    ReaderSection,
    SerialReaderSection,
    WedgeReaderSection,
)
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
        elif isinstance(section, Pn532ReaderSection):
            reader, played = _pn532_reader(section, demo, terms)
            readers.append(reader)
            presenter = played or presenter
        elif isinstance(section, WedgeReaderSection):
            reader, played = _wedge_reader(section, demo)
            readers.append(reader)
            presenter = played or presenter
        else:
            from drivers.virtual.in_process import VirtualReader

            virtual = VirtualReader(section.name, terms=terms)
            readers.append(virtual)
            if demo.cards and demo.presenter == "virtual":
                presenter = virtual
    return readers, presenter


def _pn532_reader(
    section: Pn532ReaderSection, demo: DemoSection, terms: ChipTerms
) -> tuple[Reader, CardPresenter | None]:
    from drivers.pn532.reader import Pn532Reader
    from drivers.port import PortSettings

    if demo.cards and demo.presenter == "pn532":
        from drivers.virtual.pn532 import VirtualPn532

        module = VirtualPn532()
        return Pn532Reader(PortSettings(module.device, section.baud), section.name, terms=terms), module
    return Pn532Reader(PortSettings(section.device, section.baud), section.name, terms=terms), None


def _wedge_reader(section: WedgeReaderSection, demo: DemoSection) -> tuple[Reader, CardPresenter | None]:
    from drivers.wedge.reader import WedgeReader

    if demo.cards and demo.presenter == "wedge":
        from drivers.virtual.wedge import VirtualWedge

        wedge = VirtualWedge()
        return WedgeReader(wedge.device, section.name, open_device=wedge.open_device), wedge
    return WedgeReader(section.device, section.name), None
