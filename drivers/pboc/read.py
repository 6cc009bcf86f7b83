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
from drivers.pboc.apdu import LE_ALL, REFUSALS, CommandApdu, Instruction, ResponseApdu, status_text
from drivers.pboc.application import Application, candidates, read_record, selected
from drivers.pboc.card_data import CardData
from drivers.pboc.dol import DolEntry, TerminalData, fill_dol, parse_dol
from drivers.pboc.evidence import NOT_ASKED, RID_OCTETS, Authenticate, Evidence, Record, Verdict
from drivers.pboc.exchange import Exchange, TransmissionProtocol, Transmit
from drivers.pboc.tags import Tag
from drivers.pboc.tlv import Tlv

AFL_ENTRY_OCTETS = 4
AFL_RECORDS_MAX = 32  # records read of one card; published ones have 3 to 12
NO_PROFILE = b"\x00\x00"  # the interchange profile of a card that offers nothing beyond being read
SFI_MAX = 30  # ISO/IEC 7816-4: 31 is no file
SFI_EMV_MAX = 10  # EMV Book 3 section 5.3.2.2: records of files 1 to 10 are wrapped in 70

# Read without the card's own list when it has none to give (`_open`); the published cards have track 2 in the first.
UNLISTED_FILE = 1
UNLISTED_RECORDS_MAX = 4


@dataclass(frozen=True, slots=True)
class ChipRead:
    """What a chip gave. `service_code` is None when the card gave no track 2 data, `expiry` when it states none.

    `device_hint`: a telephone may stand in for the card (see `card_data`).
    """

    pan: Pan
    expiry: Expiry | None
    service_code: str | None
    aid: bytes
    label: str
    verdict: Verdict = NOT_ASKED
    device_hint: bool = False


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

    Raises `NotACard` (no payment application), `CardRefused` (blocked), `DeviceCard` (a telephone's own number),
    `MalformedCard` (data that break the standard or contradict each other), and whatever `transmit` itself raises.
    A `CardError` carries no traceback from below: its frames hold the card's octets.
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
            return _read_application(exchange, application, contactless, terminal_data, authenticate)
        except CardRefused as error:  # EMV Book 1 section 12.4: an application that will not open gives way to the next
            refused = refused or error
    assert refused is not None, "selected() raises when nothing opened"
    raise refused


def _read_application(
    exchange: Exchange,
    application: Application,
    contactless: bool,
    terminal_data: TerminalData,
    authenticate: Authenticate | None,
) -> ChipRead:
    asked, told = parse_dol(application.pdol), terminal_data.values()
    options = _open(exchange, asked, told)
    data = CardData(application.aid)
    data.take(application.control)
    data.take(options.given)
    if authenticate is None:
        _read_until_settled(exchange, options.files, data)
        return _chip_read(application, data, contactless)
    records, whole = _read_all(exchange, options.files, data)
    read = _chip_read(application, data, contactless)
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


def _chip_read(application: Application, data: CardData, contactless: bool) -> ChipRead:
    return ChipRead(
        pan=data.pan,
        expiry=data.expiry,
        service_code=data.service_code,
        aid=application.aid,
        label=application.label,
        device_hint=data.device_hinted(contactless=contactless),
    )


def _read_until_settled(exchange: Exchange, files: tuple[FileRange, ...], data: CardData) -> None:
    for sfi, number, _ in _records(files):
        if data.settled:
            return
        response = exchange(read_record(sfi, number))
        if data.complete and not response.ok:
            continue  # it was read only for a date where the first one was `0000`
        data.take(_record(sfi, number, response).children)


def _read_all(exchange: Exchange, files: tuple[FileRange, ...], data: CardData) -> tuple[tuple[Record, ...], bool]:
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
            if not data.complete:
                raise
            whole = whole and not signed
            continue
        data.take(record.children)
        records.append(Record(sfi, number, signed, response.data, record))
    return tuple(records), whole


def _open(exchange: Exchange, asked: tuple[DolEntry, ...], told: Mapping[int, bytes]) -> ProcessingOptions:
    """GET PROCESSING OPTIONS with what the card asks for; once more with nothing, as some cards only take that.

    A card that takes neither is read without its list. But one that answers that it is blocked, or will not serve
    here, is believed at once: its records may well be readable, and a blocked card must not pass for a good one.
    """
    values = fill_dol(asked, told)
    for attempt in (values, b"") if values else (b"",):
        response = exchange(_processing_options(attempt))
        if response.ok:
            return parse_options(response)
        if response.status in REFUSALS:
            break
    else:
        given = _unlisted(exchange)
        if tlv.find(given, Tag.TRACK_2_EQUIVALENT) or tlv.find(given, Tag.PAN):
            return ProcessingOptions(NO_PROFILE, (), given)
    raise CardRefused("open application", "card", status_word=status_text(response.status))


def _unlisted(exchange: Exchange) -> tuple[Tlv, ...]:
    """The records of file 1 from the first on, until track 2 data are found or the file ends."""
    found: tuple[Tlv, ...] = ()
    for number in range(1, UNLISTED_RECORDS_MAX + 1):
        response = exchange(read_record(UNLISTED_FILE, number))
        if not response.ok:
            break
        found += _record(UNLISTED_FILE, number, response).children
        if tlv.find(found, Tag.TRACK_2_EQUIVALENT):
            break
    return found


def _processing_options(values: bytes) -> CommandApdu:
    data = tlv.encode(Tag.COMMAND_TEMPLATE, values)
    return CommandApdu(0x80, Instruction.GET_PROCESSING_OPTIONS, 0x00, 0x00, data, le=LE_ALL)


def parse_options(response: ResponseApdu) -> ProcessingOptions:
    """Format 80 (profile and file list run together) or 77 (data objects); `MalformedCard` for anything else."""
    nodes = tlv.parse(response.data)
    if len(nodes) != 1 or nodes[0].tag not in (Tag.OPTIONS_FORMAT_1, Tag.OPTIONS_FORMAT_2):
        raise _malformed("处理选项格式未知", "processing options of no known format")
    answer = nodes[0]
    if answer.tag == Tag.OPTIONS_FORMAT_1:
        profile, locator = answer.value[:2], answer.value[2:]
    else:
        profile = tlv.value_of(answer.children, Tag.INTERCHANGE_PROFILE) or b""
        locator = tlv.value_of(answer.children, Tag.FILE_LOCATOR) or b""  # qPBOC: all is in this answer already
    if len(profile) != 2:
        raise _malformed("缺少应用交互特征", "no interchange profile")
    return ProcessingOptions(profile, parse_locator(locator), answer.children)


def parse_locator(data: bytes) -> tuple[FileRange, ...]:
    """The application file locator, checked by EMV Book 3 section 10.2 and our bound on records."""
    if len(data) % AFL_ENTRY_OCTETS:
        raise _malformed("文件定位器不完整", "file locator cut off")
    files: list[FileRange] = []
    for index in range(0, len(data), AFL_ENTRY_OCTETS):
        sfi_octet, first, last, authenticated = data[index : index + AFL_ENTRY_OCTETS]
        sfi, rest = divmod(sfi_octet, 1 << 3)
        if rest or not 1 <= sfi <= SFI_MAX or not 1 <= first <= last or authenticated > last - first + 1:
            raise _malformed("文件定位器超出范围", "file locator out of range")
        files.append(FileRange(sfi, first, last, authenticated))
    if sum(file.last - file.first + 1 for file in files) > AFL_RECORDS_MAX:
        raise _malformed("文件定位器列出的记录过多", "file locator names too many records")
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
        status = status_text(response.status)
        raise _malformed(f"文件 {sfi} 缺少记录 {number}：{status}", f"record {number} of file {sfi} missing: {status}")
    nodes = tlv.parse(response.data)
    if len(nodes) != 1 or nodes[0].tag != Tag.RECORD:
        raise _malformed(f"文件 {sfi} 的记录 {number} 格式不对", f"record {number} of file {sfi} is no record")
    return nodes[0]


def _malformed(zh: str, en: str) -> MalformedCard:
    return MalformedCard("read card", "chip data", reason_zh=zh, reason_en=en)
