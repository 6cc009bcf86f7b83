"""The cashier's page and its pieces, as htmx asks for them: what stands on the stage, and what a press does."""

from __future__ import annotations

import re

import httpx
import pytest

from config.errors import Language
from drivers.card import ReaderMissing
from drivers.reader import ReaderState, ReaderStatus
from terminal.ledger.errors import LedgerDamaged
from terminal.redemption_id import RedemptionIdInvalid
from tests.fakes.till import READER, Till, away
from tests.terminal.web.sale import authorised, completed

pytestmark = pytest.mark.anyio

HTMX = {"hx-request": "true"}


def field(html: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{re.escape(name)}" value="([^"]*)"', html)
    assert found, (name, html)
    return found[1]


async def form_of(client: httpx.AsyncClient, till: Till, offer: str = "winter-film") -> dict[str, str]:
    """Open the form of an offer for the member's card, two 2D tickets at 80 yuan typed in."""
    till.present("member")
    html = (await client.get(f"/counter/form?offer={offer}", headers=HTMX)).text
    hidden = {name: field(html, name) for name in ("redemption", "presentation", "offer", "book", "lines")}
    return {**hidden, "0.line.quantity": "2", "0.line.list_price": "80", "0.attributes.format": "2d"}


async def confirm(client: httpx.AsyncClient, typed: dict[str, str]) -> httpx.Response:
    return await client.post("/counter/confirm", data=typed, headers=HTMX)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("state", ["idle", "member", "suspended", "other-bank", "no-card", "busy", "broken"])
async def test_the_page_stands_in_every_state_and_language(
    cashier: httpx.AsyncClient, till: Till, language: Language, state: str
) -> None:
    cashier.cookies.set("jingka_language", language)
    if state == "no-card":
        till.fail()
    elif state == "busy":
        await completed(cashier, till)
        away(till, LedgerDamaged("push", "headquarters", reason="x"))
        till.present("member")
    elif state == "broken":
        error = ReaderMissing("read", READER)
        till.readers = (ReaderStatus(READER, "pcsc", ReaderState.MISSING, 0, error),)
        till.faults = (LedgerDamaged("open", "roll", reason="x"),)
    elif state != "idle":
        till.present(state)
    page = await cashier.get("/")
    assert page.status_code == 200
    words = {
        "idle": ("请刷卡或插卡", "Present a card"),
        "member": ("会员，有效", "member, active"),
        "suspended": ("已口头挂失", "reported lost"),
        "other-bank": ("其他银行的卡", "another bank"),
        "no-card": ("这不是银行卡", "not a bank card"),
        "busy": ("7 条等待上传", "7 waiting to be sent"),
        "broken": ("请检查读卡器连线", "check the reader"),
    }
    assert words[state][language == "en"] in page.text
    assert f'lang="{"zh-CN" if language == "zh" else "en"}"' in page.text


async def test_a_card_needs_no_click(cashier: httpx.AsyncClient, till: Till) -> None:
    assert 'hx-trigger="sse:presentation' in (await cashier.get("/")).text
    till.present("member")
    stage = await cashier.get("/counter/stage?showing=", headers=HTMX)
    assert 'data-key="1"' in stage.text
    assert stage.text.index("autofocus") > stage.text.index("十元电影票") - 200


async def test_the_stage_is_left_alone_while_the_card_is_the_same(cashier: httpx.AsyncClient, till: Till) -> None:
    assert (await cashier.get("/counter/stage?showing=", headers=HTMX)).status_code == 204
    till.present("member")
    card = till.counter.presentation
    assert card is not None
    assert (await cashier.get(f"/counter/stage?showing={card.id}", headers=HTMX)).status_code == 204
    assert (await cashier.get("/counter/stage", headers=HTMX)).status_code == 200


async def test_a_card_that_is_not_good_offers_nothing_to_choose(cashier: httpx.AsyncClient, till: Till) -> None:
    till.present("suspended")
    stage = (await cashier.get("/counter/stage")).text
    assert 'data-key="1"' not in stage
    assert "十元电影票" not in stage


async def test_a_used_up_offer_says_why(cashier: httpx.AsyncClient, till: Till) -> None:
    await completed(cashier, till)
    stage = (await cashier.get("/counter/stage")).text
    assert "现在不能享受" in stage
    assert "已用 2" in stage


async def test_escape_puts_the_card_aside(cashier: httpx.AsyncClient, till: Till) -> None:
    till.present("member")
    assert "请刷卡或插卡" in (await cashier.post("/counter/clear", headers=HTMX)).text
    assert till.counter.presentation is None


async def test_the_price_follows_what_is_typed(cashier: httpx.AsyncClient, till: Till) -> None:
    typed = await form_of(cashier, till)

    async def panel(**change: str) -> str:
        return (await cashier.post("/counter/quote", data={**typed, **change}, headers=HTMX)).text

    assert "¥20.00" in await panel()
    assert "请填写：单价（原价）" in await panel(**{"0.line.list_price": ""})
    excluded = await panel(**{"0.attributes.format": "3d"})
    assert "不享受本优惠" in excluded
    assert "<button" not in excluded
    assert "请填写制式" in await panel(**{"0.attributes.format": ""})
    assert till.ledger.last_sequence() == 0


async def test_the_pass_asks_for_its_proofs_and_adds_its_fee(cashier: httpx.AsyncClient, till: Till) -> None:
    till.present("member")
    html = (await cashier.get("/counter/form?offer=park-pass", headers=HTMX)).text
    for words in ("身份证", "一寸照片一张", "市政交通一卡通", "办理方式", "¥200.00"):
        assert words in html
    typed = {name: field(html, name) for name in ("redemption", "presentation", "offer", "lines")}
    typed |= {"0.line.quantity": "1", "0.line.list_price": "200", "0.attributes.purchase": "new"}
    open_ones = (await cashier.post("/counter/quote", data=typed, headers=HTMX)).text
    assert "还差以下内容" in open_ones
    typed |= {"proofs.id-card": "110101199001011234", "proofs.photo": "yes"}
    assert "¥103.00" in (await cashier.post("/counter/quote", data=typed, headers=HTMX)).text
    with_card = {**typed, "proofs.transit-card": "yes"}
    assert "¥100.00" in (await cashier.post("/counter/quote", data=with_card, headers=HTMX)).text


async def test_confirming_authorises_once_however_often_it_is_pressed(cashier: httpx.AsyncClient, till: Till) -> None:
    typed = {**await form_of(cashier, till), "shown": "2000"}
    first, second = await confirm(cashier, typed), await confirm(cashier, typed)
    assert first.text == second.text
    assert "请在银行 POS 机上收款" in first.text
    assert "¥20.00" in first.text
    assert [sale.id for sale in till.ledger.unsettled()] == [typed["redemption"]]
    assert till.ledger.last_sequence() == 1


@pytest.mark.parametrize("shown", ["1000", "", "x"])
async def test_an_amount_that_was_not_on_the_screen_is_shown_and_not_sold(
    cashier: httpx.AsyncClient, till: Till, shown: str
) -> None:
    typed = {**await form_of(cashier, till), "shown": shown}
    answer = await confirm(cashier, typed)
    assert "金额有变化" in answer.text
    assert field(answer.text, "redemption") == typed["redemption"]
    assert field(answer.text, "0.line.list_price") == "80"
    assert till.ledger.last_sequence() == 0


async def test_a_refused_sale_stays_in_the_form_with_its_reason(cashier: httpx.AsyncClient, till: Till) -> None:
    typed = {**await form_of(cashier, till), "0.line.quantity": "3", "shown": "3000"}
    answer = await confirm(cashier, typed)
    assert "最多 2" in answer.text
    assert till.ledger.last_sequence() == 0


async def test_a_form_whose_card_is_gone_is_a_notice_that_leaves_the_form(
    cashier: httpx.AsyncClient, till: Till
) -> None:
    typed = {**await form_of(cashier, till), "shown": "2000"}
    till.counter.clear()
    answer = await confirm(cashier, typed)
    assert answer.status_code == 409
    assert answer.headers["hx-retarget"] == "#notice"
    assert "请再次刷卡" in answer.text


async def test_a_made_up_redemption_id_is_refused(cashier: httpx.AsyncClient, till: Till) -> None:
    typed = {**await form_of(cashier, till), "shown": "2000", "redemption": "7"}
    answer = await confirm(cashier, typed)
    assert answer.status_code == 422
    assert RedemptionIdInvalid.what.zh in answer.text


async def test_the_money_taken_completes_the_sale(cashier: httpx.AsyncClient, till: Till) -> None:
    redemption = await authorised(cashier, till)
    answer = await cashier.post(
        f"/counter/sale/{redemption}/complete", data={"pos_reference": "１２３４５６７８９０１２"}, headers=HTMX
    )
    assert "已完成" in answer.text
    found = till.ledger.redemption(redemption)
    assert found is not None
    assert (found.state, found.pos_reference) == ("completed", "123456789012")


async def test_a_faulty_pos_reference_is_a_notice_and_nothing_is_written(
    cashier: httpx.AsyncClient, till: Till
) -> None:
    redemption = await authorised(cashier, till)
    path = f"/counter/sale/{redemption}/complete"
    answer = await cashier.post(path, data={"pos_reference": "6210947000000021"}, headers=HTMX)
    assert answer.status_code == 422
    assert "12 位数字" in answer.text
    assert "6210947000000021" not in answer.text
    assert till.ledger.last_sequence() == 1


async def test_no_money_taken_cancels_and_gives_back(cashier: httpx.AsyncClient, till: Till) -> None:
    redemption = await authorised(cashier, till)
    answer = await cashier.post(f"/counter/sale/{redemption}/cancel", headers=HTMX)
    assert "已取消" in answer.text
    assert "还可用 2" in (await cashier.get("/counter/stage")).text


async def test_what_waits_for_money_and_the_last_sales_stand_beside(cashier: httpx.AsyncClient, till: Till) -> None:
    redemption = await authorised(cashier, till)
    assert "等待收款（1 笔）" in (await cashier.get("/counter/sales", headers=HTMX)).text
    assert "¥20.00" in (await cashier.get(f"/counter/sale/{redemption}", headers=HTMX)).text
    await cashier.post(f"/counter/sale/{redemption}/complete", headers=HTMX)
    beside = (await cashier.get("/counter/sales", headers=HTMX)).text
    assert "等待收款" not in beside
    assert redemption in beside


async def test_another_card_waits_while_the_money_is_taken(cashier: httpx.AsyncClient, till: Till) -> None:
    redemption = await authorised(cashier, till)
    settle = (await cashier.get(f"/counter/sale/{redemption}", headers=HTMX)).text
    card = till.counter.presentation
    assert card is not None
    assert 'hx-get="/counter/stage" hx-trigger' not in settle
    assert "另一张卡" not in (await cashier.get(f"/counter/next-card?showing={card.id}", headers=HTMX)).text
    till.present("model-worker")
    assert "另一张卡" in (await cashier.get(f"/counter/next-card?showing={card.id}", headers=HTMX)).text


async def test_only_a_manager_is_shown_and_may_use_the_void(
    cashier: httpx.AsyncClient, manager: httpx.AsyncClient, till: Till
) -> None:
    redemption = await completed(cashier, till)
    path = f"/counter/sale/{redemption}"
    assert "作废" not in (await cashier.get(path, headers=HTMX)).text
    assert "作废这一笔" in (await manager.get(path, headers=HTMX)).text
    refused = await cashier.post(f"{path}/void", data={"reason": "打错"}, headers=HTMX)
    assert refused.status_code == 403
    partly = (await manager.post(f"{path}/void", data={"reason": "打错", "units": "1"}, headers=HTMX)).text
    assert "1 / 2" in partly
    whole = (await manager.post(f"{path}/void", data={"reason": "打错", "units": "2"}, headers=HTMX)).text
    assert "已作废" in whole


async def test_an_unknown_sale_is_not_found(cashier: httpx.AsyncClient) -> None:
    answer = await cashier.get("/counter/sale/01940000-0000-7000-8000-000000000000", headers=HTMX)
    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/", "/status"])
async def test_pages_lead_a_stranger_to_sign_in(stranger: httpx.AsyncClient, path: str) -> None:
    answer = await stranger.get(path, headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?next={path}")


@pytest.mark.parametrize("path", ["/counter/stage", "/counter/strip", "/counter/sales", "/counter/next-card"])
async def test_a_page_that_looks_by_itself_is_sent_to_sign_in_when_the_session_is_over(
    stranger: httpx.AsyncClient, path: str
) -> None:
    assert (await stranger.get(path, headers=HTMX)).headers["hx-redirect"] == "/sign-in"


async def test_names_from_outside_are_escaped(cashier: httpx.AsyncClient, till: Till) -> None:
    till.readers = (ReaderStatus("<script>alert(1)</script>", "pcsc", ReaderState.READY, 0),)
    assert "<script>alert" not in (await cashier.get("/")).text
