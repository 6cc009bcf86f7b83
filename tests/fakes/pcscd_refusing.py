"""A pcscd that will not serve us, on the socket of the real one: what the real libpcsclite makes of its answers.

    with refusing_pcscd(socket_path, other_version):
        ...

Only the opening of a connection is played: eight octets of header (length, command; little-endian), then the client's
protocol version (major, minor, result code), which a real daemon sends back with its own version and its verdict.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

_HEADER = struct.Struct("<II")
_VERSION = struct.Struct("<iiI")
_ANOTHER_MAJOR = 9
_SERVICE_STOPPED = 0x8010001E


def hang_up_at_once(client: socket.socket) -> None:
    """As pcscd does when polkit refuses a client."""


def hang_up_after_the_greeting(client: socket.socket) -> None:
    """The same, when the client was the quicker one."""
    client.recv(_HEADER.size + _VERSION.size, socket.MSG_WAITALL)


def other_version(client: socket.socket) -> None:
    """As a pcscd that was upgraded, or not, apart from our library."""
    client.recv(_HEADER.size + _VERSION.size, socket.MSG_WAITALL)
    client.sendall(_VERSION.pack(_ANOTHER_MAJOR, 0, _SERVICE_STOPPED))


def never_answer(client: socket.socket) -> None:
    """As a pcscd that hangs."""
    client.recv(_HEADER.size + _VERSION.size, socket.MSG_WAITALL)
    client.recv(1)  # until the client goes or we are shut


@contextlib.contextmanager
def refusing_pcscd(path: str, refuse: Callable[[socket.socket], None]) -> Iterator[None]:
    """Serve every client of the socket at `path` with `refuse`, one after the other."""
    Path(path).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        clients: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):  # the listener or a client was shut
                while True:
                    client, _ = listener.accept()
                    clients.append(client)
                    with client:
                        refuse(client)

        thread = threading.Thread(target=serve, name="refusing pcscd")
        thread.start()
        try:
            yield
        finally:
            for end in (listener, *clients):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            thread.join()
            Path(path).unlink(missing_ok=True)
