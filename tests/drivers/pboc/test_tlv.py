"""BER-TLV: what is written is read back, what is broken is refused, and every bound holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.card import MalformedCard
from drivers.pboc import tlv
from drivers.pboc.tags import Tag, tag_name
from tests.fakes.spoken import assert_spoken

# A PPSE answer as a UnionPay card gives it
PPSE = bytes.fromhex(
    "6F36840E325041592E5359532E4444463031A524BF0C21611F4F08A000000333010103501050424F43205155415349435245444954870101"
)

TAGS = st.sampled_from([0x4F, 0x50, 0x57, 0x9F38, 0x9F02, 0xDF8101])


def test_a_directory_answer_parses_to_its_tree() -> None:
    nodes = tlv.parse(PPSE)
    assert [node.tag for node in nodes] == [Tag.FILE_CONTROL_INFORMATION]
    assert tlv.value_of(nodes, Tag.DEDICATED_FILE_NAME) == b"2PAY.SYS.DDF01"
    assert tlv.value_of(nodes, Tag.APPLICATION_IDENTIFIER) == bytes.fromhex("A000000333010103")
    assert tlv.find(nodes, Tag.PAN) is None


@given(st.lists(st.tuples(TAGS, st.binary(max_size=300)), max_size=6))
def test_what_is_encoded_parses_back(objects: list[tuple[int, bytes]]) -> None:
    data = b"".join(tlv.encode(tag, value) for tag, value in objects)
    assert [(node.tag, node.value) for node in tlv.parse(data)] == objects


@given(st.binary(max_size=400))
def test_arbitrary_octets_parse_or_raise_the_typed_error(data: bytes) -> None:
    try:
        nodes = tlv.parse(data)
    except MalformedCard:
        return
    assert sum(1 for _ in tlv.walk(nodes)) <= tlv.TLV_NODES_MAX


@given(st.integers(min_value=1, max_value=len(PPSE) - 1))
def test_a_cut_off_answer_is_malformed(length: int) -> None:
    with pytest.raises(MalformedCard):
        tlv.parse(PPSE[:length])


def test_zero_octets_between_objects_are_padding() -> None:
    assert [node.value for node in tlv.parse(bytes.fromhex("0000 500141 00 500142 00"))] == [b"A", b"B"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("5F", "tag cut off"),
        ("5F80", "tag cut off"),
        ("5F80808001", "over-long tag"),
        ("50", "length cut off"),
        ("5081", "length cut off"),
        ("5080", "length form not allowed"),
        ("508300000141", "length form not allowed"),
        ("500541", "50 application label cut off"),
        ("DF0102", "DF01 cut off"),
    ],
)
def test_each_way_to_break_a_length_has_its_reason(data: str, reason: str) -> None:
    with pytest.raises(MalformedCard) as caught:
        tlv.parse(bytes.fromhex(data))
    assert caught.value.details["reason_en"] == reason
    assert_spoken(caught.value)


def test_depth_is_bounded() -> None:
    data = b""
    for _ in range(tlv.TLV_DEPTH_MAX - 1):
        data = tlv.encode(Tag.DIRECTORY_ENTRY, data)
    tlv.parse(data)
    with pytest.raises(MalformedCard, match="too deeply"):
        tlv.parse(tlv.encode(Tag.DIRECTORY_ENTRY, tlv.encode(Tag.DIRECTORY_ENTRY, data)))


def test_width_is_bounded() -> None:
    tlv.parse(tlv.encode(0x50, b"") * tlv.TLV_NODES_MAX)
    with pytest.raises(MalformedCard, match="too many data objects"):
        tlv.parse(tlv.encode(0x50, b"") * (tlv.TLV_NODES_MAX + 1))


def test_size_is_bounded() -> None:
    tlv.parse(bytes(tlv.TLV_OCTETS_MAX))
    with pytest.raises(MalformedCard, match="TLV of"):
        tlv.parse(bytes(tlv.TLV_OCTETS_MAX + 1))


def test_a_node_names_itself_and_hides_its_value() -> None:
    (node,) = tlv.parse(bytes.fromhex("5A086210947000000021"))
    assert node.name == "5A pan"
    assert "6210947000000021" not in repr(node).replace("\\x", "")
    assert tag_name(0xDF69) == "DF69"
