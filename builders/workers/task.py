"""What a worker is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from builders.build.job import Key
from builders.build.product import Place, Tables

if TYPE_CHECKING:
    from builders.activations.blocks import Block
    from builders.activations.storage import Storage

LOOPBACK = "local"
"""The address of a Ray cluster that is begun on this machine alone."""


@dataclass(frozen=True)
class Setup:
    """What a worker has to know before it is asked anything.

    `plan`: the pickled Plan without its model, which the worker loads itself and of which the `fingerprint` must be the
    same. `threads`: of torch; None: as many as it takes. `scratch`: the folder where activations are kept, which all
    workers see, or a folder of this worker alone if they go through `storage`; None: one that it makes for itself.
    """

    plan: bytes
    scratch: Path | None
    device: str
    dtype: str
    weights_only: bool
    fingerprint: str
    threads: int | None
    storage: Storage | None = None


@dataclass(frozen=True)
class Task:
    """Units that are made together: one, or those of one place of a corpus, which is then read once.

    `name`: in the progress. `block`: instead, batches of the corpus `family` to run the model over. `last`: the unit is
    one of those that come last and may read any place of that corpus; its Passing comes with it.
    """

    name: str
    units: tuple[tuple[Key, str], ...] = ()
    family: str = ""
    place: Place | None = None
    block: Block | None = None
    last: bool = False


@dataclass(frozen=True)
class Answer:
    """The rows of each unit of a task, in their order, and the notes of each of its parts so far."""

    tables: list[Tables] = field(default_factory=list)
    notes: list[list[str]] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Failure:
    """Why a task was given up."""

    error: str
