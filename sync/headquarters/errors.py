"""What may go wrong at headquarters itself: the branch `HeadquartersError` of the error tree.

What headquarters tells a terminal is in `sync.errors`; these are for the people who run headquarters.
"""

from __future__ import annotations

from config.errors import JingkaError, Retry, Words


class HeadquartersError(JingkaError):
    """The branch: anything within the service."""

    code = "headquarters"
    what = Words("总部服务出错", "headquarters failed")
    hint = Words("请联系技术支持", "call support")


class StorageUnavailable(HeadquartersError):
    """The database does not answer, or is busy for longer than a request may wait."""

    code = "storage-unavailable"
    retry = Retry.RETRY
    what = Words("数据库暂时不可用：{reason}", "the database is not available: {reason}")
    hint = Words(
        "会自动重试；如一直不恢复请检查数据库", "it is tried again by itself; look at the database if it stays"
    )


class StorageNewer(HeadquartersError):
    """A newer version of this software has been at the database."""

    code = "storage-newer"
    what = Words(
        "数据库的版本（{found}）比本软件（{known}）新", "the database ({found}) is newer than this software ({known})"
    )
    hint = Words("请升级总部软件", "upgrade headquarters' software")


class StorageUnsupported(HeadquartersError):
    """A database URL of another kind."""

    code = "storage-unsupported"
    what = Words("不支持的数据库：{subject}", "this kind of database is not supported: {subject}")
    hint = Words("请使用 sqlite 或 postgresql 地址", "use a sqlite or postgresql URL")


class WorkersNeedPostgresql(HeadquartersError):
    """More than one worker on SQLite, whose file has one writer and tells nobody of changes."""

    code = "workers-need-postgresql"
    what = Words("{workers}个工作进程需要PostgreSQL数据库", "{workers} workers need a PostgreSQL database")
    hint = Words("请设置 hq.database_url，或把 hq.workers 设为 1", "set hq.database_url, or set hq.workers to 1")


class PortUnavailable(HeadquartersError):
    """The address to listen on is another program's, or none of this machine's."""

    code = "port-unavailable"
    what = Words("无法监听 {subject}：{reason}", "cannot listen on {subject}: {reason}")
    hint = Words(
        "请检查 hq.host 和 hq.port，端口可能被占用", "look at hq.host and hq.port; another program may have the port"
    )


class TerminalTaken(HeadquartersError):
    """An enrolment code was asked for a terminal that is enrolled already."""

    code = "terminal-taken"
    retry = Retry.PARK
    what = Words("终端编号{subject}已登记", "the terminal {subject} is enrolled already")
    hint = Words("新机器请使用新的终端编号", "give the new machine a new terminal name")


class TerminalMissing(HeadquartersError):
    """No such terminal on the list."""

    code = "terminal-missing"
    retry = Retry.PARK
    what = Words("没有终端{subject}", "there is no terminal {subject}")
    hint = Words("请核对终端编号", "check the terminal's name")


class NothingToDecide(HeadquartersError):
    """No entry waits for a decision, or the terminal is in no quarantine."""

    code = "nothing-to-decide"
    retry = Retry.PARK
    what = Words("终端{subject}没有待决定的记录", "nothing of the terminal {subject} waits for a decision")
    hint = Words("请刷新页面", "look at the page again")


class SuccessionsFull(HeadquartersError):
    """A key was changed more often than terminals follow."""

    code = "successions-full"
    what = Words("密钥 {subject} 更换已达{count_max}次上限", "the key {subject} was changed {count_max} times: no more")
    hint = Words("请联系技术支持", "call support")


class TooManyAttempts(HeadquartersError):
    """One place tries codes or PINs faster than a person types them."""

    code = "too-many-attempts"
    retry = Retry.RETRY
    what = Words("尝试次数过多，请{wait_s}秒后再试", "too many attempts; try again in {wait_s} s")
    hint = Words("请核对后再输入", "compare what you type with what you were given")


class PeriodTooLong(HeadquartersError):
    """A report over more days than one answer may cover."""

    code = "period-too-long"
    retry = Retry.PARK
    what = Words("查询期间超过{days_max}天或起止颠倒", "the period is over {days_max} days, or ends before it begins")
    hint = Words("请缩短查询期间", "ask for a shorter period")
