"""The redemption's id: a UUIDv7 minted at the counter when the sale opens, the key at both ends for ever."""

from __future__ import annotations

import uuid_utils

from config.errors import JingkaError, Retry, Words

SHOWN_CHARACTERS_MAX = 40  # of a wrong id, in a message


class RedemptionIdInvalid(JingkaError):
    """The redemption's id is not a UUIDv7."""

    code = "redemption-id-invalid"
    retry = Retry.STOP
    what = Words("交易编号不是 UUIDv7", "the redemption id is not a UUIDv7")
    hint = Words("请刷新页面后重试", "reload the page and try again")


def new_id() -> str:
    """A fresh UUIDv7 in its canonical spelling; its time orders ids roughly, and nothing depends on that."""
    return str(uuid_utils.uuid7())


def check_id(redemption: str) -> None:
    """Only a canonical UUIDv7 is a key: another spelling of the same id would be a second redemption."""
    try:
        parsed = uuid_utils.UUID(redemption)
    except ValueError:
        raise RedemptionIdInvalid("authorise", redemption[:SHOWN_CHARACTERS_MAX]) from None
    if parsed.version != 7 or str(parsed) != redemption:
        raise RedemptionIdInvalid("authorise", redemption[:SHOWN_CHARACTERS_MAX])
