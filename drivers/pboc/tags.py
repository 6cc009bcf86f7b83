"""The data objects this house reads or fills, by their EMV tag (EMV Book 3 annex A, PBOC 3.0 part 5)."""

from __future__ import annotations

from enum import IntEnum


class Tag(IntEnum):
    """Tags as one number of one to three octets."""

    # Files and directories
    FILE_CONTROL_INFORMATION = 0x6F
    DEDICATED_FILE_NAME = 0x84
    FCI_PROPRIETARY = 0xA5
    FCI_ISSUER_DISCRETIONARY = 0xBF0C
    DIRECTORY_ENTRY = 0x61
    DIRECTORY_SFI = 0x88
    APPLICATION_IDENTIFIER = 0x4F
    APPLICATION_LABEL = 0x50
    APPLICATION_PRIORITY = 0x87
    PROCESSING_OPTIONS_LIST = 0x9F38  # PDOL

    # What GET PROCESSING OPTIONS and READ RECORD answer
    RECORD = 0x70
    OPTIONS_FORMAT_1 = 0x80
    OPTIONS_FORMAT_2 = 0x77
    INTERCHANGE_PROFILE = 0x82  # AIP
    FILE_LOCATOR = 0x94  # AFL
    TRACK_2_EQUIVALENT = 0x57
    PAN = 0x5A
    PAN_SEQUENCE = 0x5F34
    EXPIRY = 0x5F24
    HOLDER_NAME = 0x5F20
    TRACK_2_DATA = 0x9F6B  # Mastercard's; UnionPay and Visa: card CVM limit
    TOKEN_REQUESTOR = 0x9F19
    ACCOUNT_REFERENCE = 0x9F24  # PAR
    LAST_FOUR = 0x9F25

    # What proves the chip genuine
    SCHEME_KEY_INDEX = 0x8F
    ISSUER_CERTIFICATE = 0x90
    ISSUER_REMAINDER = 0x92
    ISSUER_EXPONENT = 0x9F32
    CARD_CERTIFICATE = 0x9F46
    CARD_EXPONENT = 0x9F47
    CARD_REMAINDER = 0x9F48
    STATIC_SIGNATURE = 0x93
    STATIC_TAG_LIST = 0x9F4A
    DYNAMIC_LIST = 0x9F49  # DDOL
    DYNAMIC_SIGNATURE = 0x9F4B
    CARD_AUTHENTICATION_DATA = 0x9F69
    TRANSACTION_COUNTER = 0x9F36  # ATC

    # What the card may ask of the terminal
    COMMAND_TEMPLATE = 0x83
    TRANSACTION_QUALIFIERS = 0x9F66  # TTQ
    AMOUNT = 0x9F02
    AMOUNT_OTHER = 0x9F03
    COUNTRY = 0x9F1A
    VERIFICATION_RESULTS = 0x95  # TVR
    CURRENCY = 0x5F2A
    TRANSACTION_DATE = 0x9A
    TRANSACTION_TIME = 0x9F21
    TRANSACTION_TYPE = 0x9C
    UNPREDICTABLE_NUMBER = 0x9F37
    ELECTRONIC_CASH_INDICATOR = 0x9F7A
    TERMINAL_CAPABILITIES = 0x9F33
    TERMINAL_TYPE = 0x9F35


def tag_name(tag: int) -> str:
    """`57 track 2 equivalent` for a tag we know, else its hex."""
    try:
        return f"{tag:02X} {Tag(tag).name.lower().replace('_', ' ')}"
    except ValueError:
        return f"{tag:02X}"
