"""What the demonstration's headquarters begins with: its people, the roll of the virtual cards, and a released book.

Done as people do it, through the same desks as the pages: a list is brought in and confirmed, a draft is written by
one person, approved by another, released and rolled out everywhere. Repeating it changes nothing.
"""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from pathlib import Path
from typing import Final

from config.settings import HqSettings
from drivers.virtual.card import DEMO_CARDS
from terminal.membership.standing import MemberClass, Standing
from terminal.membership.token import ProgrammeKey
from terminal.serving.people import Person, Role

# Who works at the demonstration's headquarters, each with the PIN.
STAFF: Final = (
    (Person("h01", "总部值班", Role.OPERATOR), "2468"),
    (Person("e01", "赵编", Role.EDITOR), "2468"),
    (Person("a01", "孙批", Role.APPROVER), "2468"),
    (Person("f01", "周算", Role.FINANCE), "2468"),
    (Person("u01", "吴审", Role.AUDITOR), "2468"),
)
OPERATOR, EDITOR, APPROVER = (person for person, _ in STAFF[:3])
TITLE: Final = "冬季活动（演示）"

OnTheRoll = dict[str, tuple[Standing, MemberClass]]


def furnish(settings: HqSettings, key: ProgrammeKey, book: str, on_the_roll: OnTheRoll, issued: date) -> None:
    """Bring in the roll and release `book` (JSON), unless that was done before. Headquarters must not run yet."""
    from sync.headquarters.books.desk import CampaignDesk
    from sync.headquarters.books.release import release_key_file
    from sync.headquarters.books.stages import target_of
    from sync.headquarters.roll import imports
    from sync.headquarters.service import utc_now
    from sync.headquarters.storage import open_storage
    from sync.signing import DeviceKey
    from terminal.membership.official_lists import ListKind

    storage = open_storage(settings.database_url, settings.data_dir)
    try:
        with storage.read() as connection:
            furnished = bool(imports.latest(connection, 1))
        if furnished:
            return
        view = imports.preview_upload(
            storage,
            card_list(on_the_roll, issued),
            ListKind.COMBINED,
            key,
            by=OPERATOR,
            now=utc_now(),
            jump_percent_max=100.0,
        )
        imports.confirm(storage, view.id, key, by=OPERATOR, now=utc_now())
        key_file = release_key_file(settings)
        DeviceKey.load_or_create(key_file)
        desk = CampaignDesk(storage, utc_now, key_file)
        readable = json.dumps(json.loads(book), ensure_ascii=False, indent=2)  # for whoever edits the next draft
        draft = desk.begin(EDITOR, TITLE, readable, "json")
        draft = desk.submit(EDITOR, draft.id, draft.version)
        draft = desk.approve(APPROVER, draft.id, draft.version)
        release = desk.publish(EDITOR, draft.id)
        desk.roll_out(EDITOR, release.revision, target_of(everywhere=True))
    finally:
        storage.close()


def card_list(on_the_roll: OnTheRoll, issued: date) -> bytes:
    """The list of the virtual cards as headquarters is handed one; it stays in memory. Test numbers only."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(("pan", "standing", "class", "issued", "person"))
    for name, (standing, member_class) in on_the_roll.items():
        lines.writerow(
            (DEMO_CARDS[name].digits, standing.value, member_class.value, issued.isoformat(), f"demo-{name}")
        )
    return text.getvalue().encode()


def staff_file(path: Path) -> None:
    """The file of people."""
    from terminal.serving.people import add_person

    for person, pin in STAFF:
        add_person(path, person, pin, replace=True)
