"""BER-TLV as cards speak it (EMV Book 3 annex B, ISO/IEC 7816-4 section 5.2.2), with a bound on everything.

Parsing either gives the whole tree or raises `MalformedCard`. A node never shows its value: tags 57 and 5A hold a card
number, 5F20 a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from drivers.card import MalformedCard
from drivers.pboc.tags import tag_name

TLV_OCTETS_MAX = 4096  # one answer: records are 256 octets at most; chained answers end at this size (see exchange)
TLV_DEPTH_MAX = 6  # the deepest real one is 6F > A5 > BF0C > 61 > 4F, five levels
TLV_NODES_MAX = 256  # a full record holds some 40
TAG_OCTETS_MAX = 3  # EMV uses two; a third is allowed by ISO/IEC 7816-4
LENGTH_OCTETS_MAX = 3  # `82 hh ll`: 65535, beyond any answer we take

_PADDING = 0x00  # EMV Book 3 annex B: may stand before, between and after data objects
_CONSTRUCTED = 0x20
_MORE_TAG_OCTETS = 0x1F


@dataclass(frozen=True, slots=True)
class Tlv:
    """One data object; `children` are its parts when the tag says that it is constructed."""

    tag: int
    value: bytes = field(repr=False)
    children: tuple[Tlv, ...] = ()

    @property
    def name(self) -> str:
        """The tag and, where we know it, its name."""
        return tag_name(self.tag)


def parse(data: bytes) -> tuple[Tlv, ...]:
    """The data objects of `data`, in order. Raises `MalformedCard` when it is cut off, over-long or too deep."""
    if len(data) > TLV_OCTETS_MAX:
        raise _malformed(f"TLV 数据 {len(data)} 字节", f"TLV of {len(data)} octets")
    return _Parser().nodes(data, depth=1)


def walk(nodes: Iterable[Tlv]) -> Iterator[Tlv]:
    """Every node, parents before their children."""
    for node in nodes:
        yield node
        yield from walk(node.children)


def find(nodes: Iterable[Tlv], tag: int) -> Tlv | None:
    """The first node with `tag`, wherever it stands."""
    return next((node for node in walk(nodes) if node.tag == tag), None)


def value_of(nodes: Iterable[Tlv], tag: int) -> bytes | None:
    """The value of the first node with `tag`."""
    node = find(nodes, tag)
    return None if node is None else node.value


def encode(tag: int, *values: bytes) -> bytes:
    """One data object; several values are put one after the other (the parts of a template)."""
    value = b"".join(values)
    return tag.to_bytes(max(1, (tag.bit_length() + 7) // 8)) + _encode_length(len(value)) + value


def read_tag(data: bytes, start: int) -> tuple[int, int]:
    """The tag at `start` and the index behind it; DOLs use it too."""
    if start >= len(data):
        raise _malformed("标签不完整", "tag cut off")
    end = start + 1
    if data[start] & _MORE_TAG_OCTETS == _MORE_TAG_OCTETS:
        while True:
            if end >= len(data):
                raise _malformed("标签不完整", "tag cut off")
            if end - start >= TAG_OCTETS_MAX:
                raise _malformed("标签过长", "over-long tag")
            end += 1
            if not data[end - 1] & 0x80:
                break
    return int.from_bytes(data[start:end]), end


class _Parser:
    """Counts the nodes of one answer, so that neither width nor depth can run away."""

    def __init__(self) -> None:
        self._nodes = 0

    def nodes(self, data: bytes, depth: int) -> tuple[Tlv, ...]:
        if depth > TLV_DEPTH_MAX:
            raise _malformed("TLV 嵌套过深", "TLV nested too deeply")
        found: list[Tlv] = []
        index = 0
        while index < len(data):
            if data[index] == _PADDING:
                index += 1
                continue
            node, index = self._node(data, index, depth)
            found.append(node)
        return tuple(found)

    def _node(self, data: bytes, start: int, depth: int) -> tuple[Tlv, int]:
        self._nodes += 1
        if self._nodes > TLV_NODES_MAX:
            raise _malformed("数据对象过多", "too many data objects")
        tag, index = read_tag(data, start)
        length, index = _read_length(data, index)
        end = index + length
        if end > len(data):
            raise _malformed(f"标签 {tag:02X} 不完整", f"{tag_name(tag)} cut off")
        value = data[index:end]
        children = self.nodes(value, depth + 1) if data[start] & _CONSTRUCTED else ()
        return Tlv(tag, value, children), end


def _read_length(data: bytes, start: int) -> tuple[int, int]:
    if start >= len(data):
        raise _malformed("长度不完整", "length cut off")
    first = data[start]
    if first < 0x80:
        return first, start + 1
    end = start + 1 + (first & 0x7F)
    if first == 0x80 or end - start > LENGTH_OCTETS_MAX:
        raise _malformed("长度格式不允许", "length form not allowed")
    if end > len(data):
        raise _malformed("长度不完整", "length cut off")
    return int.from_bytes(data[start + 1 : end]), end


def _encode_length(length: int) -> bytes:
    assert length <= 0xFFFF, "no card object is this long"
    if length < 0x80:
        return bytes([length])
    octets = length.to_bytes(1 if length <= 0xFF else 2)
    return bytes([0x80 | len(octets)]) + octets


def _malformed(zh: str, en: str) -> MalformedCard:
    return MalformedCard("read card", "chip data", reason_zh=zh, reason_en=en)
