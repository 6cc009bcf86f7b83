"""Each refusal as a cashier reads it out: the reason and what would help, with the numbers of real sales."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from config.errors import Language, Words
from terminal.offers.counts import Scope, Window
from terminal.offers.limits import SCOPE_WORDS, WINDOW_WORDS
from terminal.offers.refusal import REMEDY_WORDS, Refusal, RefusalCode

LIMIT = {"offer": "winter-film", "limit": "tickets", "count": "units", "per": "card", "window": "campaign"}
TICKETS = {"scope": SCOPE_WORDS[Scope.CARD], "window": WINDOW_WORDS[Window.CAMPAIGN], "unit": Words("张", "ticket(s)")}
POOL = {**TICKETS, "scope": SCOPE_WORDS[Scope.CAMPAIGN], "window": WINDOW_WORDS[Window.DAY]}
VOUCHER = {"label": Words("庙会预约券", "temple fair voucher")}
FILM = Words("十元电影票", "10-yuan film ticket")
COMING = {"next_day": "2013-02-16"}

SAID: list[tuple[Refusal, str, str]] = [
    (Refusal(RefusalCode.NOT_A_MEMBER, {"standing": "lost"}, {"standing": Words("已挂失", "reported lost")}),
     "不能享受会员优惠：已挂失", "请按原价收款；持卡人可拨打 12351"),
    (Refusal(RefusalCode.WRONG_CLASS, {"wanted": "model-worker"}, {"classes": Words("劳模", "model workers")}),
     "本优惠只限劳模", ""),
    (Refusal(RefusalCode.GENUINE_CHIP_REQUIRED), "本优惠须验证卡片芯片，这次读卡没有验证到", "请插卡或挥卡再试"),
    (Refusal(RefusalCode.UNKNOWN_OFFER), "本店没有这项优惠，请重新选择", ""),
    (Refusal(RefusalCode.WRONG_STORE, {"offer": "winter-film"}, {"name": FILM}),
     "本店不参加“十元电影票”", "请到参加活动的门店"),
    (Refusal(RefusalCode.NO_AGREEMENT, {"first_day": "2012-01-01", "last_day": "2012-12-31"},
             {"last": Words("至 2012-12-31", " to 2012-12-31")}),
     "本店的特约商户协议有效期为 2012-01-01 起至 2012-12-31，今天不能办理优惠", ""),
    (Refusal(RefusalCode.NOT_STARTED, {"first_day": "2013-02-16", **COMING}),
     "活动从 2013-02-16 开始，现在还不能用", "2013-02-16 起可以办理"),
    (Refusal(RefusalCode.ENDED, {"last_day": "2013-02-15"}), "活动到 2013-02-15 为止，已经结束", ""),
    (Refusal(RefusalCode.OUTSIDE_HOURS, {"now": "21:05", "opens": "daily 09:00-17:00", "next_time": "09:00", **COMING},
             {"hours": Words("每天 09:00-17:00", "daily 09:00-17:00")}),
     "现在 21:05，不在办理时间内；办理时间：每天 09:00-17:00", "最早 2013-02-16 09:00 可以办理"),
    (Refusal(RefusalCode.OUTSIDE_HOURS, {"now": "21:05", "opens": "Sat 00:00-24:00", **COMING},
             {"hours": Words("周六 00:00-24:00", "Sat 00:00-24:00")}),
     "现在 21:05，不在办理时间内；办理时间：周六 00:00-24:00", "最早 2013-02-16 可以办理"),
    (Refusal(RefusalCode.BLACKOUT, {"day": "2013-02-14", **COMING}),
     "2013-02-14 当天不办理", "最早 2013-02-16 可以办理"),
    (Refusal(RefusalCode.WRONG_DAY, {"day": "2013-02-15", "wanted": "day-off", **COMING},
             {"kinds": Words("休息日", "days off")}),
     "本优惠只在休息日办理，2013-02-15 不是", "最近的可办理日是 2013-02-16"),
    (Refusal(RefusalCode.CALENDAR_UNKNOWN, {"year": 2040}),
     "2040 年的节假日安排尚未载入，无法判断今天是否可用", "请技术人员升级终端程序"),
    (Refusal(RefusalCode.ISSUE_DATE_UNKNOWN),
     "名册上没有这张卡的发卡日期，无法判断是否在优惠期内", "请持卡人拨打 12351 补登发卡日期"),
    (Refusal(RefusalCode.NEEDS_FIRST, {"offer": "bookshop-binding"}, {"first": Words("书店绑卡", "Bind the card")}),
     "要先办理“书店绑卡”", "请先为顾客办理“书店绑卡”"),
    (Refusal(RefusalCode.PERIOD_OVER, {"first_day": "2012-01-05", "last_day": "2013-01-04"},
             {"name": Words("购书九七折", "Books at 97 percent")}),
     "这位会员的“购书九七折”自 2012-01-05 起，到 2013-01-04 已满期", ""),
    (Refusal(RefusalCode.BELOW_MINIMUM, {"min_fen": 20000, "have_fen": 15050, "missing_fen": 4950}),
     "满 200 元可用，现在 150.50 元，还差 49.50 元", "再加 49.50 元就可以"),
    (Refusal(RefusalCode.LINES_INVALID, {"lines": 51, "max": 50}), "一笔应有 1 至 50 行，现在有 51 行", ""),
    (Refusal(RefusalCode.QUANTITY_INVALID, {"line": 2, "max": 999}), "第 2 行：数量应为 1 至 999", ""),
    (Refusal(RefusalCode.PRICE_INVALID, {"line": 2, "max_fen": 100_000_000}),
     "第 2 行：原价应在 0 至 1000000 元之间", ""),
    (Refusal(RefusalCode.WRONG_CATEGORY, {"line": 2, "wanted": "drugs"}, {"categories": Words("药费", "drugs")}),
     "第 2 行不在优惠范围内，本优惠只限：药费", "这一行请另按原价收"),
    (Refusal(RefusalCode.EXCLUDED, {"line": 1, "attribute": "format", "value": "3d", "allowed": "2d"},
             {"label": Words("制式", "format"), "answer": Words("3D", "3D"), "allowed": Words("2D", "2D")}),
     "第 1 行：制式“3D”不享受本优惠", "改选“2D”就可以"),
    (Refusal(RefusalCode.EXCLUDED, {"line": 1, "attribute": "format", "value": "3d", "allowed": ""},
             {"label": Words("制式", "format"), "answer": Words("3D", "3D")}),
     "第 1 行：制式“3D”不享受本优惠", ""),
    (Refusal(RefusalCode.ATTRIBUTE_MISSING, {"line": 1, "attribute": "showing"}, {"label": Words("场次", "showing")}),
     "第 1 行：请填写场次", ""),
    (Refusal(RefusalCode.ATTRIBUTE_INVALID, {"line": 1, "attribute": "row", "min": 1, "max": 30},
             {"label": Words("排", "row")}),
     "第 1 行：排填写有误，请重新填写", "应为 1 至 30 之间的整数"),
    (Refusal(RefusalCode.PROOF_MISSING, {"proof": "voucher"}, VOUCHER),
     "还没有出示庙会预约券", "出示庙会预约券后就可以办理"),
    (Refusal(RefusalCode.PROOF_INVALID, {"proof": "id-card"}, {"label": Words("身份证", "identity card")}),
     "身份证填写有误，请核对后重新填写", ""),
    (Refusal(RefusalCode.VOUCHER_UNKNOWN, {"proof": "voucher"}, VOUCHER),
     "庙会预约券的券号不对", "请核对券号；仍不对请拨打 12351"),
    (Refusal(RefusalCode.VOUCHER_EXPIRED, {"last_day": "2013-02-15"}, VOUCHER),
     "庙会预约券已于 2013-02-15 到期，过期作废", ""),
    (Refusal(RefusalCode.VOUCHER_USED, {**LIMIT, "used": 1, "max": 1, "remaining": 0, "asked": 1}),
     "这张券已经用过了", "有疑问请拨打 12351"),
    (Refusal(RefusalCode.VOUCHER_OTHER_OFFER, {"offer": "winter-film"}, VOUCHER),
     "庙会预约券不是这项优惠的券", "请改选这张券对应的优惠"),
    (Refusal(RefusalCode.VOUCHER_OTHER_CARD, {}, VOUCHER),
     "庙会预约券是另一位会员预约的，不能用这张卡", "请用预约时的那张卡"),
    (Refusal(RefusalCode.VOUCHER_OTHER_MERCHANT, {}, VOUCHER), "庙会预约券不能在本店使用", "请到券上写明的商户使用"),
    (Refusal(RefusalCode.NO_VISITS_LEFT, {"opened": 3, "used": 2, "remaining": 1, "asked": 2},
             {"fitting": Words("1 次", "1 visit(s)")}),
     "套餐共 3 次，已用 2 次，还剩 1 次，这次要 2 次", "减到 1 次就可以"),
    (Refusal(RefusalCode.NO_VISITS_LEFT, {"opened": 3, "used": 3, "remaining": 0, "asked": 1}),
     "套餐共 3 次，已用 3 次，还剩 0 次，这次要 1 次", "套餐如还可购买，可以再买一份"),
    (Refusal(RefusalCode.LIMIT_REACHED, {**LIMIT, "used": 0, "max": 2, "remaining": 2, "asked": 3},
             {**TICKETS, "fitting": Words("2 张", "2 ticket(s)")}),
     "每卡本次活动最多 2 张：已用 0，还可用 2，这次要 3", "减到 2 张就可以"),
    (Refusal(RefusalCode.LIMIT_REACHED, {**LIMIT, "used": 2, "max": 2, "remaining": 0, "asked": 1, **COMING}, TICKETS),
     "每卡本次活动最多 2 张：已用 2，还可用 0，这次要 1", "2013-02-16 起可以再用"),
    (Refusal(RefusalCode.QUOTA_GONE, {**LIMIT, "used": 500, "max": 500, "remaining": 0, "asked": 1}, POOL),
     "全市当天名额不够：还剩 0 张，这次要 1（本机共 500，已用 500）", ""),
    (Refusal(RefusalCode.QUOTA_GONE, {**LIMIT, "used": 500, "max": 500, "remaining": 0, "asked": 1, **COMING}, POOL),
     "全市当天名额不够：还剩 0 张，这次要 1（本机共 500，已用 500）", "2013-02-16 起有新的名额"),
    (Refusal(RefusalCode.QUOTA_GONE, {**LIMIT, "used": 499, "max": 500, "remaining": 1, "asked": 2, **COMING},
             {**POOL, "fitting": Words("1 张", "1 ticket(s)")}),
     "全市当天名额不够：还剩 1 张，这次要 2（本机共 500，已用 499）", "减到 1 张就可以"),
    (Refusal(RefusalCode.NEEDS_HQ, {"offer": "winter-film"}, {"name": FILM}),
     "“十元电影票”要由总部先下发名额或券号，本机现在没有", "请等联网后再试"),
    (Refusal(RefusalCode.NO_BENEFIT, {"list_fen": 1000}),
     "原价 10 元不高于优惠价，按原价收，不占用优惠名额", "按原价收款即可"),
    (Refusal(RefusalCode.BEATEN_BY, {"winner": "winter-film"}, {"winner": FILM}), "“十元电影票”更划算，已改用", ""),
]  # fmt: skip


@pytest.mark.parametrize(("refusal", "reason", "remedy"), SAID, ids=lambda value: str(getattr(value, "code", "")))
def test_the_reason_and_what_would_help_read_naturally(refusal: Refusal, reason: str, remedy: str) -> None:
    assert (refusal.text("zh"), refusal.remedy("zh")) == (reason, remedy)
    assert bool(refusal.remedy("en")) == bool(remedy)


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("refusal", [said[0] for said in SAID], ids=lambda refusal: str(refusal.code))
def test_no_place_is_left_open_and_no_mark_stands_twice(refusal: Refusal, language: Language) -> None:
    for sentence in filter(None, (refusal.text(language), refusal.remedy(language))):
        assert not re.search(r"[{}]", sentence)
        assert not re.search(r"[，。；：、,;:.]\s*[，。；：、,;:.]|\s{2}|\s$|^\s", sentence), sentence
        assert sentence[-1] not in "，；：,;:", sentence


def test_every_code_is_read_out_here_and_every_remedy_once() -> None:
    assert {said[0].code for said in SAID} == set(RefusalCode)
    heard = {(said[0].code, said[2]) for said in SAID if said[2]}
    for code, ways in REMEDY_WORDS.items():
        assert len({said for said in heard if said[0] is code}) >= len(ways), (code, ways)


def test_the_reason_and_the_remedy_have_the_same_places_in_both_languages() -> None:
    for ways in REMEDY_WORDS.values():
        for words in ways:
            assert set(re.findall(r"{(\w+)}", words.zh)) == set(re.findall(r"{(\w+)}", words.en))
