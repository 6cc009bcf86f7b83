"""An evening in a city for pictures: a dozen tills that sold for an hour, and a pool that ran down since the morning.

Sales come in as ledgers do; the pool's run, which takes a day, is written as headquarters would have noted it.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, insert, select, update

from config.zone import SHANGHAI
from sync.headquarters.ingest import ingest
from sync.headquarters.money.record import settle
from sync.headquarters.pools.tables import allotments, pool_samples, pools
from sync.headquarters.storage import Storage
from sync.headquarters.tables import terminals
from tests.sync.headquarters.written_ledger import WrittenLedger, known_ledger

PLACES: Final = ("dongsi", "wudaokou", "haidian", "xicheng", "miyun", "pinggu")
TILLS: Final = 12
OFFER: Final = {"zh": "十元电影票", "en": "10-yuan film ticket"}
SOLD_PART: Final = 0.72  # of the pool, by now
RUN_MINUTES: Final = 700
SAMPLE_MINUTES: Final = 5


def evening(storage: Storage, now: datetime, seed: int = 7) -> None:
    """Fill headquarters' database; the pool of the winter film must be there already."""
    choose = random.Random(seed)
    for number in range(TILLS):
        place = PLACES[number % len(PLACES)]
        ledger = known_ledger(storage, f"bj-{number + 101:04d}")
        _sell(ledger, place, now, choose)
        with storage.write() as connection:
            named = {"merchant": place, "site": "main"}
            connection.execute(update(terminals).where(terminals.c.id == ledger.terminal).values(named))
            ingest(connection, ledger.batch(), now=now, skew_ms=choose.randint(-900, 900), judges=(settle,))
    _run_down(storage, now)


def _sell(ledger: WrittenLedger, place: str, now: datetime, choose: random.Random) -> None:
    day = now.astimezone(SHANGHAI).date().isoformat()
    for _ in range(choose.randint(8, 26)):
        made = now - timedelta(minutes=choose.triangular(0, 58, 8))
        number = int(made.timestamp() * 1000)  # its id bears that time
        masked = f"**** {choose.randint(0, 9999):04d}"
        ledger.authorise(number, merchant=place, site="main", business_day=day, offer_name=OFFER, masked=masked)
        if choose.random() < 0.97:
            ledger.complete(number)


def _run_down(storage: Storage, now: datetime) -> None:
    with storage.write() as connection:
        pool = connection.execute(select(pools).where(pools.c.shared.is_(True))).mappings().one()
        sold = int(pool["max"] * SOLD_PART)
        each = sold // TILLS
        row = {"key": pool["key"], "returned": 0, "written_off": 0, "frozen": 0, "excess": 0, "recent_at": now}
        row |= {"granted": each + 60, "used": each, "recent": each / 20, "slice": 60}
        tills = [row | {"terminal": f"bj-{number + 101:04d}"} for number in range(TILLS)]
        connection.execute(insert(allotments), tills)
        lent = update(pools).where(pools.c.key == pool["key"])
        connection.execute(lent.values(allotted=pools.c.allotted + TILLS * (each + 60)))
        connection.execute(delete(pool_samples).where(pool_samples.c.key == pool["key"]))  # of a nearly full pool
        rows = []
        for minutes in range(RUN_MINUTES, SAMPLE_MINUTES, -SAMPLE_MINUTES):
            used = int(sold * (1 - minutes / RUN_MINUTES) ** 1.7)
            at = now - timedelta(minutes=minutes)
            stood = {"max": pool["max"], "used": used, "allotted": used + TILLS * 60, "held": 0}
            rows.append({"key": pool["key"], "at": at, **stood})
        connection.execute(insert(pool_samples), rows)
