"""`jingka voucher`: new codes, the register that tills hold, and what it says of one code."""

from __future__ import annotations

import json as json_format
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.errors import Words
from config.zone import SHANGHAI
from terminal.commands.lists import Key, echo_rejected, key_path, rejected_rows
from terminal.commands.options import DEFAULT_CONFIG, JSON, Config
from terminal.commands.progress import progress_bar

if TYPE_CHECKING:
    from config.settings import TerminalSettings
    from terminal.offers.voucher import VoucherRecord

COUNT_MAX = 200_000  # what one register holds

app = typer.Typer(help="Vouchers.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def voucher() -> None:
    """Vouchers."""


@app.command()
def make(
    offer: Annotated[str, typer.Option(help="the offer's id in the book")],
    count: Annotated[int, typer.Option(min=1, max=COUNT_MAX, help="how many")],
    out: Annotated[Path, typer.Option(help="the list to write; never overwritten")],
    prefix: Annotated[str, typer.Option(help="how every code begins, such as LF")] = "",
    last_day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="the last day of every voucher; none: the offer's own")
    ] = None,
    json: JSON = False,
) -> None:
    """Make new codes that nobody can guess, as a list for the printer and for `voucher build`."""
    import secrets

    from terminal.offers.voucher import spelt
    from terminal.vouchers.issue import PREFIX_CHARS_MAX, is_prefix, new_codes, write_list
    from terminal.vouchers.voucher_list import is_id

    begin = spelt(prefix)
    if not is_id(offer):
        raise typer.BadParameter(f"{offer} is no offer's id", param_hint="--offer")
    if not is_prefix(begin):
        raise typer.BadParameter(f"at most {PREFIX_CHARS_MAX} letters and digits", param_hint="--prefix")
    made = write_list(out, new_codes(count, begin, secrets.choice), offer, last_day.date() if last_day else None)
    typer.echo(json_format.dumps({"made": made, "list": str(out)}) if json else f"{made} vouchers in {out}")


@app.command()
def build(
    vouchers: Annotated[
        Path, typer.Argument(help="CSV with the header code,offer,card,person,last_day,merchants,revoked")
    ],
    out: Annotated[Path, typer.Option(help="the register to write; replaced in one step")],
    key: Key = None,
    json: JSON = False,
) -> None:
    """Make the register from a list of vouchers; it holds neither codes nor card numbers. Wrong lines are set aside."""
    from terminal.membership.token import load_programme_key
    from terminal.vouchers.build import build_register
    from terminal.vouchers.voucher_list import VOUCHER_FAULT_WORDS

    programme_key = load_programme_key(key_path(key))
    with progress_bar("vouchers") as progress:
        done = build_register(vouchers, out, programme_key, progress)
    if json:
        summary = {"taken": done.taken, "replaced": done.replaced, "rejected": done.rejected_count}
        typer.echo(json_format.dumps(summary | {"lines": rejected_rows(done.rejected)}))
        return
    echo_rejected(done.rejected, VOUCHER_FAULT_WORDS)
    typer.echo(
        f"{done.taken} vouchers, {done.replaced} replaced by a later line, {done.rejected_count} lines set aside"
    )


@app.command()
def check(
    code: Annotated[str, typer.Argument(help="as it is printed, typed or scanned")],
    config: Config = DEFAULT_CONFIG,
    json: JSON = False,
) -> None:
    """What the register here says of a code; exit code 1 when the voucher is not good today."""
    from config.settings import load_terminal

    good, words = look_up(code, load_terminal(config), datetime.now(SHANGHAI).date())
    if json:
        typer.echo(json_format.dumps({"good": good, "zh": words.zh, "en": words.en}, ensure_ascii=False))
    else:
        typer.echo(f"{words.zh}\n{words.en}")
    raise typer.Exit(0 if good else 1)


def look_up(typed: str, settings: TerminalSettings, today: date) -> tuple[bool, Words]:
    """Whether the voucher is good today, and in words why not or for what."""
    from config.places import vouchers_file
    from terminal.membership.token import load_programme_key
    from terminal.offers.voucher import spelt, well_formed
    from terminal.vouchers.register import Register

    code = spelt(typed)
    if not well_formed(code):
        return False, Words("券号有误：请核对每一位", "that is no code: compare every character")
    path = vouchers_file(settings.offers.vouchers, settings.data_dir)
    if settings.offers.vouchers is None and not path.exists():
        return False, Words(
            "券号格式正确；本机没有券登记册",
            "the code is well formed; there is no register here",
        )
    register = Register.open(path, load_programme_key(settings.membership.programme_key))
    record = register.find(code)
    if record is None:
        return False, Words("券号格式正确，但登记册里没有", "the code is well formed, but nobody registered it")
    if record.revoked:
        return False, Words(f"已作废（{record.offer}）", f"revoked ({record.offer})")
    return _told(record, today)


def _told(record: VoucherRecord, today: date) -> tuple[bool, Words]:
    """Of whom it is, only that it is somebody's: a token says nothing to a person."""
    over = record.last_day is not None and today > record.last_day
    until = record.last_day.isoformat() if record.last_day else ""
    merchants = sorted(record.merchants)
    parts_zh = [
        f"优惠 {record.offer}",
        "限本人" if record.holder else "不记名",
        (f"已于 {until} 到期" if over else f"有效至 {until}") if until else "不限日期",
        f"限商户 {'、'.join(merchants)}" if merchants else "不限商户",
    ]
    parts_en = [
        f"for offer {record.offer}",
        "for its own holder" if record.holder else "for whoever brings it",
        (f"ended on {until}" if over else f"until {until}") if until else "for any day",
        f"at {', '.join(merchants)}" if merchants else "at any merchant",
    ]
    return not over, Words("，".join(parts_zh), ", ".join(parts_en))
