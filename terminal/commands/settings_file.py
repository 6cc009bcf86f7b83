"""A reader's table for the settings file, and adding it there without losing a byte of what a person wrote."""

from __future__ import annotations

import json as json_format
import os
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config.errors import JingkaError, Retry, Words
from config.settings import SETTINGS_BYTES_MAX, SettingsMissing, load_terminal
from drivers.serial_port import SerialSettings

READER_NAME = "stripe"
BACKUP_SUFFIX = ".bak"


class ReaderAlreadySet(JingkaError):
    """The settings name this port already."""

    code = "reader-already-set"
    retry = Retry.STOP
    what = Words("设置文件 {subject} 里已有串口 {device}", "the settings file {subject} names port {device} already")
    hint = Words(
        "文件未改动；如需更换参数，请把上面显示的内容手工填入",
        "nothing was changed; put the settings shown above in by hand",
    )


class SettingsNotWritten(JingkaError):
    """The settings file cannot be changed."""

    code = "settings-not-written"
    retry = Retry.STOP
    what = Words("无法写入设置文件 {subject}：{reason}", "the settings file {subject} cannot be written: {reason}")
    hint = Words(
        "文件未改动；请以有权限的用户执行，或用 --out 另存",
        "nothing was changed; run it as a user who may, or use --out",
    )


def reader_table(settings: SerialSettings, name: str = READER_NAME) -> str:
    """`[[readers]]` with every key of the port, as TOML."""
    values: Mapping[str, Any] = {
        "kind": "serial",
        "name": name,
        "device": settings.device,
        "baud": settings.baud,
        "bytesize": settings.bytesize,
        "parity": settings.parity,
        "stopbits": settings.stopbits,
        "frame": settings.frame,
    }
    # A JSON string is a TOML basic string too, and so is a JSON integer a TOML one.
    lines = [f"{key} = {json_format.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join(["[[readers]]", *lines]) + "\n"


def add_reader(config: Path, settings: SerialSettings) -> tuple[Path, str]:
    """Append the reader's table to the settings file, under a name that is free; the backup made of it, and the table.

    The file stays as it was when anything is wrong: a port that it names already (`ReaderAlreadySet`), a whole that the
    terminal would not take (`SettingsInvalid`), a disk that refuses (`SettingsNotWritten`).
    """
    config = config.resolve()
    text = _read(config)
    readers = _readers(text)
    real = os.path.realpath(settings.device)
    if any(os.path.realpath(device) == real for device in (each.get("device") for each in readers) if device):
        raise ReaderAlreadySet("add reader", str(config), device=settings.device)
    table = reader_table(settings, _free_name({_name(each) for each in readers}))
    draft = config.with_name(f".{config.name}.draft")  # beside it: relative paths in it stay good
    backup = config.with_name(config.name + BACKUP_SUFFIX)
    try:
        try:
            shutil.copy2(config, draft)  # with the rights of the file that it will replace
            shutil.chown(draft, config.stat().st_uid, config.stat().st_gid)
            with draft.open("w", encoding="utf-8") as file:
                file.write(text.rstrip("\n") + "\n\n" + table)
                file.flush()
                os.fsync(file.fileno())  # before it takes the place of what a person wrote
            load_terminal(draft)
            shutil.copyfile(config, backup)
            shutil.copystat(config, backup)
            draft.replace(config)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsNotWritten("add reader", str(config), reason=error.strerror or str(error)) from error
    return backup, table


def _read(config: Path) -> str:
    try:
        with config.open("rb") as file:
            return file.read(SETTINGS_BYTES_MAX + 1).decode("utf-8")  # a larger file is refused when it is loaded
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsMissing("add reader", str(config), reason=type(error).__name__) from error


def _readers(text: str) -> list[dict[str, Any]]:
    """The readers that the file names; none when it is no TOML, which loading it says better."""
    try:
        readers = tomllib.loads(text).get("readers", [])
    except tomllib.TOMLDecodeError:
        return []
    return [each for each in readers if isinstance(each, dict)] if isinstance(readers, list) else []


def _name(reader: Mapping[str, Any]) -> str:
    return str(reader.get("name", READER_NAME if reader.get("kind") == "serial" else ""))


def _free_name(taken: set[str]) -> str:
    numbered = (f"{READER_NAME}-{number}" for number in range(2, len(taken) + 3))
    return READER_NAME if READER_NAME not in taken else next(name for name in numbered if name not in taken)
