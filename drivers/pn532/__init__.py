"""The PN532 NFC module on a serial line: contactless cards without PC/SC."""
