"""What may go wrong when a person settles grants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from config.errors import JingkaError, Retry, Words
from sync.headquarters.errors import HeadquartersError


class LeaseRunning(HeadquartersError):
    """What lies at a terminal was to be written off while the terminal may still sell it."""

    code = "lease-running"
    retry = Retry.STOP
    what = Words(
        "{subject} 的额度到 {ends} 才失效，此前它仍可能售出",
        "the lease of {subject} runs until {ends}; it may still sell what it was granted",
    )
    hint = Words("请等租约到期后再收回", "wait until the lease is over, then write it off")


class TerminalInQuarantine(HeadquartersError):
    """Grants of a terminal whose ledger has two stories were to be released."""

    code = "terminal-in-quarantine"
    retry = Retry.STOP
    what = Words("{subject} 已被隔离，冻结的额度不能放行", "{subject} is in quarantine; what is frozen stays frozen")
    hint = Words("请先处理这台终端的隔离", "settle the terminal's quarantine first")


class PoolMissing(HeadquartersError):
    """No offer of this id has a pool."""

    code = "pool-missing"
    retry = Retry.STOP
    what = Words("没有 {subject} 的名额", "there is no pool of {subject}")
    hint = Words("请查看名额页面", "look at the page of pools")


POOL_STATUSES: Final[Mapping[type[JingkaError], int]] = {PoolMissing: 404, LeaseRunning: 409, TerminalInQuarantine: 409}
