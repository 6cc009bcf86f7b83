"""Coverage-guided fuzzing of everything that reads foreign bytes.

    python -m tests.fuzz [--minutes 10] [--target NAME] [--directory DIRECTORY]

The minutes are divided among the targets. What breaks one is printed, and kept under the directory as a file for
`tests/fuzz/found/`; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import TARGETS, kept

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "build" / "fuzz"  # ignored by git
MINUTES = 10.0
END_S_MAX = 120  # beyond its own time a target may still load its corpus
TOLD_LINES = 25  # of a broken target's output: the error and where it came from


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one target fared: inputs tried, edges of our code they went through, and the files of what broke it."""

    name: str
    tried: int
    edges: int
    took_s: float
    findings: tuple[Path, ...]
    output: str

    @property
    def broken(self) -> bool:
        """Whether it ended otherwise than by its time."""
        return bool(self.findings) or not self.tried

    def __str__(self) -> str:
        verdict = "broken" if self.broken else "holds"
        return f"  {self.name:28} {self.tried:>10,} inputs in {self.took_s:5.1f} s, {self.edges:>5} edges: {verdict}"


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and fuzz; 1 when a target broke, 2 where there is no atheris."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=MINUTES, help="in all, divided among the targets")
    parser.add_argument("--target", choices=TARGETS, action="append", help="only this one; may be given again")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="for inputs that grow and what is found")
    options = parser.parse_args(arguments)
    return fuzz(options.target or list(TARGETS), options.minutes, options.directory)


def fuzz(names: list[str], minutes: float, directory: Path) -> int:
    """The targets one after another."""
    if importlib.util.find_spec("atheris") is None:
        print("atheris has no package for this machine or Python; the ordinary tests still fuzz a little")
        return 2
    seconds = max(1, round(minutes * 60 / len(names)))
    print(f"fuzz: {len(names)} targets, {seconds} s each", flush=True)
    broken = False
    for name in names:
        outcome = fuzz_one(name, directory.resolve() / name, seconds)
        print(outcome, flush=True)
        if outcome.broken:
            broken = True
            print("\n".join(outcome.output.splitlines()[-TOLD_LINES:]))
            for file in outcome.findings:
                print(f"  kept as {file}; once mended, move it to tests/fuzz/found/{name}/", flush=True)
    return int(broken)


def fuzz_one(name: str, directory: Path, seconds: int) -> Outcome:
    """One target in its own process, so that a crash of the interpreter is a finding too."""
    directory.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(directory), str(seconds)]
    try:
        run = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds + END_S_MAX,
            check=False,
        )
        output = run.stdout
    except subprocess.TimeoutExpired as overdue:
        output = f"{overdue.stdout!r}\nnot ended {END_S_MAX} s after its time"
    return Outcome(
        name=name,
        tried=_last(r"stat::number_of_executed_units: (\d+)", output) or _last(r"^#(\d+)", output),
        edges=_last(r"cov: (\d+)", output),
        took_s=time.monotonic() - began,
        findings=tuple(_findings(name, directory)),
        output=output,
    )


def _findings(name: str, directory: Path) -> list[Path]:
    """What libFuzzer left, each turned into a file for `found`."""
    files = []
    for raw in sorted(path for kind in ("crash", "timeout", "oom") for path in directory.glob(f"{kind}-*")):
        files.append(kept(directory, raw.read_bytes(), f"{raw.name.partition('-')[0]} of {name}"))
        raw.unlink()
    return files


def _last(pattern: str, output: str) -> int:
    numbers = re.findall(pattern, output, re.MULTILINE)
    return int(numbers[-1]) if numbers else 0


if __name__ == "__main__":
    sys.exit(main())
