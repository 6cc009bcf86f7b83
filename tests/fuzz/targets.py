"""Every target by its name, and the seeds and findings that each begins with."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Mapping
from pathlib import Path

from tests.fuzz import chip, genuine, keys, line, masked, module, transcript
from tests.fuzz.target import Target

ROOMS = (chip, genuine, keys, line, masked, module, transcript)
TARGETS: Mapping[str, Target] = {target.name: target for room in ROOMS for target in room.TARGETS}
FOUND = Path(__file__).parent / "found"  # one directory per target: inputs that once broke it, tried in every test run


def found(name: str) -> list[Path]:
    """The files of inputs that once broke the target `name`."""
    return sorted((FOUND / name).glob("*.hex"))


def found_octets(file: Path) -> bytes:
    """The input in a file of findings: hexadecimal, with `#` before words."""
    lines = (row.partition("#")[0] for row in file.read_text(encoding="utf-8").splitlines())
    return bytes.fromhex("".join(lines))


def kept(directory: Path, octets: bytes, words: str) -> Path:
    """Write `octets` as a file of findings into `directory`; the file, named after its content."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{hashlib.sha256(octets).hexdigest()[:12]}.hex"
    file.write_text("\n".join([f"# {words}", *textwrap.wrap(octets.hex(), 64), ""]), encoding="utf-8")
    return file
