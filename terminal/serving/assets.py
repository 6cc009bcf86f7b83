"""Style sheets, scripts and vendored files, under addresses that change with their content: browsers may keep them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

SERVING_STATIC = Path(__file__).parent / "static"
STATIC_PATH = "/static"
VENDOR_FILES = ("vendor/htmx.min.js", "vendor/sse.js", "vendor/echarts.min.js")  # put there by scripts/setup

# A file asked for by its content's address never changes; else it must be asked about each time (RFC 9111, 8246).
CACHE_FOR_EVER = "public, max-age=31536000, immutable"
CACHE_ASK = "no-cache"
FINGERPRINT_DIGITS = 12  # 48 bits of SHA-256: tells versions apart, needs no more


class Assets(StaticFiles):
    """The files of a room's `static` directories over the shared one; mount it at `STATIC_PATH`."""

    def __init__(self, *directories: Path) -> None:
        super().__init__(directory=SERVING_STATIC)
        self.all_directories = [*directories, SERVING_STATIC]
        self._fingerprints: dict[str, str] = {}

    def url(self, name: str) -> str:
        """The address of `name` with its content's fingerprint; without one while the file is missing."""
        fingerprint = self._fingerprint(name)
        return f"{STATIC_PATH}/{name}?v={fingerprint}" if fingerprint else f"{STATIC_PATH}/{name}"

    def missing(self) -> list[str]:
        """Vendored files that set-up has not put in place."""
        return [name for name in VENDOR_FILES if not (SERVING_STATIC / name).is_file()]

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, with how long it may be kept."""
        response = await super().get_response(path, scope)
        asked = scope["query_string"].decode("latin-1")
        fresh = asked.startswith("v=") and asked[2:] == self._fingerprint(path)
        response.headers["cache-control"] = CACHE_FOR_EVER if fresh else CACHE_ASK
        return response

    def _fingerprint(self, name: str) -> str:
        if name not in self._fingerprints:
            path, status = self.lookup_path(name)
            if status is None or not Path(path).is_file():
                return ""
            self._fingerprints[name] = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:FINGERPRINT_DIGITS]
        return self._fingerprints[name]
