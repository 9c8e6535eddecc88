"""Has another thread write rows, so that no frame waits for a disk."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor

from pipeline.errors import SinkError
from stages.count.history.row import Row
from stages.count.history.store import Store

logger = logging.getLogger(__name__)

ROWS = 4096
"""Rows that are written together at the latest."""

MOST_WAITING = 65_536
"""Rows that wait at most while the disk refuses, about 20 MB; further ones are lost, and counted."""


class Writer:
    """Gathers rows and writes them now and then; what the disk refuses is tried again with the next.

    Attributes:
        lost: rows that were lost, as too many waited, or as the disk refused them at the end.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[Row] = []
        self._given: list[Row] = []
        self._worker: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None
        self._refusal = ""
        self.lost = 0

    def add(self, row: Row) -> None:
        """Take a row."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(row)
        else:
            self._lose(1)

    @property
    def is_full(self) -> bool:
        """Whether so many rows wait that they should be written."""
        return len(self._waiting) >= ROWS

    def flush(self) -> None:
        """Have the other thread write what waits, if it has done with what it was given before."""
        if self._writing is not None and not self._writing.done():
            return
        self._settle()
        if not self._waiting:
            return
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, "trajectories")
        self._given, self._waiting = self._waiting, []
        self._writing = self._worker.submit(self._store.write, self._given)

    def close(self) -> None:
        """Write what waits, wait for it, and put the files together."""
        self._settle()
        try:
            self._store.write(self._waiting)
            self._waiting = []
            self._store.close()
        except SinkError as error:
            self._complain(error)
        self._lose(len(self._waiting))
        self._waiting = []
        if self._worker is not None:
            self._worker.shutdown()
            self._worker = None

    def _settle(self) -> None:
        """Wait for the other thread; what the disk refused waits again."""
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            writing.result()
        except SinkError as error:
            self._complain(error)
            self._waiting = self._given + self._waiting
        self._given = []

    def _complain(self, error: SinkError) -> None:
        if str(error) != self._refusal:
            self._refusal = str(error)
            logger.warning("%s", error)

    def _lose(self, rows: int) -> None:
        if rows and not self.lost:
            logger.warning("trajectories are lost, as the disk refuses them; the run's report says how many")
        self.lost += rows
