"""One target under atheris, in a process of its own: `python -m tests.fuzz.guided NAME DIRECTORY SECONDS`.

`DIRECTORY` holds the `corpus` that grows, and what broke the target as libFuzzer's `crash-…` and `timeout-…` files.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["drivers"]):
    from tests.fuzz.targets import TARGETS, found, found_octets

HANG_S = 20  # far beyond any input that keeps its bound of calls; a loop without a single call ends here


def main(name: str, directory: Path, seconds: int) -> None:
    """Begin with the seeds and what broke the target before, and go on for `seconds`; the process ends with it."""
    target = TARGETS[name]
    corpus = directory / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, octets in enumerate([*target.seeds(), *map(found_octets, found(name))]):
        (corpus / f"seed-{number:03}").write_bytes(octets)
    options = {
        "max_total_time": seconds,
        "max_len": target.octets_max,
        "timeout": HANG_S,
        "artifact_prefix": f"{directory}/",
        "print_final_stats": 1,
    }
    flags = [f"-{option}={value}" for option, value in options.items()]
    atheris.Setup([sys.argv[0], str(corpus), *flags], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
