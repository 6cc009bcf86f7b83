"""The sync branch of the error tree: what may go wrong between a counter and headquarters.

The codes that headquarters puts on the wire (`wire.ProblemCode`) are the same as the codes here, so a log line, a
problem document and the status page call one thing by one name.
"""

from __future__ import annotations

from config.errors import JingkaError, Retry, Words


class SyncError(JingkaError):
    """The branch: anything between a counter and headquarters."""

    code = "sync"
    what = Words("与总部的数据同步出错", "talking with headquarters failed")
    hint = Words("销售可以继续；如一直不恢复请联系技术支持", "selling goes on; call support if this stays")


# --- messages ---------------------------------------------------------------------------------------------------------


class MessageMalformed(SyncError):
    """A message that does not have the form both ends agreed on: a fault of a program, or versions too far apart."""

    code = "message-malformed"
    retry = Retry.PARK
    what = Words("报文格式不对：{reason}", "the message is malformed: {reason}")
    hint = Words("请检查终端与总部的软件版本", "check the versions of the terminal and of headquarters")


class BodyTooLarge(SyncError):
    """A body over its bound, before or after decompression."""

    code = "body-too-large"
    retry = Retry.PARK
    what = Words("报文超过{max_bytes}字节", "the body is over {max_bytes} bytes")
    hint = Words("请检查终端与总部的软件版本", "check the versions of the terminal and of headquarters")


class EncodingUnknown(SyncError):
    """A content encoding other than gzip or none."""

    code = "encoding-unknown"
    retry = Retry.PARK
    what = Words("不支持的压缩方式：{encoding}", "the content encoding {encoding} is not known here")
    hint = Words("请检查终端与总部的软件版本", "check the versions of the terminal and of headquarters")


# --- keys and signatures ----------------------------------------------------------------------------------------------


class KeyMissing(SyncError):
    """No key file where one is needed."""

    code = "key-missing"
    what = Words("找不到密钥文件{subject}", "there is no key file {subject}")
    hint = Words("请先用总部给的登记码登记本机", "enrol this terminal with a code from headquarters")


class KeyExposed(SyncError):
    """A key file that others on this machine may read."""

    code = "key-exposed"
    what = Words(
        "密钥文件{subject}可被他人读取（权限{mode}）", "the key file {subject} is readable by others (mode {mode})"
    )
    hint = Words("请执行：chmod 600 {subject}", "run: chmod 600 {subject}")


class KeyDamaged(SyncError):
    """A key file that is not an Ed25519 private key."""

    code = "key-damaged"
    what = Words("密钥文件{subject}已损坏", "the key file {subject} is damaged")
    hint = Words("请从备份恢复，或向总部申请重新登记", "restore it, or ask headquarters to enrol this terminal anew")


class KeyExists(SyncError):
    """A key was to be created where there is one: a key is never overwritten."""

    code = "key-exists"
    what = Words("密钥文件{subject}已存在", "the key file {subject} exists already")
    hint = Words("请使用现有密钥，不要覆盖", "use it; a key is never overwritten")


class ReceiptInvalid(SyncError):
    """A kept receipt that proves nothing: changed, cut off, or of another headquarters."""

    code = "receipt-invalid"
    what = Words("总部回执无效：{reason}", "headquarters' receipt proves nothing: {reason}")
    hint = Words("下次联系总部时会得到新的回执", "a new one comes with the next contact with headquarters")


class SignatureMissing(SyncError):
    """A message without this house's signature."""

    code = "signature-missing"
    what = Words("报文没有签名", "the message is not signed")
    hint = Words("请检查网络代理是否改动了请求", "check whether a proxy strips header fields")


class SignatureInvalid(SyncError):
    """A signature that does not hold: another key, or a message changed on its way."""

    code = "signature-invalid"
    what = Words("签名不符：{reason}", "the signature does not hold: {reason}")
    hint = Words(
        "请检查网络代理是否改动了请求，或重新登记本机", "check for a proxy that rewrites requests, or enrol anew"
    )


class TerminalUnknown(SyncError):
    """A signature by a key that headquarters does not know."""

    code = "terminal-unknown"
    retry = Retry.RETRY  # headquarters may put it right; nobody need touch the terminal
    what = Words("总部没有登记终端{subject}", "headquarters does not know the terminal {subject}")
    hint = Words("请向总部索取新的登记码", "ask headquarters for a new enrolment code")


class TerminalRevoked(SyncError):
    """Headquarters has withdrawn this terminal's key."""

    code = "terminal-revoked"
    retry = Retry.RETRY  # headquarters may put it right; nobody need touch the terminal
    what = Words("终端{subject}已被总部停用", "headquarters has revoked the terminal {subject}")
    hint = Words("请联系总部；本机记录保留，不要删除", "call headquarters; keep this machine's records")


class ClockSkewed(SyncError):
    """A good signature, made at a time too far from the verifier's."""

    code = "clock-skewed"
    retry = Retry.RETRY
    what = Words("时钟相差{skew_s}秒，超过{window_s}秒", "the clocks differ by {skew_s} s, more than {window_s} s")
    hint = Words("请校准本机时间", "set this machine's clock")


class NonceReplayed(SyncError):
    """A good signature that has been seen before."""

    code = "nonce-replayed"
    retry = Retry.RETRY
    what = Words("收到重复的请求", "this very request was received before")
    hint = Words("请重新发起", "sign and send it anew")


class NonceStoreFull(SyncError):
    """More requests in the window than the replay store may hold; a store that forgets would let replays in."""

    code = "busy"
    retry = Retry.RETRY
    what = Words("总部请求过多", "headquarters is given too many requests")
    hint = Words("稍后会自动重试", "it will be tried again by itself")


# --- the agent --------------------------------------------------------------------------------------------------------


class AddressInvalid(SyncError):
    """A setting that is no address of a headquarters."""

    code = "address-invalid"
    what = Words("总部地址“{subject}”无效", "{subject} is no address of a headquarters")
    hint = Words("请改为类似 https://hq.example 的地址", "give one like https://hq.example")


class LineDown(SyncError):
    """No answer: no route, no name, refused, cut off or timed out."""

    code = "line-down"
    retry = Retry.RETRY
    what = Words("连不上总部", "headquarters cannot be reached")
    hint = Words("销售可以继续，恢复后自动补传；请检查网线和路由器", "selling goes on; check the cable and the router")


class HeadquartersBusy(SyncError):
    """429: slow down."""

    code = "headquarters-busy"
    retry = Retry.RETRY
    what = Words("总部繁忙，{wait_s}秒后重试", "headquarters is busy, trying again in {wait_s} s")
    hint = Words("无需处理", "nothing to do")


class HeadquartersFailing(SyncError):
    """5xx: headquarters, or a proxy before it, is in trouble."""

    code = "headquarters-failing"
    retry = Retry.RETRY
    what = Words("总部服务异常（{status}）", "headquarters answers with an error ({status})")
    hint = Words("销售可以继续，恢复后自动补传", "selling goes on; it will be tried again by itself")


class HeadquartersRefused(SyncError):
    """Any other answer than the agreed ones; nothing is skipped, so it is tried again, slowly."""

    code = "headquarters-refused"
    retry = Retry.RETRY
    what = Words("总部拒绝了请求（{status} {problem}）", "headquarters refused the request ({status} {problem})")
    hint = Words("请检查终端与总部的软件版本", "check the versions of the terminal and of headquarters")


class TerminalRefused(SyncError):
    """401 that headquarters did not sign, or whose code is none of the known ones."""

    code = "terminal-refused"
    retry = Retry.RETRY
    what = Words("总部不接受本机身份（{problem}）", "headquarters does not accept this terminal ({problem})")
    hint = Words("请联系总部核对本机登记", "ask headquarters to check this terminal's enrolment")


class AnswerUnverified(SyncError):
    """An answer that is not provably headquarters' answer to this very request; it moves nothing."""

    code = "answer-unverified"
    retry = Retry.RETRY
    what = Words("收到的回复不是总部签发的：{reason}", "the answer is not provably from headquarters: {reason}")
    hint = Words("请检查网络（需要网页登录的热点、代理）", "check the network (a hotspot's sign-in page, a proxy)")


class ChainForked(SyncError):
    """Headquarters holds other entries under this terminal's numbers: a copy or an old backup is in use."""

    code = "chain-forked"
    what = Words(
        "本机账本与总部记录在第{sequence}条分叉", "this ledger and headquarters' records part at entry {sequence}"
    )
    hint = Words("请停止使用并联系总部；不要删除数据", "stop using this terminal and call headquarters; delete nothing")


class SequenceGap(SyncError):
    """Headquarters asks for an earlier entry, again and again, without getting ahead."""

    code = "sequence-gap"
    retry = Retry.RETRY
    what = Words("总部缺少第{expected}条之前的记录", "headquarters lacks entries from {expected} on")
    hint = Words(
        "会自动补传；如一直不恢复请联系技术支持", "they are sent again by themselves; call support if this stays"
    )


class OutboxBroken(SyncError):
    """The ledger gave entries that do not follow one another."""

    code = "outbox-broken"
    what = Words("本机账本第{sequence}条之后不连续", "this ledger's entries do not follow on after {sequence}")
    hint = Words("请运行 jingka ledger verify 并联系技术支持", "run jingka ledger verify and call support")


# --- enrolment --------------------------------------------------------------------------------------------------------


class CodeMistyped(SyncError):
    """A code that headquarters cannot have made: a slip of the finger."""

    code = "code-mistyped"
    what = Words("登记码输入有误", "the enrolment code is mistyped")
    hint = Words(
        "请逐组核对后重新输入，共{groups}组、每组4个字符", "compare it group by group: {groups} groups of 4 characters"
    )


class CodeRefused(SyncError):
    """Headquarters does not accept the code: unknown, out of date or used by another machine."""

    code = "code-refused"
    what = Words("总部不接受此登记码", "headquarters does not accept this enrolment code")
    hint = Words("请向总部索取新的登记码", "ask headquarters for a new one")


class HeadquartersUntrusted(SyncError):
    """The answer's key is not the one that the code's fingerprint promises."""

    code = "headquarters-untrusted"
    what = Words("{subject}不是发出登记码的总部", "{subject} is not the headquarters that issued the code")
    hint = Words("请核对总部地址和登记码，并向总部报告", "check the address and the code, and tell headquarters")


class NotEnrolled(SyncError):
    """This terminal has not been enrolled."""

    code = "not-enrolled"
    what = Words("本机尚未在总部登记", "this terminal is not enrolled")
    hint = Words("请运行 jingka enrol 并输入总部给的登记码", "run jingka enrol with a code from headquarters")


class EnrolmentDamaged(SyncError):
    """The enrolment file cannot be read."""

    code = "enrolment-damaged"
    what = Words("登记文件{subject}已损坏：{reason}", "the enrolment file {subject} is damaged: {reason}")
    hint = Words("请从备份恢复，或向总部申请重新登记", "restore it, or ask headquarters to enrol this terminal anew")


class AlreadyEnrolled(SyncError):
    """This data directory belongs to an enrolled terminal."""

    code = "already-enrolled"
    what = Words("本机已登记为终端{terminal}", "this is already the terminal {terminal}")
    hint = Words("如需更换，请使用新的数据目录", "use a new data directory for another terminal")


class AgentFailed(SyncError):
    """The agent's own program failed; what exactly is in the log."""

    code = "agent-failed"
    what = Words("同步程序出错并已停止（{reason}）", "the sync agent failed and has stopped ({reason})")
    hint = Words(
        "销售可以继续；请重启本程序，并把日志交给技术支持", "selling goes on; restart, and give support the log"
    )


# --- grants -----------------------------------------------------------------------------------------------------------


class LeaseFrozen(SyncError):
    """Headquarters leases nothing to this terminal until a person there has looked at it."""

    code = "lease-frozen"
    retry = Retry.RETRY
    what = Words("总部暂停了本机的名额", "headquarters has frozen this terminal's slices")
    hint = Words(
        "联网时可逐笔向总部申请；请联系总部核对本机（是否恢复过备份、换过硬盘）",
        "call headquarters: was a backup restored, or a disk changed? Online, each sale may still be asked for",
    )


class LeaseOutdated(SyncError):
    """Headquarters answers with an older lease than this terminal has: it was restored from a backup itself."""

    code = "lease-outdated"
    retry = Retry.RETRY
    what = Words("总部给的名额比本机记录的旧", "headquarters' word on the slices is older than this terminal's")
    hint = Words("请联系总部；本机先不用名额", "call headquarters; no slice is spent meanwhile")


class UsageSetDamaged(SyncError):
    """The file of what was used elsewhere is not what was written; it is fetched anew."""

    code = "usage-set-damaged"
    retry = Retry.RETRY
    what = Words(
        "各店使用记录文件{subject}已损坏（{reason}）", "the file of use elsewhere {subject} is damaged ({reason})"
    )
    hint = Words("联网后自动重新下载", "it is fetched anew when the line is up")


class UsageSetNotKept(SyncError):
    """What was used elsewhere cannot be kept: no room on the disk, or far too much of it."""

    code = "usage-set-not-kept"
    retry = Retry.RETRY
    what = Words("各店使用记录保存不了（{reason}）", "what was used elsewhere cannot be kept ({reason})")
    hint = Words("请检查磁盘空间；联网时仍向总部核实", "check the disk; while the line is up headquarters is asked")
