"""The few PN532 commands that reading a card takes, pure (NXP UM0701-02, section 7): data out, answers taken apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from config.errors import Words
from drivers.card import CardError, ReaderError

APDU_OCTETS_MAX = 262  # 265 octets of a frame less TFI, command code and target number (or status)
ACTIVATION_TRIES = 1  # retries of a poll: 0 misses a card that comes just then, FF never ends
ISO_DEP_SAK = 0x20  # ISO/IEC 14443-3: the card speaks ISO/IEC 14443-4, so it takes APDUs
ISO_DEP_PROTOCOL_B = 0x01  # the same for type B, in the protocol information
MORE = 0x40  # status: the card has more to say
STATUS_MASK = 0x3F
RADIO_ERRORS = {
    0x01: Words("没有应答", "no answer"),
    0x02: Words("校验和不符", "checksum"),
    0x03: Words("奇偶校验不符", "parity"),
    0x05: Words("帧格式有误", "framing"),
    0x06: Words("多卡冲突", "collision"),
    0x07: Words("缓冲区过小", "buffer too small"),
    0x09: Words("缓冲区溢出", "overflow"),
    0x0B: Words("协议有误", "protocol"),
    0x0D: Words("模块过热", "overheated"),
    0x13: Words("格式有误", "format"),
    0x27: Words("卡片未激活", "card not active"),
    0x2B: Words("卡片已移开", "card gone"),
}


class Command(IntEnum):
    """Command codes; the answer's code is one more."""

    DIAGNOSE = 0x00
    GET_FIRMWARE_VERSION = 0x02
    SAM_CONFIGURATION = 0x14
    RF_CONFIGURATION = 0x32
    IN_DATA_EXCHANGE = 0x40
    IN_LIST_PASSIVE_TARGET = 0x4A


class Modulation(IntEnum):
    """What to look for, all at 106 kbit/s."""

    TYPE_A = 0x00
    TYPE_B = 0x03


class ModuleAnswerUnknown(ReaderError):
    """The module answered something that its manual does not know."""

    code = "module-answer-unknown"
    what = Words("NFC 模块的应答无法理解（{reason_zh}）", "the NFC module's answer makes no sense ({reason_en})")
    hint = Words("请确认所接的是 PN532 模块", "check that the module is a PN532")


class RadioFailed(CardError):
    """The radio link between module and card broke."""

    code = "radio-failed"
    what = Words("与卡片的无线通信中断（{reason_zh}）", "the radio link to the card broke ({reason_en})")
    hint = Words("请将卡片平放在读卡区，看到结果后再取走", "lay the card flat on the reader until the answer appears")


@dataclass(frozen=True, slots=True)
class Firmware:
    """What the module says it is; `chip` is 0x32 for a PN532."""

    chip: int
    version: int
    revision: int

    def __str__(self) -> str:
        return f"PN5{self.chip:02X} {self.version}.{self.revision}"


@dataclass(frozen=True, slots=True)
class Target:
    """A card in the field, activated. `uid` tells two cards apart and nothing else; many are drawn afresh each time."""

    number: int
    iso_dep: bool
    uid: bytes = field(repr=False)

    @property
    def uid_is_random(self) -> bool:
        """ISO/IEC 14443-3: four octets that begin with 08 are made up at each activation."""
        return len(self.uid) == 4 and self.uid[0] == 0x08


@dataclass(frozen=True, slots=True)
class ExchangePart:
    """One part of a card's answer; `more` = the card has not finished."""

    data: bytes = field(repr=False)
    more: bool


# The data behind each command code
SAM_NORMAL = bytes((0x01, 0x00, 0x00))  # no secure element, no time limit for one, no interrupt line
RETRIES = bytes((0x05, 0x01, 0x00, ACTIVATION_TRIES))  # item 5: tries of ATR, PSL and activation
FIELD_OFF = bytes((0x01, 0x00))  # item 1: the radio field
FIELD_ON = bytes((0x01, 0x01))
CARD_THERE = b"\x06"  # Diagnose 6: the activated ISO/IEC 14443-4 card is asked whether it is there


def poll_for(modulation: Modulation) -> bytes:
    """InListPassiveTarget's data: one card; for type B of any application family."""
    return bytes((0x01, modulation)) + (b"\x00" if modulation is Modulation.TYPE_B else b"")


def exchange_with(target: Target, command: bytes) -> bytes:
    """InDataExchange's data: to which card, and what; an empty command asks for the rest of an answer."""
    assert len(command) <= APDU_OCTETS_MAX, "no such command is sent"
    return bytes((target.number,)) + command


def parse_firmware(answer: bytes) -> Firmware:
    """GetFirmwareVersion's answer. Raises `ModuleAnswerUnknown`."""
    if len(answer) != 4:
        raise _unknown("固件版本", "firmware version")
    return Firmware(answer[0], answer[1], answer[2])


def parse_target(answer: bytes, modulation: Modulation) -> Target | None:
    """InListPassiveTarget's answer; None = no card. Raises `ModuleAnswerUnknown`."""
    if answer[:1] == b"\x00":
        return None
    if len(answer) < 2:
        raise _unknown("卡片列表", "card list")
    number, card = answer[1], answer[2:]
    if modulation is Modulation.TYPE_A:
        # SENS_RES (2 octets), SEL_RES, length of the UID, UID, and the ATS of a card that speaks ISO/IEC 14443-4
        if len(card) < 4 or len(card) < 4 + card[3]:
            raise _unknown("卡片列表", "card list")
        return Target(number, bool(card[2] & ISO_DEP_SAK), card[4 : 4 + card[3]])
    # ATQB: 50, PUPI (4), application data (4), protocol information (3); then the answer to ATTRIB
    if len(card) < 12:
        raise _unknown("卡片列表", "card list")
    return Target(number, bool(card[10] & ISO_DEP_PROTOCOL_B), card[1:5])


def parse_exchange(answer: bytes) -> ExchangePart:
    """InDataExchange's answer. Raises `RadioFailed` for the module's error codes and `ModuleAnswerUnknown`."""
    if not answer:
        raise _unknown("卡片应答", "card exchange")
    status = answer[0] & STATUS_MASK
    if status:
        told = RADIO_ERRORS.get(status, Words(f"代码 {status:02X}", f"code {status:02X}"))
        raise RadioFailed("read card", "PN532", reason_zh=told.zh, reason_en=told.en)
    return ExchangePart(answer[1:], bool(answer[0] & MORE))


def _unknown(zh: str, en: str) -> ModuleAnswerUnknown:
    return ModuleAnswerUnknown("talk to module", "PN532", reason_zh=zh, reason_en=en)
