"""Customers at every counter at once, and what the world knows of them: every ticket that was really handed over.

What a seller was answered counts, not what a machine believes: 201, or 200 when the same id is asked for again after
the answer was lost. A ticket is taken off the count before its cancellation is sent, so that `out` is never too high.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter as Tally
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from terminal.redemption_id import new_id
from tests.fakes.city import CASHIER, MANAGER, OFFER, PER_CARD, PINS, City, CityTerminal

LIST_FEN: Final = 8000
ANSWER_WAIT_S: Final = 30.0
DOWN_PAUSE_S: Final = 0.1  # between two tries at a daemon that is down
DOWN_WAIT_S: Final = 60.0  # a killed daemon is back by then
SHOPPING_S: Final = (0.0, 0.15)  # between two customers


@dataclass(slots=True)
class Ticket:
    """One redemption as its seller was told of it; `units` of it stand."""

    redemption: str
    card: int
    terminal: str
    units: int
    granted: str
    state: str = "authorised"


@dataclass(slots=True)
class World:
    """All that was handed over. Safe from any thread."""

    pool: int
    tickets: dict[str, Ticket] = field(default_factory=dict)
    out: int = 0
    most_out: int = 0
    told: Tally[str] = field(default_factory=Tally)
    broken: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def sold(self, ticket: Ticket) -> None:
        """Handed over."""
        with self.lock:
            if ticket.redemption in self.tickets:
                self.broken.append(f"{ticket.redemption} was sold twice")
            self.tickets[ticket.redemption] = ticket
            self.out += ticket.units
            self.most_out = max(self.most_out, self.out)
            self.told[f"granted {ticket.granted}"] += 1
            if self.out > self.pool:
                self.broken.append(f"{self.out} tickets of {self.pool} are out")

    def taken_back(self, ticket: Ticket, units: int, state: str) -> None:
        """About to be given back."""
        with self.lock:
            ticket.units -= units
            ticket.state = state
            self.out -= units
            self.told[state] += 1

    def tell(self, what: str) -> None:
        """Something else that happened."""
        with self.lock:
            self.told[what] += 1


class Seller(threading.Thread):
    """One cashier at one counter: customer after customer until `closing` is set. `fault` is what ended it early."""

    def __init__(self, city: City, terminal: CityTerminal, world: World, closing: threading.Event, seed: int) -> None:
        super().__init__(name=f"seller-{terminal.name}", daemon=True)
        self._city = city
        self._terminal = terminal
        self._world = world
        self._closing = closing
        self._chance = random.Random(f"{seed} {terminal.name}")
        self._clients: dict[str, httpx.Client] = {}
        self.fault: BaseException | None = None

    def run(self) -> None:
        """Sell."""
        try:
            while not self._closing.is_set():
                self._customer()
                self._closing.wait(self._chance.uniform(*SHOPPING_S))
        except BaseException as fault:  # noqa: BLE001 - a test wants to know, whatever it is
            self.fault = fault
        finally:
            for client in self._clients.values():
                client.close()

    def _customer(self) -> None:
        card = self._chance.randrange(len(self._city.cards))
        shown = self._ask(
            "/api/v1/presentation/manual",
            {"number": self._city.cards[card], "manager": MANAGER.id, "pin": PINS[MANAGER.id]},
        )
        if shown.status_code == 409:  # typed twice, for the first answer did not come in time
            self._world.tell(f"card: {shown.json()['code']}")
            return
        assert shown.status_code == 200, shown.text
        for units in dict.fromkeys((self._chance.choice((1, *(PER_CARD,) * 3)), 1)):
            quote = self._quote(shown.json()["id"], units)
            if quote is not None and self._redeem(card, units, quote):
                return  # else: if not two, then one

    def _quote(self, presentation: str, units: int) -> str | None:
        line = {"category": "film-ticket", "quantity": units, "list_price": LIST_FEN, "attributes": {"format": "2d"}}
        quoted = self._ask("/api/v1/quotes", {"presentation": presentation, "offer": OFFER, "lines": [line]})
        if quoted.status_code != 200:  # the daemon was killed since the card was shown
            self._world.tell(f"quote: {quoted.json()['code']}")
            return None
        if quoted.json()["refusals"]:
            self._refused(quoted.json()["refusals"])
            return None
        return str(quoted.json()["quote"])

    def _redeem(self, card: int, units: int, quote: str) -> bool:
        """Whether tickets were handed over."""
        redemption = new_id()
        answer = self._ask("/api/v1/redemptions", {"id": redemption, "quote": quote})
        if answer.status_code not in (200, 201):
            problem = answer.json()
            if problem["code"] == "sale-refused":
                self._refused(problem["refusals"])
            else:
                self._world.tell(f"redemption: {problem['code']}")
            return False
        ticket = Ticket(redemption, card, self._terminal.name, units, answer.json()["granted"])
        self._world.sold(ticket)
        if self._chance.random() < 0.1:  # a double click
            again = self._ask("/api/v1/redemptions", {"id": redemption, "quote": quote})
            assert again.status_code == 200, again.text
            assert again.json()["sequence"] == answer.json()["sequence"], again.text
        self._settle(ticket)
        return True

    def _settle(self, ticket: Ticket) -> None:
        what, path = self._chance.random(), f"/api/v1/redemptions/{ticket.redemption}"
        if what < 0.10:
            self._world.taken_back(ticket, ticket.units, "cancelled")
            self._must(f"{path}/cancel", {"reason": "not paid"})
            return
        self._must(f"{path}/complete", {})
        ticket.state = "completed"
        if what < 0.18:
            units = self._chance.randint(1, ticket.units)
            self._world.taken_back(ticket, units, "voided" if units == ticket.units else "voided in part")
            self._must(f"{path}/void", {"reason": "mistake", "units": units}, MANAGER.id)

    def _refused(self, refusals: list[dict[str, Any]]) -> None:
        first = refusals[0]
        self._world.tell(f"refused: {first['code']} {first.get('limit', '')}".rstrip())

    def _must(self, path: str, body: dict[str, Any], person: str = CASHIER.id) -> None:
        answer = self._ask(path, body, person)
        assert answer.status_code == 200, f"{path}: {answer.text}"

    def _ask(self, path: str, body: dict[str, Any], person: str = CASHIER.id) -> httpx.Response:
        """The answer, asked for again when the daemon died over it: with the same content, so it is the same call."""
        deadline = time.monotonic() + DOWN_WAIT_S
        while True:
            try:
                answer = self._client(person).post(path, json=body)
                if answer.status_code != 401:
                    return answer
                self._forget(person)  # the daemon is a new one, and knows no session
            except httpx.TransportError:
                self._world.tell("calls to a dead daemon")
                self._forget(person)
                time.sleep(DOWN_PAUSE_S)
            assert time.monotonic() < deadline, f"{self._terminal.name} does not come back: {path}"

    def _client(self, person: str) -> httpx.Client:
        if person not in self._clients:
            client = httpx.Client(
                base_url=self._terminal.service.url,
                timeout=ANSWER_WAIT_S,
                trust_env=False,
                headers={"Accept-Language": "en"},
            )
            self._clients[person] = client
            answer = client.post("/api/v1/session", json={"cashier": person, "pin": PINS[person]})
            assert answer.status_code == 200, answer.text
        return self._clients[person]

    def _forget(self, person: str) -> None:
        client = self._clients.pop(person, None)
        if client is not None:
            client.close()
