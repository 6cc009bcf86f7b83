"""django-oscar's offer engine, the most used shop that pip installs, on the same baskets and offers as ours.

It is fetched into an environment of its own in the cache when it is measured and is no dependency of ours; without a
package index it is left out. It keeps baskets, offers and what each customer has used in SQLite.

    python -m tests.bench.peer_oscar

reads questions and writes answers, a line of JSON each. The first, `{"offers": [70, 90], "limit": 9, "baskets":
[[[80, 2]]]}`, is offers by the per cent of the price that is paid, the best first, each so often per customer, and
baskets of lines (price in yuan, quantity); its answer is what each basket comes to, in fen. Every further one is a
basket's number, answered with nanoseconds: of the offers alone with the basket in memory, and with the basket read from
the database.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.bench.processes import ROOT, STOP_S_MAX

PACKAGES = (
    "django-oscar==4.2.1",
    "asgiref==3.13.0",
    "babel==2.19.0",
    "Django==5.2.19",
    "django-extra-views==0.16.0",
    "django-haystack==3.4.0",
    "django-phonenumber-field==8.5.0",
    "django-tables2==2.7.0",
    "django-treebeard==7.0.3",
    "django-widget-tweaks==1.5.1",
    "factory_boy==3.3.3",
    "Faker==40.63.0",
    "packaging==26.4",
    "phonenumbers==9.0.43",
    "pillow==13.0.0",
    "purl==1.6",
    "six==1.17.0",
    "sqlparse==0.6.1",
)
STOCK = 1_000_000  # of each product: never the reason why a basket comes out otherwise

Basket = Sequence[tuple[int, int]]  # lines: price of one in yuan, quantity


class Oscar:
    """django-oscar at work in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def take(self, pay_percents: Sequence[int], limit: int, baskets: Sequence[Basket]) -> list[int]:
        """Hand it its offers and baskets, once; what each basket comes to, in fen."""
        pay_fen: list[int] = self._ask({"offers": list(pay_percents), "limit": limit, "baskets": list(baskets)})
        return pay_fen

    def price(self, basket: int) -> tuple[float, float]:
        """Milliseconds to price it in memory, as a sale is in ours, and read from the database, as its pages do."""
        apply_ns, load_apply_ns = self._ask(basket)
        return apply_ns / 1e6, load_apply_ns / 1e6

    def _ask(self, question: object) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        row = self._process.stdout.readline()
        if not row:
            raise SystemExit(f"django-oscar ended with {self._process.wait(STOP_S_MAX)}")
        return json.loads(row)


def fetched(cache: Path) -> Path | None:
    """The Python that has django-oscar; None when it cannot be had."""
    directory = cache / "django-oscar"
    python = directory / "bin" / "python"
    if not (directory / "complete").exists():
        venv.create(directory, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "-q", "--no-deps", *PACKAGES]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            return None
        (directory / "complete").touch()
    return python


@contextlib.contextmanager
def working(python: Path) -> Iterator[Oscar]:
    """django-oscar with an empty database, ended afterwards."""
    process = subprocess.Popen(
        [str(python), "-m", "tests.bench.peer_oscar"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        yield Oscar(process)
    finally:
        process.stdin.close()
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


# In its own environment ----------------------------------------------------------------------------------------------


def serve() -> None:
    """Answer each question on the standard input."""
    _set_up()
    shop = Shop(**json.loads(sys.stdin.readline()))
    print(json.dumps([shop.pay_fen(basket) for basket in shop.baskets]), flush=True)
    for row in sys.stdin:
        print(json.dumps(shop.times_ns(shop.baskets[json.loads(row)])), flush=True)


def _set_up() -> None:
    """A shop with django-oscar's own applications and defaults, and a database in memory."""
    import django  # type: ignore[import-not-found]
    from django.conf import settings  # type: ignore[import-not-found]
    from django.core.management import call_command  # type: ignore[import-not-found]
    from oscar import INSTALLED_APPS, defaults  # type: ignore[import-not-found]

    settings.configure(
        SECRET_KEY="bench",
        USE_TZ=True,
        SITE_ID=1,
        ROOT_URLCONF="",
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        HAYSTACK_CONNECTIONS={"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}},
        INSTALLED_APPS=INSTALLED_APPS,
        **{name: getattr(defaults, name) for name in dir(defaults) if name.startswith("OSCAR_")},
    )
    django.setup()
    call_command("migrate", verbosity=0)


class Shop:
    """One customer with baskets, and offers for everything."""

    def __init__(self, offers: Sequence[int], limit: int, baskets: Sequence[Basket]) -> None:
        from oscar.apps.offer.applicator import Applicator  # type: ignore[import-not-found]
        from oscar.apps.partner.strategy import Default  # type: ignore[import-not-found]
        from oscar.core.loading import get_model  # type: ignore[import-not-found]
        from oscar.test import factories  # type: ignore[import-not-found]

        self._model, self._strategy, self._applicator = get_model("basket", "Basket"), Default(), Applicator
        self._shopper = factories.UserFactory()
        _make_offers(factories, offers, limit)
        self.baskets: list[Any] = []
        for lines in baskets:
            basket = self._model.objects.create(owner=self._shopper)
            basket.strategy = self._strategy
            for price_yuan, quantity in lines:
                basket.add_product(factories.create_product(price=Decimal(price_yuan), num_in_stock=STOCK), quantity)
            self.baskets.append(basket)

    def pay_fen(self, basket: Any) -> int:
        """What a basket comes to."""
        self._apply(basket)
        return int(basket.total_excl_tax * 100)

    def times_ns(self, basket: Any) -> tuple[int, int]:
        """Of the offers with the basket in memory, and with the basket read."""
        basket.reset_offer_applications()
        began_ns = time.perf_counter_ns()
        self._apply(basket)
        applied_ns = time.perf_counter_ns()
        again = self._model.objects.get(pk=basket.pk)
        again.strategy = self._strategy
        self._apply(again)
        return applied_ns - began_ns, time.perf_counter_ns() - applied_ns

    def _apply(self, basket: Any) -> None:
        self._applicator().apply(basket, self._shopper)


def _make_offers(factories: Any, pay_percents: Sequence[int], limit: int) -> None:
    """Site offers over all goods; the first named is looked at first."""
    everything = factories.RangeFactory(includes_all_products=True)
    for number, percent in enumerate(pay_percents):
        factories.ConditionalOfferFactory(
            name=f"offer {number}",
            offer_type="Site",
            condition=factories.ConditionFactory(range=everything, type="Count", value=1),
            benefit=factories.BenefitFactory(
                range=everything, type="Percentage", value=Decimal(100 - percent), max_affected_items=None
            ),
            priority=len(pay_percents) - number,
            max_user_applications=limit,
        )


if __name__ == "__main__":
    serve()
