"""Several processes read one list: each takes blocks of the file, hashes the numbers in them and gives back tokens.

The file's name and a range go in, `BlockRead` comes out, in the file's order: no card number passes between processes.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final

from terminal.membership.card_list import CardListError
from terminal.membership.official_lists import Block, BlockRead, ListKind, blocks_of, read_file_block
from terminal.membership.token import ProgrammeKey

PROCESSES_MAX: Final = 8  # beyond this the database is the narrow place
AHEAD_PER_PROCESS: Final = 2  # blocks: one in work, one waiting, so memory stays at some 30 MB a process
ALONE_BYTES_MAX: Final = 8 * 1024 * 1024  # a small list is read before other processes have started


def read_list_blocks(
    path: Path, kind: ListKind, key: ProgrammeKey, processes: int | None = None
) -> Iterator[tuple[Block, BlockRead]]:
    """Every block of the list at `path`, in order. `processes`: as many as there are cores when left out.

    Raises `CardListError` when the file cannot be read, `CardListInvalid` when it does not begin with its header.
    """
    try:
        with path.open("rb") as file:
            alone = os.fstat(file.fileno()).st_size <= ALONE_BYTES_MAX or processes == 1
            blocks = blocks_of(file, kind, str(path))
            if alone:
                for block in blocks:
                    yield block, read_file_block(path, block, kind, key)
                return
            wanted = min(processes or os.cpu_count() or 1, PROCESSES_MAX)
            with closing(_in_processes(path, kind, key, blocks, wanted)) as reads:
                yield from reads
    except OSError as error:
        raise CardListError("read list", str(path), reason=error.strerror) from error


def _in_processes(
    path: Path, kind: ListKind, key: ProgrammeKey, blocks: Iterator[Block], processes: int
) -> Generator[tuple[Block, BlockRead], None, None]:
    # Spawned, not forked: the caller may have threads and a database connection, which a copy must not touch.
    context = multiprocessing.get_context("spawn")
    waiting: deque[tuple[Block, Future[BlockRead]]] = deque()
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        try:
            for block in blocks:
                waiting.append((block, pool.submit(read_file_block, path, block, kind, key)))
                if len(waiting) >= processes * (AHEAD_PER_PROCESS + 1):
                    first, answer = waiting.popleft()
                    yield first, answer.result()
            while waiting:
                first, answer = waiting.popleft()
                yield first, answer.result()
        finally:
            pool.shutdown(cancel_futures=True)
