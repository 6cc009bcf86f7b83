"""Run by a test: a till that is killed when headquarters has granted its hold, before the sale is written."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from terminal.ledger.ledger import Ledger
from terminal.offers.counts import Offline
from terminal.offers.sale import Place
from tests.sync.headquarters.pools.test_with_real_tills import cinema, film_book


def main() -> None:
    home, url = Path(sys.argv[1]), sys.argv[2]
    till = cinema(url, home, Place("gongren-julebu", "main", "t01"), film_book(5, tickets=Offline.LOCAL))

    def dies(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    Ledger.authorise = dies  # type: ignore[method-assign, assignment]
    till.sell("member", 2)


if __name__ == "__main__":
    main()
