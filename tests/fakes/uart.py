"""What a serial port hears: of a sender at another speed, and of one that adds a parity bit."""

from __future__ import annotations


def sampled(data: bytes, sent_baud: int, heard_baud: int, *, sent_parity: str = "N", heard_parity: str = "N") -> bytes:
    """The bytes a UART at `heard_baud` hears of eight-bit `data` sent at `sent_baud`.

    Either may use a parity bit (`N`, `E`, `O`); as with pyserial the hearer passes it over unchecked. A wrong stop bit
    gives NUL.
    """
    levels = [1] * 4
    for byte in data:
        levels += [0, *((byte >> bit) & 1 for bit in range(8))]
        if sent_parity != "N":
            levels.append((byte.bit_count() + (sent_parity == "O")) % 2)
        levels.append(1)
    levels += [1] * 40
    stop_at = 9.5 if heard_parity == "N" else 10.5

    def level(at: float) -> int:
        return levels[int(at)] if at < len(levels) else 1

    heard_bytes, bit, at = bytearray(), sent_baud / heard_baud, 0.0
    while at < len(levels):
        if level(at):
            at += bit / 16
            continue
        bits = [level(at + bit * (1.5 + place)) for place in range(8)]
        stop = level(at + bit * stop_at)
        heard_bytes.append(sum(value << place for place, value in enumerate(bits)) if stop else 0)
        at += bit * stop_at
        while not stop and not level(at):  # a break ends with the line's next rise
            at += bit / 16
    return bytes(heard_bytes)


def with_parity(data: bytes, parity: str) -> bytes:
    """Seven-bit `data` with its parity bit (`E` or `O`) on top, as a port set to eight bits hears it."""
    odd = parity == "O"
    return bytes(byte | ((byte.bit_count() % 2 == 1) != odd) << 7 for byte in data)
