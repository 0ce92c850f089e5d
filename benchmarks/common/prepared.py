"""Workers that compute nothing: processes that hand over rows that were made before.

Without torch: such a process begins in a second.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from atlas.store import waiting
from builders.build.product import Tables
from builders.workers.local import LocalWorker, answering
from builders.workers.pool import READY
from builders.workers.task import Answer, Setup


@dataclass(frozen=True)
class Prepared:
    """Rows as files: `steps` has by product its units, and `tables` what each of these is made of, in order."""

    folder: Path
    steps: dict[str, list[str]] = field(default_factory=dict)
    tables: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def write(self, units: Iterable[tuple[str, str, Tables]]) -> None:
        """Keep the rows of units, each with its product and its name."""
        for step, unit, tables in units:
            self.steps.setdefault(step, []).append(unit)
            self.tables[step, unit] = list(tables)
            for name, rows in tables.items():
                waiting.write(self.folder, name, f"{step}/{unit}", rows)

    def read(self, step: str, unit: str) -> Tables:
        """The rows of a unit."""
        return {
            name: waiting.rows_where(waiting.files(self.folder, name, [f"{step}/{unit}"]), {})
            for name in self.tables[step, unit]
        }


class HandingOver(LocalWorker):
    """A process that computes nothing; when an answer of it has come is noted."""

    def __init__(self, index: int, setup: Setup, put: Callable[[str, Any], None], came: list[float]) -> None:
        def noting(what: str, value: Any) -> None:
            came.append(time.perf_counter())
            put(what, value)

        super().__init__(index, setup, noting, target=hand_over)


def hand_over(connection: Connection, setup: bytes) -> None:
    """What the process does: as fast as it is paid for, a unit takes so many seconds."""
    known: Setup = pickle.loads(setup)
    prepared, seconds = pickle.loads(known.plan)
    connection.send((READY, ""))
    while True:
        try:
            what, *values = connection.recv()
        except (EOFError, OSError):
            os._exit(1)
        if what == "run":
            begun = time.monotonic()
            ((key, unit),) = values[0].units
            rows = prepared.read(key.product, unit)
            time.sleep(max(0.0, begun + seconds - time.monotonic()))
            answering(connection, Answer([rows], [[]], seconds), known.scratch)
