"""A whole installation in one directory: headquarters and one terminal as real processes, enrolled as the demo does it.

    with Installation(tmp_path) as site:              # prepared; nothing runs yet
        site.start()                                  # headquarters, enrolment, terminal
        site.present("member")
        site.cashier.get("/api/v1/presentation")
        site.terminal.kill()                          # kill -9; `start()` brings it back on the same port
        site.terminal.start()

Both services keep their port through restarts, so a client made before is good after; only sessions end with the
process, and `cashier`, `manager` and `operator` sign in again by themselves. Start services from a thread that
stays alive: the kernel ends them with the thread that started them.
"""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import uuid_utils

from config.settings import ENV_PREFIX, load_hq
from sync.enrolment import enrol
from sync.headquarters.enrolment import issue_code
from terminal.demo import MERCHANT, OPERATOR, PEOPLE, SITE, TERMINAL, prepare

LOOPBACK = "127.0.0.1"
READY_WAIT_S = 40.0  # both are ready in some two seconds; a machine that runs other tests takes longer
STOP_WAIT_S = 15.0  # the services promise 3 s for open streams
EVENT_WAIT_S = 20.0  # for what a test waits for: one heartbeat is under a second, a back-off a few
ANSWER_WAIT_S = 20.0
POLL_S = 0.02
HEARTBEAT_S = "0.3"  # a tenth of the default, so that tests see a line come and go quickly
PORTS = range(20_000, 32_000)  # below the range from which the kernel gives ports to outgoing connections
PORT_TRIES = 200

FILM_LIST_FEN = 8000  # what the sample cinema asks for one ticket without a card
POS_REFERENCE = "000012345678"

Found = TypeVar("Found")


@dataclass
class Service:
    """One `jingka` process that can be started, stopped, killed and started again; its output goes to `log`."""

    command: str
    settings_file: Path
    port: int
    log: Path
    environment: dict[str, str]
    front_port: int = 0  # where clients reach it, when something stands in between
    prefix: tuple[str, ...] = ()  # what to run it under, for instance ("prlimit", "--fsize=200000")
    starts: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"http://{LOOPBACK}:{self.front_port or self.port}"

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self.process is not None and self.process.poll() is None

    @property
    def output(self) -> str:
        """What it has written so far, over all its starts."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process and wait for nothing."""
        assert not self.running, f"{self.command} runs already"
        program = [sys.executable, "-m", "terminal", self.command, "--config", str(self.settings_file)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, "setpriv", "--pdeathsig", "KILL", *program],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )
        self.starts += 1
        return self.process

    def start(self) -> httpx.Response:
        """Start the process; returns what `/healthz` says once it answers, be it 200 or a fault's 503."""
        process = self.launch()

        def answered() -> httpx.Response | None:
            assert process.poll() is None, f"{self.command} ended with {process.returncode}:\n{self.output}"
            return self.healthz()

        return eventually(answered, f"{self.command} answers", READY_WAIT_S)

    def healthz(self) -> httpx.Response | None:
        """What `/healthz` says now; None when nobody answers."""
        try:
            return httpx.get(f"{self.url}/healthz", timeout=ANSWER_WAIT_S, trust_env=False)
        except httpx.TransportError:
            return None

    def wait(self) -> int:
        """The exit code of a process that ends by itself."""
        assert self.process is not None, f"{self.command} was not started"
        return self.process.wait(READY_WAIT_S)

    def stop(self) -> None:
        """End it as systemd would (SIGTERM); harmless when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a word, as a power cut would for this process (SIGKILL)."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_WAIT_S)
            raise AssertionError(f"{self.command} did not end on {how.name}:\n{self.output}") from None


class Installation:
    """`root` holds everything; `with` prepares it and, at the end, ends both processes.

    `reader` is the demo's choice (virtual, pcsc, serial:/dev/pts/7). `database_url` empty means SQLite. `environment`
    is added to both processes' (`PcscDaemon.environment`, or further `JINGKA_...`). `line_port` is the port at which
    the terminal looks for headquarters, when something stands in between; zero means headquarters' own.
    """

    def __init__(
        self,
        root: Path,
        *,
        reader: str = "virtual",
        database_url: str = "",
        environment: Mapping[str, str] | None = None,
        line_port: int = 0,
        hq_port: int = 0,
    ) -> None:
        self.root = root
        self.logs = root / "logs"
        self.database_url = database_url
        self._reader = reader
        ports = {"JINGKA_HQ__PORT": str(hq_port or free_port()), "JINGKA_TERMINAL__PORT": str(free_port())}
        line = f"http://{LOOPBACK}:{line_port or ports['JINGKA_HQ__PORT']}"
        plain = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        self.environment = {
            **plain,
            **ports,
            "JINGKA_HEADQUARTERS__URL": line,
            "JINGKA_HEADQUARTERS__HEARTBEAT_S": HEARTBEAT_S,
            # For tests in which headquarters never leases anything; once it does, its word alone counts.
            "JINGKA_OFFERS__SLICES": '{"winter-film/pool": 500}',
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        if database_url:
            self.environment["JINGKA_HQ__DATABASE_URL"] = database_url
        self.headquarters = self._service("hq", root / "headquarters.toml", "JINGKA_HQ__PORT")
        self.terminal = self._service("run", root / "terminal.toml", "JINGKA_TERMINAL__PORT")
        self._clients: dict[str, tuple[int, httpx.Client]] = {}

    def _service(self, command: str, settings_file: Path, port: str) -> Service:
        return Service(
            command, settings_file, int(self.environment[port]), self.logs / f"{command}.log", self.environment
        )

    @property
    def terminal_dir(self) -> Path:
        """The terminal's data directory."""
        return self.root / "terminal"

    @property
    def headquarters_dir(self) -> Path:
        """Headquarters' data directory."""
        return self.root / "headquarters"

    def __enter__(self) -> Self:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.logs.mkdir(exist_ok=True)
        prepare(self.root, self._reader, self.database_url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, client in self._clients.values():
            client.close()
        self._clients.clear()
        try:
            self.terminal.stop()
        finally:
            self.headquarters.stop()

    def start(self) -> Self:
        """Headquarters, the enrolment, then the terminal, until it has heard what it may spend."""
        self.headquarters.start()
        self.enrol()
        self.terminal.start()
        eventually(self._leased, "headquarters has leased something to the terminal")
        return self

    def _leased(self) -> bool:
        metrics = httpx.get(f"{self.terminal.url}/metrics", timeout=ANSWER_WAIT_S, trust_env=False)
        return re.search(r"^jingka_lease_left_seconds [1-9]", metrics.text, re.MULTILINE) is not None

    def enrol(self) -> None:
        """As an installer does it: a one-time code from headquarters, typed at the terminal. Headquarters must run."""
        settings = load_hq(self.headquarters.settings_file).model_copy(update={"database_url": self.database_url})
        code = issue_code(settings, terminal=TERMINAL, merchant=MERCHANT, site=SITE)
        enrol(self.environment["JINGKA_HEADQUARTERS__URL"], code, self.terminal_dir)

    # --- the people ----------------------------------------------------------------------------------------------

    @property
    def cashier(self) -> httpx.Client:
        """The terminal's API for the cashier c01; speaks English."""
        return self._signed_in("cashier", self.terminal, PEOPLE[0][0], PEOPLE[0][3])

    api = cashier

    @property
    def manager(self) -> httpx.Client:
        """The terminal's API for the manager m01."""
        return self._signed_in("cashier", self.terminal, PEOPLE[1][0], PEOPLE[1][3])

    @property
    def operator(self) -> httpx.Client:
        """Headquarters' API for the operator h01."""
        return self._signed_in("person", self.headquarters, OPERATOR[0], OPERATOR[3])

    hq = operator

    @property
    def editor(self) -> httpx.Client:
        """Headquarters' API for the editor e01."""
        return self._signed_in("person", self.headquarters, "e01", OPERATOR[3])

    @property
    def approver(self) -> httpx.Client:
        """Headquarters' API for the approver a01."""
        return self._signed_in("person", self.headquarters, "a01", OPERATOR[3])

    def _signed_in(self, name_key: str, service: Service, person: str, pin: str) -> httpx.Client:
        since, client = self._clients.get(person, (0, None))
        if client is not None and since == service.starts:
            return client
        if client is not None:
            client.close()
        client = httpx.Client(
            base_url=service.url, timeout=ANSWER_WAIT_S, trust_env=False, headers={"Accept-Language": "en"}
        )
        self._clients[person] = (service.starts, client)
        answer = client.post("/api/v1/session", json={name_key: person, "pin": pin})
        assert answer.status_code == 200, answer.text
        return client

    # --- what happens at the counter -----------------------------------------------------------------------------

    def present(self, card: str) -> dict[str, Any]:
        """Present a demonstration card with the virtual reader, as the page's button does; returns the presentation."""
        before = self.presented()
        self.cashier.post(f"/demo/cards/{card}/present").raise_for_status()
        return self.next_presentation(before)

    def presented(self) -> dict[str, Any] | None:
        """The presentation as the API tells it, None when no card is there."""
        answer = self.cashier.get("/api/v1/presentation")
        assert answer.status_code in (200, 204), answer.text
        return dict(answer.json()) if answer.status_code == 200 else None

    def next_presentation(self, before: Mapping[str, Any] | None) -> dict[str, Any]:
        """The first presentation that is not `before`."""
        known = before["id"] if before else None

        def found() -> dict[str, Any] | None:
            now = self.presented()
            return now if now is not None and now["id"] != known else None

        return eventually(found, "a card is presented")

    def quote(self, presentation: Mapping[str, Any], tickets: int, film_format: str = "2d") -> httpx.Response:
        """Ask the price of `tickets` winter film tickets for the card presented."""
        line = {
            "category": "film-ticket",
            "quantity": tickets,
            "list_price": FILM_LIST_FEN,
            "attributes": {"format": film_format},
        }
        wanted = {"presentation": presentation["id"], "offer": "winter-film", "lines": [line]}
        return self.cashier.post("/api/v1/quotes", json=wanted)

    def redeem(self, quote: str, redemption: str = "") -> httpx.Response:
        """Make a quote durable under `redemption`, or under a fresh id."""
        return self.cashier.post("/api/v1/redemptions", json={"id": redemption or new_id(), "quote": quote})

    def complete(self, redemption: str, pos_reference: str = POS_REFERENCE) -> httpx.Response:
        """The bank's POS took the money."""
        return self.cashier.post(f"/api/v1/redemptions/{redemption}/complete", json={"pos_reference": pos_reference})

    def buy(self, presentation: Mapping[str, Any], tickets: int) -> dict[str, Any]:
        """A whole sale: quote, redemption, completion; returns the completed redemption."""
        quoted = self.quote(presentation, tickets)
        assert quoted.status_code == 200, quoted.text
        redeemed = self.redeem(quoted.json()["quote"])
        assert redeemed.status_code == 201, redeemed.text
        done = self.complete(redeemed.json()["id"])
        assert done.status_code == 200, done.text
        return dict(done.json())

    def health(self) -> dict[str, Any]:
        """The terminal's `/healthz`."""
        answer = self.terminal.healthz()
        assert answer is not None, f"the terminal does not answer:\n{self.terminal.output}"
        return dict(answer.json())

    def wait_acknowledged(self) -> None:
        """Until headquarters has acknowledged every entry."""
        eventually(lambda: self._line() == (True, 0), "headquarters has everything")

    def wait_offline(self) -> None:
        """Until the terminal has noticed that headquarters is away."""
        eventually(lambda: not self._line()[0], "the terminal notices the outage")

    def _line(self) -> tuple[bool, int]:
        line = self.health()["headquarters"]
        return bool(line["online"]), int(line["waiting"])


def eventually(look: Callable[[], Found | None], what: str, wait_s: float = EVENT_WAIT_S) -> Found:
    """The first true thing `look` finds; an assertion error naming `what` when there is none in time."""
    deadline = time.monotonic() + wait_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {wait_s:.0f} s: {what}"
        time.sleep(POLL_S)


def new_id() -> str:
    """A redemption's id, minted when a sale opens."""
    return str(uuid_utils.uuid7())


def free_port() -> int:
    """A port nobody listens on, and that no outgoing connection will take while its service is down."""
    for _ in range(PORT_TRIES):
        port = random.choice(PORTS)
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) != 0:
                return port
    raise AssertionError("no free port")
