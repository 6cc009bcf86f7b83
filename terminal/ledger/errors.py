"""What can go wrong with the ledger, in words for the cashier.

LedgerError
├── LedgerStopped          no sale may go on until someone has acted; the ledger repeats it for every sale
│   ├── LedgerFull         no room on the disk
│   ├── LedgerDisk         the disk or its file system fails: I/O error, read-only, not permitted
│   ├── LedgerDamaged      the file or the chain in it is not what was written
│   ├── LedgerForked       an old or foreign copy of the ledger stands in its place
│   ├── LedgerLocked       another daemon works on this ledger
│   └── LedgerNewer        a later version of the program wrote it
├── LedgerMissing          no ledger stands there (verify, rebuild, export)
├── LedgerBusy             too many calls wait for the writer
├── EntryInvalid           an entry or its body breaks the form
├── CardNumberTyped        someone typed a card number where it would be kept for ever
├── RedemptionUnknown      no redemption has this id
├── RedemptionConflict     the redemption is in another state, or the id already names another sale
├── LimitMoved             a limit was used up between quote and authorisation
└── HoldLate               what headquarters held for this sale has ended, or was given back
"""

from __future__ import annotations

from config.errors import JingkaError, Retry, Words


class LedgerError(JingkaError):
    """The root of this room's errors."""

    code = "ledger-error"


class LedgerStopped(LedgerError):
    """Sales stop: nothing may be acknowledged that is not on disk."""

    code = "ledger-stopped"
    retry = Retry.STOP


class LedgerFull(LedgerStopped):
    """SQLITE_FULL, ENOSPC or a quota."""

    code = "ledger-full"
    what = Words("磁盘空间已满，交易未记录", "the disk is full; nothing was recorded")
    hint = Words("请先清理磁盘空间，再重新确认本笔", "free some disk space, then confirm this sale again")


class LedgerDisk(LedgerStopped):
    """The disk does not do what it is told: SQLITE_IOERR, READONLY, CANTOPEN, PERM."""

    code = "ledger-disk"
    what = Words("磁盘读写失败（{reason}），交易未确认", "the disk failed ({reason}); nothing was confirmed")
    hint = Words(
        "请检查硬盘和目录权限；恢复后用同一笔交易重试",
        "check the disk and its permissions, then try the same sale again",
    )


class LedgerDamaged(LedgerStopped):
    """The file is no database, or its entries contradict each other."""

    code = "ledger-damaged"
    what = Words("账本文件已损坏（{reason}）", "the ledger file is damaged ({reason})")
    hint = Words(
        "请停止收银并联系技术支持；不要删除任何文件，可运行 jingka ledger verify",
        "stop selling and call support; delete nothing; `jingka ledger verify` shows where",
    )


class LedgerForked(LedgerStopped):
    """Not the file this terminal last wrote: a restored backup, a copied disk, another terminal's ledger."""

    code = "ledger-forked"
    what = Words("账本不是本机最新的一份（{reason}）", "this is not the ledger this terminal last wrote ({reason})")
    hint = Words(
        "可能恢复了旧备份或复制了硬盘；请联系总部重新登记本机",
        "an old backup or a copied disk may be in place; ask headquarters to enrol this terminal anew",
    )


class LedgerLocked(LedgerStopped):
    """Somebody else holds the ledger: a second daemon, or a database tool left open."""

    code = "ledger-locked"
    what = Words("账本正被另一个程序使用", "another program is using the ledger")
    hint = Words("请关闭另一个京卡终端程序后再试", "close the other terminal program, then try again")


class LedgerNewer(LedgerStopped):
    """The schema is one this program does not know."""

    code = "ledger-newer"
    what = Words("账本由更新的版本写入（版本 {found}）", "a later version of the program wrote this ledger ({found})")
    hint = Words("请安装最新版本的终端程序", "install the latest version of the terminal program")


class LedgerMissing(LedgerError):
    """There is no ledger at the path."""

    code = "ledger-missing"
    what = Words("没有找到账本 {subject}", "there is no ledger at {subject}")
    hint = Words("请检查数据目录的设置", "check the data directory in the settings")


class LedgerBusy(LedgerError):
    """The writer's queue is at its bound."""

    code = "ledger-busy"
    retry = Retry.RETRY
    what = Words("账本忙，{waiting} 笔在等待", "the ledger is busy, {waiting} calls wait")
    hint = Words("请稍等几秒再试", "wait a few seconds and try again")


class EntryInvalid(LedgerError):
    """Bytes that are no entry, or a body that breaks its form; `reason` names the field, never its content."""

    code = "entry-invalid"
    retry = Retry.PARK
    what = Words("账目数据有误（{reason}）", "the entry is faulty ({reason})")


class CardNumberTyped(LedgerError):
    """Entries are never changed, so a card number in one could never be taken out again: it is not let in."""

    code = "card-number-typed"
    retry = Retry.PARK
    what = Words("“{field}”里像是填了银行卡号", "“{field}” seems to hold a card number")
    hint = Words("请不要填写卡号，改填别的说明", "do not type the card number; write something else")


class RedemptionUnknown(LedgerError):
    """No such redemption on this terminal."""

    code = "redemption-unknown"
    retry = Retry.PARK
    what = Words("本机没有这笔交易", "this terminal has no such redemption")
    hint = Words("请在当日列表中重新选择", "choose it again from the day's list")


class RedemptionConflict(LedgerError):
    """`state` is what the redemption is; the asked step does not follow from it, or the content differs."""

    code = "redemption-conflict"
    retry = Retry.PARK
    what = Words("交易状态为“{state}”，不能这样操作（{reason}）", "the redemption is {state}: {reason}")
    hint = Words("请刷新页面，按最新状态操作", "reload the page and go on from what it shows")


class LimitMoved(LedgerError):
    """`used` of `max` under `key` leave no room for what is asked; nothing was written."""

    code = "limit-moved"
    retry = Retry.PARK
    what = Words("额度刚刚被用掉（已用 {used}，上限 {max}）", "the limit was just used up ({used} of {max})")
    hint = Words("请重新报价", "quote again")

    @property
    def key(self) -> str:
        """The usage key."""
        return str(self.details["key"])

    @property
    def used(self) -> int:
        """What is used up now."""
        return int(str(self.details["used"]))

    @property
    def max(self) -> int:
        """What may be used at most."""
        return int(str(self.details["max"]))


class HoldLate(LedgerError):
    """The hold of this sale may not be spent any more; nothing was written."""

    code = "hold-late"
    retry = Retry.RETRY
    what = Words("总部为本笔预留的名额已过期", "what headquarters held for this sale has ended")
    hint = Words("请再确认一次", "confirm once more")
