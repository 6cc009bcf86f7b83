"""A real pcscd with vpcd slots, private to one test process: its own socket, its own ports, gone afterwards.

    with PcscDaemon.start() as pcscd:
        presenter = VpcdCard(pcscd.host, pcscd.port)
        subprocess.Popen(["jingka", "run", ...], env=pcscd.environment)

pcscd insists on `/run/pcscd`, so it runs in a mount namespace of its own where `/run` is a directory of ours; clients
find it by `PCSCLITE_CSOCK_NAME`. Where a user may not unshare, a user namespace is used as well. Any number of test
processes may run one at once: nothing is shared but the machine's free ports.

libpcsclite reads that variable once per process and keeps it: so all daemons of one process, started one after the
other, use the same socket path.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

SOCKET_VARIABLE = "PCSCLITE_CSOCK_NAME"
DRIVER = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"
SLOTS = 2  # of one vpcd driver
DRIVERS_MAX = 8  # pcsc-lite watches 16 readers
READERS = ("Virtual PCD 00 00", "Virtual PCD 00 01")  # of the first driver
READY_WAIT_S = 10.0  # it is ready in some 20 ms; a loaded machine takes longer
END_WAIT_S = 5.0
START_TRIES = 5  # another process may take the ports between our finding and its binding them

_SCRIPT = 'mount --bind "$1" /run && exec pcscd --foreground --info --config "$2"'


@dataclass
class PcscDaemon:
    """A pcscd that can be stopped and started again at the same place."""

    directory: Path
    host: str = "127.0.0.1"
    port: int = 0  # the first slot's; each further slot's is one higher
    drivers: int = 1  # each has two slots; a change counts from the next start on, as readers plugged in meanwhile
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @classmethod
    @contextmanager
    def start(cls, drivers: int = 1) -> Iterator[PcscDaemon]:
        """A running daemon for a `with` block."""
        daemon = cls(_process_directory(), drivers=drivers)
        daemon.resume()
        try:
            yield daemon
        finally:
            daemon.stop()

    @property
    def socket_path(self) -> str:
        """Where clients reach it."""
        return str(self.directory / "run/pcscd/pcscd.comm")

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with the way to this daemon, for a child process."""
        return {**os.environ, SOCKET_VARIABLE: self.socket_path}

    @property
    def readers(self) -> tuple[str, ...]:
        """Its readers' names; the card for the first goes to `port`, for the next to the next port."""
        return tuple(f"{_name(driver)} 00 {slot:02d}" for driver in range(self.drivers) for slot in range(SLOTS))

    @property
    def open_files(self) -> int:
        """How many files and connections the daemon has open: clients and cards among them."""
        assert self._process is not None
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))

    @property
    def log(self) -> str:
        """What the daemon has written so far."""
        return (self.directory / "log").read_text(errors="replace")

    def stop(self) -> None:
        """End the daemon as `systemctl stop` would; clients lose their context, cards their connection."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(END_WAIT_S)

    def kill(self) -> None:
        """End the daemon without a word, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(END_WAIT_S)

    def hang(self) -> None:
        """The daemon does nothing any more, yet its socket stays open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of `hang`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def resume(self) -> None:
        """Start the daemon (again); returns once it answers on its socket and all slots listen."""
        assert self._process is None, "pcscd runs already"
        assert 1 <= self.drivers <= DRIVERS_MAX
        for _ in range(START_TRIES):
            if self.port == 0:
                self.port = _free_ports(SLOTS * DRIVERS_MAX)
            if self._try_start():
                return
            self.port = 0
        raise AssertionError(f"pcscd does not start:\n{self.log}")

    def _try_start(self) -> bool:
        run, readers = self.directory / "run", self.directory / "reader.conf.d"
        shutil.rmtree(run, ignore_errors=True)  # a killed daemon leaves its socket and pid file
        run.mkdir(parents=True)
        readers.mkdir(exist_ok=True)
        (readers / "vpcd").write_text("\n".join(self._reader_entry(number) for number in range(self.drivers)))
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*_unshare(), "sh", "-c", _SCRIPT, "pcscd", str(run), str(readers)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if self._answers():
            return True
        self.stop()
        return False

    def _reader_entry(self, number: int) -> str:
        """The settings of one driver; each has its own copy of the library, which keeps its state in globals."""
        port = self.port + SLOTS * number
        library = self.directory / f"driver-{number}.so"
        if not library.exists():
            shutil.copy(DRIVER, library)
        return f'FRIENDLYNAME "{_name(number)}"\nDEVICENAME /dev/null:{port}\nLIBPATH {library}\nCHANNELID {port}\n'

    def _answers(self) -> bool:
        process = self._process
        assert process is not None
        deadline = time.monotonic() + READY_WAIT_S
        while time.monotonic() < deadline and process.poll() is None:
            if "daemon ready" in self.log and _connects(self.socket_path):
                return "Could not initialize" not in self.log  # a slot whose port was taken in the meantime
            time.sleep(0.01)
        return False


def _name(driver: int) -> str:
    """pcscd numbers readers of equal names in the order in which they are plugged in, not those of its settings."""
    return "Virtual PCD" if driver == 0 else f"Virtual PCD {driver + 1}"


def _unshare() -> list[str]:
    """The command that gives pcscd its own `/run` and lets it die with this process."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", "setpriv", "--pdeathsig", "KILL"]


def _connects(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


def _free_ports(count: int) -> int:
    """The first of `count` neighbouring ports, all free."""
    for _ in range(100):
        with ExitStack() as bound:
            first = bound.enter_context(socket.socket())
            first.bind(("", 0))
            port: int = first.getsockname()[1]
            try:
                for number in range(1, count):
                    bound.enter_context(socket.socket()).bind(("", port + number))
            except (OSError, OverflowError):
                continue
            return port
    raise AssertionError(f"no {count} neighbouring ports are free")


@cache
def _process_directory() -> Path:
    """One directory per process, short enough for a socket path, made known to libpcsclite before its first call."""
    directory = Path(tempfile.mkdtemp(prefix="jingka-pcscd-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    os.environ[SOCKET_VARIABLE] = str(directory / "run/pcscd/pcscd.comm")
    return directory
