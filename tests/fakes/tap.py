"""A tap on a TCP line: passes everything on to a port of this machine and keeps every byte of both directions."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 64 * 1024
CONNECT_WAIT_S = 5.0


class Tap:
    """Listens on `port`; where `target` does not listen, a connection ends at once, as a refused one would."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._lines: list[bytearray] = []
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]

    @classmethod
    @contextmanager
    def on(cls, target: int) -> Iterator[Tap]:
        """A tap that works until the block ends; what it has kept stays."""
        tap = cls(target)
        threading.Thread(target=tap._accept, name=f"tap on {target}", daemon=True).start()
        try:
            yield tap
        finally:
            tap._close()

    @property
    def kept(self) -> list[bytes]:
        """What has passed so far: one item for each direction of each connection, in whole."""
        with self._lock:
            return [bytes(line) for line in self._lines]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: the block has ended
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection((LOOPBACK, self._target), CONNECT_WAIT_S)
                except OSError:
                    near.close()
                    continue
                far.settimeout(None)
                with self._lock:
                    self._open |= {near, far}
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        line = bytearray()
        with self._lock:
            self._lines.append(line)
        with contextlib.suppress(OSError):  # either end went away: the line is down, as it would be without us
            while data := source.recv(CHUNK_BYTES):
                with self._lock:
                    line += data
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
