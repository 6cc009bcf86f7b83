"""What may go wrong with the roll at headquarters: the branch `MembersError` of the error tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from config.errors import JingkaError, Retry, Words
from sync.headquarters.errors import HeadquartersError
from terminal.membership.card_list import CardListError


class MembersError(HeadquartersError):
    """The branch: anything about members, their cards and the lists of them."""

    code = "members-error"
    retry = Retry.PARK
    what = Words("会员名册出错", "something is wrong with the roll of members")


class HashingKeyMissing(MembersError):
    """Headquarters has no programme key, so no card number can become a token here."""

    code = "hashing-key-missing"
    what = Words(
        "总部没有设置项目密钥，无法处理卡号", "headquarters has no programme key, so it can take no card numbers"
    )
    hint = Words("请在设置中填写 hq.programme_key", "set hq.programme_key")


class HashingKeyForeign(MembersError):
    """The programme key in the settings is not the one that the roll here was made with."""

    code = "hashing-key-foreign"
    what = Words(
        "密钥与名册不符（名册 {roll}，密钥 {key}）", "the programme key is not the roll's (roll {roll}, key {key})"
    )
    hint = Words("请改回原来的密钥文件", "put the key file back that the roll was made with")


class MemberMissing(MembersError):
    """No card with this token or number."""

    code = "member-missing"
    what = Words("名册中没有这张卡", "this card is not on the roll")
    hint = Words("请核对卡号；新卡请等下一次名单导入", "check the number; a new card comes with the next list")


class MemberKnown(MembersError):
    """A card that was to be added is there already."""

    code = "member-known"
    what = Words("这张卡已在名册中", "this card is on the roll already")
    hint = Words("请核对卡号", "check the number")


class StandingRefused(MembersError):
    """The change does not follow from how the card stands."""

    code = "standing-refused"
    what = Words(
        "卡片状态为“{standing_zh}”，不能{action_zh}", "this cannot be {action_en}; how the card stands: {standing_en}"
    )
    hint = Words("请先查看该卡的状态记录", "look at the card's history first")


class ValidityRefused(MembersError):
    """A temporary card cannot be valid for that long."""

    code = "validity-refused"
    what = Words("临时卡最多延长到{last}", "a temporary card can be extended to {last} at most")
    hint = Words("请为会员办理正式卡", "the member needs a card of their own")


class ImportMissing(MembersError):
    """No such list."""

    code = "import-missing"
    what = Words("没有编号为{subject}的名单", "there is no list {subject}")
    hint = Words("请在名册页面核对", "look at the page of the roll")


class ImportSettled(MembersError):
    """The list has been put in force or discarded already, or a newer one has taken its place."""

    code = "import-settled"
    what = Words("名单{subject}已处理（{state}）", "the list {subject} is settled already ({state})")
    hint = Words("如需更改请重新导入", "import it again to change anything")


class SecondPersonNeeded(MembersError):
    """So many members would lose their cards that a second person has to look."""

    code = "second-person-needed"
    what = Words(
        "名单{subject}会停用{percent}%的会员卡，须由另一人再次确认",
        "the list {subject} takes {percent}% of the cards out of use: another person has to confirm it too",
    )
    hint = Words("请另一位同事核对后确认", "ask a colleague to look at it and confirm")


class SnapshotMissing(MembersError):
    """The file that a terminal was downloading is kept no longer; it begins with the newer one."""

    code = "snapshot-missing"
    what = Words("名册文件{subject}已更新", "the roll {subject} has been replaced by a newer one")
    hint = Words("终端会自动改取新文件", "the terminal fetches the newer one by itself")


ROLL_STATUSES: Final[Mapping[type[JingkaError], int]] = {
    HashingKeyMissing: 409,
    HashingKeyForeign: 409,
    CardListError: 422,
    MemberMissing: 404,
    ImportMissing: 404,
    SnapshotMissing: 404,
}
