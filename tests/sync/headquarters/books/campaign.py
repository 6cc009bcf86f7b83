"""A campaign team, the published winter book, and how the one becomes the other's release."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from sync.headquarters import fleet
from sync.headquarters.books.desk import CampaignDesk
from sync.headquarters.books.release import RELEASE_KEY_FILE
from sync.headquarters.books.releases import ReleaseView
from sync.headquarters.projection import Place
from sync.headquarters.storage import Storage
from sync.signing import DeviceKey
from terminal.serving.people import Person, Role
from tests.sync.headquarters.client import HandClock
from tests.sync.headquarters.written_ledger import NOON

WINTER = files("config.books").joinpath("winter-2012.toml").read_text("utf-8")
DEARER = WINTER.replace("unit_fen = 1000", "unit_fen = 1200", 1)
BROKEN = WINTER.replace('"gongren-julebu", "wudaokou"', '"gongren-julebo", "wudaokou"', 1)

EDITOR = Person("e01", "赵编", Role.EDITOR)
COLLEAGUE = Person("e02", "钱编", Role.EDITOR)
APPROVER = Person("a01", "孙批", Role.APPROVER)
OPERATOR = Person("op1", "李敏", Role.OPERATOR)
AUDITOR = Person("au1", "周审", Role.AUDITOR)


def desk_of(storage: Storage, directory: Path, clock: Callable[[], datetime] | None = None) -> CampaignDesk:
    """A desk whose release key is there."""
    key_file = directory / RELEASE_KEY_FILE
    if not key_file.exists():
        DeviceKey.create(key_file)
    return CampaignDesk(storage, clock or HandClock(), key_file)


def released(desk: CampaignDesk, text: str = WINTER, title: str = "冬季活动") -> ReleaseView:
    """A release of `text`, by the book."""
    draft = desk.begin(EDITOR, title, text)
    draft = desk.submit(EDITOR, draft.id, draft.version)
    desk.approve(APPROVER, draft.id, draft.version)
    return desk.publish(EDITOR, draft.id)


def add_terminal(storage: Storage, terminal: str, merchant: str, site: str, now: datetime = NOON) -> Place:
    """A terminal that is enrolled there."""
    key = uuid.uuid5(uuid.NAMESPACE_OID, terminal).hex * 2
    with storage.write() as connection:
        placed = {"terminal": terminal, "merchant": merchant, "site": site}
        assert fleet.add(connection, **placed, public_key=key, version="0.1.0", now=now)
    return Place(terminal, merchant, site)
