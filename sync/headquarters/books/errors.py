"""What may go wrong between a draft and a terminal that sells by it: for the people who make campaigns.

What a person can mend is `PARK`: the page says it and keeps what was typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from config.errors import JingkaError, Retry, Words
from sync.headquarters.errors import HeadquartersError


class DraftMissing(HeadquartersError):
    """No draft of this number."""

    code = "draft-missing"
    retry = Retry.PARK
    what = Words("没有第 {subject} 号草稿", "there is no draft {subject}")
    hint = Words("请从优惠活动页面重新选择", "choose one from the campaigns page")


class DraftChanged(HeadquartersError):
    """Somebody else has saved the draft since it was read; nothing of theirs is written over."""

    code = "draft-changed"
    retry = Retry.PARK
    what = Words(
        "草稿 {subject} 已被 {by} 改过（现为第 {version} 稿），您的改动没有保存",
        "draft {subject} was changed by {by} meanwhile (now version {version}); your change is not saved",
    )
    hint = Words(
        "请另开一页查看对方的改动，再把自己的改动写进去", "look at their change in another page, then put yours into it"
    )


class DraftOutOfStep(HeadquartersError):
    """What was asked does not follow from the draft's state."""

    code = "draft-out-of-step"
    retry = Retry.PARK
    what = Words(
        "草稿 {subject} 现在是“{state_zh}”，不能这样做", "draft {subject} is {state_en}: this cannot be done now"
    )
    hint = Words(
        "次序是：编辑、提交、由另一人批准、发布", "the order is: edit, submit, approval by another person, release"
    )


class DraftUnfit(HeadquartersError):
    """The draft's text has mistakes, so it can be kept but not handed on."""

    code = "draft-unfit"
    retry = Retry.PARK
    what = Words("草稿 {subject} 有 {count} 处错误：{first_zh}", "draft {subject} has {count} mistake(s): {first_en}")
    hint = Words("请按列出的行号改正", "mend the lines that are named")


class DraftUnreadable(HeadquartersError):
    """Not a text that can be kept at all."""

    code = "draft-unreadable"
    retry = Retry.PARK
    what = Words("草稿无法保存：{reason_zh}", "the draft cannot be kept: {reason_en}")
    hint = Words("请检查文件", "look at the file")


class DraftsFull(HeadquartersError):
    """More unfinished drafts than anybody looks after."""

    code = "drafts-full"
    retry = Retry.PARK
    what = Words("未完成的草稿已有 {count} 份", "there are {count} unfinished drafts")
    hint = Words("请先放弃不用的草稿", "discard those that are not needed")


class DraftOutdated(HeadquartersError):
    """Another revision was released after the approval: what was approved was a comparison with the one before."""

    code = "draft-outdated"
    retry = Retry.PARK
    what = Words(
        "批准之后又发布了第 {newest} 版，草稿 {subject} 须对照新版再批准一次",
        "revision {newest} was released after draft {subject} was approved: it needs approval against that one",
    )
    hint = Words("请批准人查看与新版的差别后再批准", "have an approver look at the difference and approve again")


class OwnDraft(HeadquartersError):
    """Who has written in a draft cannot be the one who approves it."""

    code = "own-draft"
    retry = Retry.PARK
    what = Words(
        "{person} 写过或提交过草稿 {subject}，须由另一人批准",
        "{person} has written in draft {subject} or handed it in: another person must approve it",
    )
    hint = Words("请没有参与编写的批准人批准", "ask an approver who has not written in it")


class ReleaseMissing(HeadquartersError):
    """No released book of this revision."""

    code = "release-missing"
    retry = Retry.PARK
    what = Words("没有发布过第 {subject} 版优惠册", "revision {subject} was never released")
    hint = Words("请从已发布的版本中选择", "choose one of the released revisions")


class ReleaseNewest(HeadquartersError):
    """The revision to restore is the newest one already."""

    code = "release-newest"
    retry = Retry.PARK
    what = Words("第 {subject} 版就是最新的版本", "revision {subject} is the newest already")
    hint = Words("请选择更早的版本", "choose an earlier one")


class ReleaseKeyMissing(HeadquartersError):
    """Headquarters has no key to sign books with."""

    code = "release-key-missing"
    retry = Retry.PARK
    what = Words("没有发布密钥 {subject}", "there is no release key at {subject}")
    hint = Words("请运行 jingka hq book keygen", "run jingka hq book keygen")


class RolloutBackwards(HeadquartersError):
    """A newer revision is everywhere: rolling an older one out would change nothing."""

    code = "rollout-backwards"
    retry = Retry.PARK
    what = Words(
        "第 {newer} 版已在所有终端推行，不能再推行第 {subject} 版",
        "revision {newer} is rolled out everywhere; revision {subject} cannot be rolled out over it",
    )
    hint = Words("要回到旧内容，请用“恢复”发布为新版", "to go back, restore the earlier revision as a new one")


class RolloutIdle(HeadquartersError):
    """There is no roll-out of this revision that could be stopped."""

    code = "rollout-idle"
    retry = Retry.PARK
    what = Words("第 {subject} 版没有正在推行", "revision {subject} is not being rolled out")
    hint = Words("请刷新页面", "look at the page again")


class TargetInvalid(HeadquartersError):
    """A stage of a roll-out that names nobody, or names it wrongly."""

    code = "target-invalid"
    retry = Retry.PARK
    what = Words("推行范围有误：{reason}", "the stage cannot be: {reason}")
    hint = Words(
        "请写出商户、门店（商户/门店）、终端或百分比，或选择全部",
        "name merchants, sites (merchant/site), terminals or a percentage, or choose everywhere",
    )


class BookNotReleased(HeadquartersError):
    """A terminal asks for a book, and none is meant for it."""

    code = "book-not-released"
    retry = Retry.PARK
    what = Words("没有为终端 {subject} 发布的优惠册", "no book is released for the terminal {subject}")
    hint = Words("请在优惠活动页面推行", "roll one out on the campaigns page")


# Of those that are not simply in conflict with what is (409).
BOOK_STATUSES: Final[Mapping[type[JingkaError], int]] = {
    DraftMissing: 404,
    ReleaseMissing: 404,
    BookNotReleased: 404,
    OwnDraft: 403,
    DraftUnfit: 422,
    DraftUnreadable: 422,
    TargetInvalid: 422,
}
