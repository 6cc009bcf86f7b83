"""Which application on the card to read (EMV Book 1 section 12), with UnionPay first.

A card of two brands may name the foreign one with the better priority; read by priority it would give the wrong card
number. So as soon as a card names a UnionPay application, only UnionPay applications are considered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from drivers.card import CardRefused, MalformedCard, NotACard
from drivers.pboc import tlv
from drivers.pboc.apdu import LE_ALL, REFUSALS, CommandApdu, Instruction, ResponseApdu, status_text
from drivers.pboc.exchange import Exchange
from drivers.pboc.tags import Tag
from drivers.pboc.tlv import Tlv

CONTACT_DIRECTORY = b"1PAY.SYS.DDF01"  # PSE, EMV Book 1 section 12.2
CONTACTLESS_DIRECTORY = b"2PAY.SYS.DDF01"  # PPSE, EMV Contactless Book B
UNIONPAY_RID = bytes.fromhex("A000000333")

# Tried one by one when the card has no directory; 01 debit first, as the member card is one. A card may take a name as
# the beginning of its own (ISO/IEC 7816-4 section 8.2.2.1.2), which may be up to 16 octets long.
FALLBACK_AIDS = tuple(
    UNIONPAY_RID + bytes.fromhex(extension)
    for extension in (
        "010101",  # debit
        "010102",  # credit
        "010103",  # quasi-credit
        "010106",  # electronic cash
        "010108",  # US common debit
        "0101",  # cards with seven octets are about
    )
)

DIRECTORY_RECORDS_MAX = 10  # EMV Book 1: a directory file has at most ten records
APPLICATIONS_MAX = 16  # entries considered; a real card names one to four
AID_OCTETS_MIN, AID_OCTETS_MAX = 5, 16  # ISO/IEC 7816-4
DIRECTORY_SFI_MAX = 10  # EMV Book 1 section 12.2.3: SFI 1 to 10
_PRIORITY_BITS = 0x0F  # EMV: the low four bits of tag 87; 0 = no priority
_PRIORITY_NONE = 0x10  # after every stated one


@dataclass(frozen=True, slots=True)
class Candidate:
    """An application the card may have."""

    aid: bytes
    label: str = ""
    priority: int = _PRIORITY_NONE

    @property
    def unionpay(self) -> bool:
        """Whether its identifier begins with UnionPay's; real ones are 7 to 16 octets long."""
        return self.aid.startswith(UNIONPAY_RID)


@dataclass(frozen=True, slots=True)
class Application:
    """A selected application: its name, label and what it asks for before it opens (`pdol`, empty for nothing).

    `control` is the whole answer to SELECT, the file control information.
    """

    aid: bytes
    label: str
    pdol: bytes
    control: tuple[Tlv, ...] = field(default=(), repr=False)


def candidates(exchange: Exchange, *, contactless: bool) -> tuple[Candidate, ...]:
    """The applications to try, best first: from the card's directory, else the known UnionPay identifiers."""
    named = _contactless_directory(exchange) if contactless else _contact_directory(exchange)
    if not named:
        return tuple(Candidate(aid) for aid in FALLBACK_AIDS)
    unionpay = [candidate for candidate in named if candidate.unionpay]
    return tuple(sorted(unionpay or named, key=lambda candidate: candidate.priority))  # stable: directory order last


def selected(exchange: Exchange, offered: tuple[Candidate, ...]) -> Iterator[Application]:
    """Select the candidates one after the other and give each that opens.

    When none opened: raises `CardRefused` if one was there but blocked, else `NotACard`.
    """
    opened = False
    blocked: int | None = None
    for candidate in offered:
        response = exchange(_select(candidate.aid))
        if response.ok:
            opened = True
            yield _application(candidate, response)
        elif response.status in REFUSALS:
            blocked = response.status
    if opened:
        return
    if blocked is not None:
        raise CardRefused("select application", "card", status_word=status_text(blocked))
    raise NotACard("select application", "card", reason_zh="没有支付应用", reason_en="no payment application")


def _select(name: bytes) -> CommandApdu:
    return CommandApdu(0x00, Instruction.SELECT, 0x04, 0x00, name, le=LE_ALL)


def _application(candidate: Candidate, response: ResponseApdu) -> Application:
    nodes = tlv.parse(response.data)
    if tlv.find(nodes, Tag.FILE_CONTROL_INFORMATION) is None:
        raise MalformedCard(
            "select application", "card", reason_zh="缺少文件控制信息", reason_en="no file control information"
        )
    label = tlv.value_of(nodes, Tag.APPLICATION_LABEL)
    return Application(
        aid=tlv.value_of(nodes, Tag.DEDICATED_FILE_NAME) or candidate.aid,
        label=candidate.label if label is None else _text(label),
        pdol=tlv.value_of(nodes, Tag.PROCESSING_OPTIONS_LIST) or b"",
        control=nodes,
    )


def _contactless_directory(exchange: Exchange) -> tuple[Candidate, ...]:
    response = exchange(_select(CONTACTLESS_DIRECTORY))
    return _entries(tlv.parse(response.data)) if response.ok else ()


def _contact_directory(exchange: Exchange) -> tuple[Candidate, ...]:
    response = exchange(_select(CONTACT_DIRECTORY))
    if not response.ok:
        return ()
    sfi = tlv.value_of(tlv.parse(response.data), Tag.DIRECTORY_SFI)
    if sfi is None or len(sfi) != 1 or not 1 <= sfi[0] <= DIRECTORY_SFI_MAX:
        raise MalformedCard(
            "read directory", "card", reason_zh="目录文件标识不对", reason_en="directory file identifier"
        )
    found: list[Candidate] = []
    for record in range(1, DIRECTORY_RECORDS_MAX + 1):
        response = exchange(read_record(sfi[0], record))
        if not response.ok:  # 6A83 ends the file; a directory that breaks off has still named what it named
            break
        found.extend(_entries(tlv.parse(response.data)))
    return tuple(found[:APPLICATIONS_MAX])


def read_record(sfi: int, record: int) -> CommandApdu:
    """READ RECORD `record` of the file with short identifier `sfi` (ISO/IEC 7816-4 section 7.3.3)."""
    return CommandApdu(0x00, Instruction.READ_RECORD, record, sfi << 3 | 0b100, le=LE_ALL)


def _entries(nodes: tuple[Tlv, ...]) -> tuple[Candidate, ...]:
    entries = (node for node in tlv.walk(nodes) if node.tag == Tag.DIRECTORY_ENTRY)
    found = [candidate for entry in entries if (candidate := _candidate(entry)) is not None]
    return tuple(found[:APPLICATIONS_MAX])


def _candidate(entry: Tlv) -> Candidate | None:
    aid = tlv.value_of(entry.children, Tag.APPLICATION_IDENTIFIER)
    if aid is None or not AID_OCTETS_MIN <= len(aid) <= AID_OCTETS_MAX:
        return None  # EMV Book 1 section 12.3.2: an entry without a usable identifier is passed over
    priority = tlv.value_of(entry.children, Tag.APPLICATION_PRIORITY) or b"\x00"
    label = tlv.value_of(entry.children, Tag.APPLICATION_LABEL) or b""
    return Candidate(aid, _text(label), priority[0] & _PRIORITY_BITS or _PRIORITY_NONE)


def _text(label: bytes) -> str:
    """A label for people: printable ASCII only, as EMV has it; anything else shows as `?`."""
    return "".join(chr(octet) if 0x20 <= octet < 0x7F else "?" for octet in label).strip()
