"""A program at the terminal's API as a page is: signed in, on one kept-alive connection, with live events beside it."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

CASHIER, PIN = "c01", "1234"
REPLY_S_MAX = 10.0


class Till:
    """A signed-in program at the terminal's API, on one kept-alive connection."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REPLY_S_MAX)
        self._headers = {"Content-Type": "application/json"}
        self._connection.connect()
        self.post("/api/v1/session", {"cashier": CASHIER, "pin": PIN})

    def post(self, path: str, message: Mapping[str, Any]) -> Any:
        """The answer's JSON; anything but 2xx ends the measurement."""
        self._connection.request("POST", path, json.dumps(message), self._headers)
        return self._answer(path)

    def get(self, path: str) -> Any:
        """The answer's JSON."""
        self._connection.request("GET", path, headers=self._headers)
        return self._answer(path)

    def _answer(self, path: str) -> Any:
        response = self._connection.getresponse()
        content = response.read()
        if response.status // 100 != 2:
            raise SystemExit(f"{path}: {response.status} {content.decode()}")
        if cookie := response.headers["Set-Cookie"]:
            self._headers["Cookie"] = cookie.split(";")[0]
        return json.loads(content) if content else None

    @contextlib.contextmanager
    def events(self) -> Iterator[EventStream]:
        """The live events, as a page hears them."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REPLY_S_MAX)
        try:
            connection.request("GET", "/api/v1/events", headers=self._headers)
            yield EventStream(connection.getresponse())
        finally:
            connection.close()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


class EventStream:
    """Server-sent events off one response."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        assert response.status == 200, response.status
        self._response = response

    def next(self, name: str) -> tuple[int, Any]:
        """Skip to the next event of this name: (monotonic ns of its last byte, its data)."""
        event = ""
        while row := self._response.readline().decode():
            if row.startswith("event: "):
                event = row[7:].strip()
            elif row.startswith("data: ") and event == name:
                return time.monotonic_ns(), json.loads(row[6:])
        raise SystemExit("the event stream ended")
