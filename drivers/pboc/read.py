"""Read a chip to PAN and expiry: select, open, read records, and stop as soon as both are known.

With `authenticate` every record is read, and the chip may be made to sign a number of ours. Only reading commands are
sent (see `exchange`). GET PROCESSING OPTIONS advances the card's transaction counter, which is harmless; nothing is
paid or changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from drivers.card import CardError, CardRefused, Expiry, MalformedCard, Pan
from drivers.pboc import tlv
from drivers.pboc.apdu import LE_ALL, CommandApdu, Instruction, ResponseApdu, status_text
from drivers.pboc.application import Application, candidates, read_record, selected
from drivers.pboc.dol import DolEntry, TerminalData, fill_dol, parse_dol
from drivers.pboc.evidence import NOT_ASKED, RID_OCTETS, Authenticate, Evidence, Record, Verdict
from drivers.pboc.exchange import Exchange, TransmissionProtocol, Transmit
from drivers.pboc.tags import Tag
from drivers.pboc.tlv import Tlv

AFL_ENTRY_OCTETS = 4
AFL_RECORDS_MAX = 32  # records read of one card; published ones have 3 to 12
SFI_MAX = 30  # ISO/IEC 7816-4: 31 is no file
SFI_EMV_MAX = 10  # EMV Book 3 section 5.3.2.2: records of files 1 to 10 are wrapped in 70
PAN_OCTETS_MAX = 10  # tag 5A
TRACK_2_OCTETS_MAX = 19  # tag 57


@dataclass(frozen=True, slots=True)
class ChipRead:
    """What a chip gave. `service_code` is None when the card gave no track 2 data, `expiry` when it states none."""

    pan: Pan
    expiry: Expiry | None
    service_code: str | None
    aid: bytes
    label: str
    verdict: Verdict = NOT_ASKED


@dataclass(frozen=True, slots=True)
class FileRange:
    """Records `first` to `last` of one file, `authenticated` of them signed by the issuer (one AFL entry)."""

    sfi: int
    first: int
    last: int
    authenticated: int = 0


@dataclass(frozen=True, slots=True)
class ProcessingOptions:
    """The answer to GET PROCESSING OPTIONS: interchange profile, files to read, and data given at once (qPBOC)."""

    profile: bytes
    files: tuple[FileRange, ...]
    given: tuple[Tlv, ...] = field(repr=False)


def read_card(
    transmit: Transmit,
    protocol: TransmissionProtocol,
    *,
    contactless: bool,
    terminal_data: TerminalData,
    authenticate: Authenticate | None = None,
) -> ChipRead:
    """PAN and expiry of the card behind `transmit`; with `authenticate`, also its verdict on the chip.

    Raises `NotACard` (no payment application), `CardRefused` (blocked), `MalformedCard` (data that break the standard
    or contradict each other), and whatever `transmit` itself raises. A `CardError` carries no traceback from below:
    its frames hold the card's octets.
    """
    try:
        return _read(Exchange(transmit, protocol), contactless, terminal_data, authenticate)
    except CardError as error:
        raise error.with_traceback(None) from None


def _read(
    exchange: Exchange, contactless: bool, terminal_data: TerminalData, authenticate: Authenticate | None
) -> ChipRead:
    refused: CardRefused | None = None
    for application in selected(exchange, candidates(exchange, contactless=contactless)):
        try:
            return _read_application(exchange, application, terminal_data, authenticate)
        except CardRefused as error:  # EMV Book 1 section 12.4: an application that will not open gives way to the next
            refused = refused or error
    assert refused is not None, "selected() raises when nothing opened"
    raise refused


def _read_application(
    exchange: Exchange, application: Application, terminal_data: TerminalData, authenticate: Authenticate | None
) -> ChipRead:
    asked, told = parse_dol(application.pdol), terminal_data.values()
    options = _open(exchange, asked, told)
    holder = _Holder()
    holder.take(options.given)
    if authenticate is None:
        for sfi, number, _ in _records(options.files):
            if holder.complete:
                break
            holder.take(_record(sfi, number, exchange(read_record(sfi, number))).children)
        return holder.read(application)
    records, whole = _read_all(exchange, options.files, holder)
    read = holder.read(application)
    evidence = Evidence(
        rid=application.aid[:RID_OCTETS],
        pan=read.pan,
        profile=options.profile,
        given=options.given,
        records=records,
        whole=whole,
        told=told,
        qpboc=any(entry.tag == Tag.TRANSACTION_QUALIFIERS for entry in asked),
    )
    return replace(read, verdict=authenticate(evidence, exchange))


def _read_all(exchange: Exchange, files: tuple[FileRange, ...], holder: _Holder) -> tuple[tuple[Record, ...], bool]:
    """Every record, and whether the signed ones are all there.

    Once PAN and expiry are known a bad record is no reason to refuse the card; it only proves less.
    """
    records: list[Record] = []
    whole = True
    for sfi, number, signed in _records(files, issuers_own=True):
        response = exchange(read_record(sfi, number))  # outside the try: a pulled card is not a bad record
        try:
            record = _record(sfi, number, response)
        except MalformedCard:
            if not holder.complete:
                raise
            whole = whole and not signed
            continue
        holder.take(record.children)
        records.append(Record(sfi, number, signed, response.data, record))
    return tuple(records), whole


def _open(exchange: Exchange, asked: tuple[DolEntry, ...], told: Mapping[int, bytes]) -> ProcessingOptions:
    """GET PROCESSING OPTIONS with what the card asks for; once more with nothing, as some cards only take that."""
    values = fill_dol(asked, told)
    response = exchange(_processing_options(values))
    if not response.ok and values:
        response = exchange(_processing_options(b""))
    if not response.ok:
        raise CardRefused("open application", "card", status_word=status_text(response.status))
    return parse_options(response)


def _processing_options(values: bytes) -> CommandApdu:
    data = tlv.encode(Tag.COMMAND_TEMPLATE, values)
    return CommandApdu(0x80, Instruction.GET_PROCESSING_OPTIONS, 0x00, 0x00, data, le=LE_ALL)


def parse_options(response: ResponseApdu) -> ProcessingOptions:
    """Format 80 (profile and file list run together) or 77 (data objects); `MalformedCard` for anything else."""
    nodes = tlv.parse(response.data)
    if len(nodes) != 1 or nodes[0].tag not in (Tag.OPTIONS_FORMAT_1, Tag.OPTIONS_FORMAT_2):
        raise _malformed("processing options of no known format")
    answer = nodes[0]
    if answer.tag == Tag.OPTIONS_FORMAT_1:
        profile, locator = answer.value[:2], answer.value[2:]
    else:
        profile = tlv.value_of(answer.children, Tag.INTERCHANGE_PROFILE) or b""
        locator = tlv.value_of(answer.children, Tag.FILE_LOCATOR) or b""  # qPBOC: all is in this answer already
    if len(profile) != 2:
        raise _malformed("no interchange profile")
    return ProcessingOptions(profile, parse_locator(locator), answer.children)


def parse_locator(data: bytes) -> tuple[FileRange, ...]:
    """The application file locator, checked by EMV Book 3 section 10.2 and our bound on records."""
    if len(data) % AFL_ENTRY_OCTETS:
        raise _malformed("file locator cut off")
    files: list[FileRange] = []
    for index in range(0, len(data), AFL_ENTRY_OCTETS):
        sfi_octet, first, last, authenticated = data[index : index + AFL_ENTRY_OCTETS]
        sfi, rest = divmod(sfi_octet, 1 << 3)
        if rest or not 1 <= sfi <= SFI_MAX or not 1 <= first <= last or authenticated > last - first + 1:
            raise _malformed("file locator out of range")
        files.append(FileRange(sfi, first, last, authenticated))
    if sum(file.last - file.first + 1 for file in files) > AFL_RECORDS_MAX:
        raise _malformed("file locator names too many records")
    return tuple(files)


def _records(files: tuple[FileRange, ...], *, issuers_own: bool = False) -> Iterator[tuple[int, int, bool]]:
    """Every record to read, as (SFI, number, signed). Issuer-defined files hold no PAN; some of their records are
    signed all the same, and `issuers_own` gives those too."""
    for file in files:
        for number in range(file.first, file.last + 1):
            signed = number - file.first < file.authenticated  # EMV Book 3 section 10.3: the first ones of each entry
            if file.sfi <= SFI_EMV_MAX or (issuers_own and signed):
                yield file.sfi, number, signed


def _record(sfi: int, number: int, response: ResponseApdu) -> Tlv:
    """The record in its template. Raises `MalformedCard` when it is missing or none."""
    if not response.ok:
        raise _malformed(f"record {number} of file {sfi} missing: {status_text(response.status)}")
    nodes = tlv.parse(response.data)
    if len(nodes) != 1 or nodes[0].tag != Tag.RECORD:
        raise _malformed(f"record {number} of file {sfi} is no record")
    return nodes[0]


class _Holder:
    """Gathers PAN, expiry and service code from wherever the card gives them; refuses what does not agree."""

    __slots__ = ("_expiry", "_expiry_known", "_pan", "_service_code")

    def __init__(self) -> None:
        self._pan: Pan | None = None
        self._expiry: Expiry | None = None
        self._expiry_known = False
        self._service_code: str | None = None

    @property
    def complete(self) -> bool:
        return self._pan is not None and self._expiry_known

    def take(self, nodes: tuple[Tlv, ...]) -> None:
        for node in tlv.walk(nodes):
            if node.tag == Tag.TRACK_2_EQUIVALENT:
                self._take_track2(node.value)
            elif node.tag == Tag.PAN:
                self._take_pan(_digits(node.value, PAN_OCTETS_MAX))
            elif node.tag == Tag.EXPIRY:
                self._take_expiry(node.value.hex()[:4], octets=len(node.value))

    def read(self, application: Application) -> ChipRead:
        if self._pan is None:
            raise _malformed("no card number")
        if not self._expiry_known:
            raise _malformed("no expiry")
        return ChipRead(self._pan, self._expiry, self._service_code, application.aid, application.label)

    def _take_track2(self, value: bytes) -> None:
        """Tag 57: PAN, `D`, YYMM, service code, issuer's digits, `F` to fill the last octet (EMV Book 3 annex A)."""
        if len(value) > TRACK_2_OCTETS_MAX:
            raise _malformed("track 2 too long")
        pan, separator, rest = value.hex().upper().removesuffix("F").partition("D")
        if not separator or len(rest) < 7 or not rest[:7].isdecimal():
            raise _malformed("track 2 has no expiry and service code")
        self._take_pan(pan)
        self._take_expiry(rest[:4], octets=3)
        self._service_code = rest[4:7]

    def _take_pan(self, digits: str) -> None:
        pan = Pan(digits)
        if self._pan is not None and self._pan != pan:
            raise _malformed("two card numbers that differ")
        self._pan = pan

    def _take_expiry(self, yymm: str, *, octets: int) -> None:
        if octets != 3:  # tag 5F24 is YYMMDD
            raise _malformed("expiry of wrong length")
        expiry = Expiry.from_yymm(yymm)
        if self._expiry_known and self._expiry != expiry:
            raise _malformed("two expiries that differ")
        self._expiry, self._expiry_known = expiry, True


def _digits(value: bytes, octets_max: int) -> str:
    """Digits as tag 5A packs them: two an octet, `F` fills the end."""
    if len(value) > octets_max:
        raise _malformed("card number too long")
    return value.hex().upper().rstrip("F")


def _malformed(reason: str) -> MalformedCard:
    return MalformedCard("read card", "chip data", reason=reason)
