"""The entry point of `jingka`, and of `python -m terminal`: a typed error becomes two lines and exit code 1.

The daemon's own command line, as its unit file has it, is read here: the parser of all the other commands would cost a
fifteenth of its start (docs/benchmarks.md).
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from config.errors import LANGUAGES, JingkaError


def main() -> None:
    """Run what the command line says; never a traceback for a typed error."""
    try:
        match sys.argv[1:]:
            case ["run", "--config", settings]:
                sys.exit(run_terminal(Path(settings)))
            case _:
                from terminal.cli import app

                app()
    except JingkaError as error:
        for language in LANGUAGES:
            sys.stderr.write(f"{error.what_text(language)}\n  → {error.hint_text(language)}\n")
        sys.exit(1)


def run_terminal(settings: Path) -> int:
    """The terminal daemon until it is stopped; its exit code. Raises `JingkaError`."""
    gc.disable()  # a start makes much and drops little, so collecting would only cost time; `serve` turns it on again
    from config.settings import load_terminal
    from terminal.daemon import serve

    return serve(load_terminal(settings))


if __name__ == "__main__":
    main()
