"""What the machine can do at best in the same minutes: a raw durable commit, and a bare FastAPI application.

    python -m tests.bench.yardsticks PORT

serves the bare application: one route that answers, one that takes a body such as ours.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

RAW_ROW_BYTES = 1300  # what an authorising entry has


class RawCommits:
    """One row of an entry's size, one durable commit, nothing else."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE raw (number INTEGER PRIMARY KEY, content BLOB)")

    def commit(self) -> None:
        """One row, on disk when this returns."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO raw (content) VALUES (?)", (b"x" * RAW_ROW_BYTES,))
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def serve_bare(port: int) -> None:
    """FastAPI and uvicorn as everybody starts them, with the daemon's own switches for logs."""
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Tap(BaseModel):
        id: str
        quote: str

    app = FastAPI()

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/redemptions", status_code=201)
    async def redemptions(tap: Tap) -> Tap:
        return tap

    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False)


if __name__ == "__main__":
    serve_bare(int(sys.argv[1]))
