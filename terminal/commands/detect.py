"""`jingka readers --detect`: finds a serial stripe reader's settings while a card is swiped again and again.

Every line is in both languages: whoever sets up a till may read either. No card number is printed, only its last four.
"""

from __future__ import annotations

import json as json_format
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from config.errors import JingkaError, Retry, Words
from drivers.detect import DETECTION_S_MAX, Detection, Finding, Heard, Progress
from terminal.commands.settings_file import add_reader, reader_table

SERIAL_PORTS = Path("/dev/serial/by-id")  # names that stay when ttyUSB numbers move

SAID = {
    Heard.SWIPE: Words("请刷卡", "swipe the card"),
    Heard.NOTHING: Words("没有收到数据，换下一组", "nothing came; on to the next"),
    Heard.NOISE: Words("收到乱码，换下一组", "garbled; on to the next"),
    Heard.AGAIN: Words("参数对了，但磁条没读清", "these settings fit, but the stripe was not read"),
    Heard.IDLE: Words("设备在线，还没有刷卡数据", "the device is there, but no swipe came"),
}


class PortNotChosen(JingkaError):
    """Which port to listen on is not clear: none is plugged in, or more than one."""

    code = "port-not-chosen"
    retry = Retry.STOP
    what = Words("找到 {count} 个串口：{ports}", "{count} serial ports found: {ports}")
    hint = Words(
        "请插好读卡器，或在命令后写明串口，如 /dev/ttyUSB0",
        "plug the reader in, or name its port behind the command, such as /dev/ttyUSB0",
    )


def detect_reader(device: str | None, json: bool, out: Path | None, write: Path | None) -> None:
    """Search, print what was found, and put it where it was asked for. Raises `JingkaError`."""
    port = device or only_port(serial_ports())

    def say(text: str) -> None:
        typer.echo(text, err=json)  # the standard output is then the answer's alone

    say(f"串口 {port}：请准备一张卡，每次看到提示就刷一次；最多 {DETECTION_S_MAX / 60:.0f} 分钟，Ctrl-C 中止。")
    say(
        f"Port {port}: take a card and swipe it each time you are asked to; "
        f"{DETECTION_S_MAX / 60:.0f} minutes at most, Ctrl-C ends it."
    )
    finding = Detection(port, teller(say)).run()
    table = reader_table(finding.settings)
    if json:
        typer.echo(json_format.dumps(asdict(finding.settings) | {"card": finding.masked}, ensure_ascii=False))
    else:
        _tell_finding(finding, table, to_do=write is None)
    if out is not None:
        out.write_text(table, encoding="utf-8")
        say(f"已写入 {out} / written to {out}")
    if write is not None:
        backup, _ = add_reader(write, finding.settings)
        say(f"已加入 {write}，原文件备份为 {backup} / added to {write}; the file before is {backup}")
        say("重启终端后生效 / restart the terminal to use it")


def teller(say: Callable[[str], None]) -> Callable[[Progress], None]:
    """What to do with each step: a line with its number, its settings and what to do or what came."""

    def tell(progress: Progress) -> None:
        said = SAID[progress.heard]
        line = f"[{progress.step}/{progress.steps}] {progress.settings}  {said.zh} / {said.en}"
        if progress.error is not None:
            line += f"（{progress.error.what_text('zh')} / {progress.error.what_text('en')}）"
        say(line)

    return tell


def serial_ports(directory: Path = SERIAL_PORTS) -> list[str]:
    """The serial ports of this machine by the names that stay."""
    return sorted(str(path) for path in directory.glob("*"))


def only_port(ports: Sequence[str]) -> str:
    """The one port there is; raises `PortNotChosen`."""
    if len(ports) != 1:
        raise PortNotChosen("choose port", "serial", count=len(ports), ports=", ".join(ports) or "-")
    return ports[0]


def _tell_finding(finding: Finding, table: str, *, to_do: bool) -> None:
    settings = finding.settings
    typer.echo(f"找到了：{settings}，帧格式 {settings.frame}，卡 {finding.masked}")
    typer.echo(f"Found: {settings}, frame {settings.frame}, card {finding.masked}")
    if to_do:
        typer.echo("请把下面这段加入设置文件，或加上 --write 文件 由本命令加入：")
        typer.echo("Put this into the settings file, or let --write FILE put it there:")
    typer.echo("")
    typer.echo(table, nl=False)
