"""The forward pass over one corpus in blocks: neighbouring batches, each block by whichever process takes it.

A block is a folder with the files that one process would have written of these batches alone. It gets its name when
it is whole. Before a place is read, its blocks are joined in the order of the batches, into the file that one process
would have written. Which batches belong together is decided once and kept in the staging area. Where workers share no
disk, blocks go through a Storage, and each worker joins on its own disk what it reads.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from atlas.errors import BuildError
from atlas.live.batching import Batch, batches
from builders.activations.record import Pass, Rows, dense_sizes, plan_rows, routed_widths
from builders.activations.routed import RoutedScratch
from builders.activations.scratch import Scratch
from builders.activations.storage import Storage
from builders.build.product import Place

if TYPE_CHECKING:
    from atlas.store.staging import Staging
    from builders.build.plan import Plan, Reading

MOST_BLOCKS = 64
"""A block is so small a part of a corpus, and at least one batch: what a kill can cost."""


class Block(NamedTuple):
    """The batches from `start` to before `stop`."""

    start: int
    stop: int

    @property
    def name(self) -> str:
        """As a unit, and as a folder."""
        return f"{self.start}-{self.stop}"


@dataclass(frozen=True)
class Blocks:
    """`folder`: scratch files of this corpus; `blocks`: those of the batches that no one process has recorded alone.

    `sites`, `layers`: what is kept of each batch. `storage`: where blocks are; None: in `folder`.
    """

    plan: Plan
    reading: Reading
    folder: Path
    sites: tuple[str, ...]
    layers: tuple[int, ...]
    blocks: tuple[Block, ...]
    storage: Storage | None = None

    @cached_property
    def batches(self) -> list[Batch]:
        """Of the whole corpus."""
        return list(batches(self.reading.encoded, self.plan.config.batch_tokens))

    @cached_property
    def rows(self) -> Rows:
        """The order of the values."""
        reading = self.reading
        labels = reading.corpus.labels
        return plan_rows(reading.encoded, self.batches, labels, reading.position, reading.counted)

    @property
    def scratch(self) -> Scratch:
        """Where one process would have recorded values of every text."""
        return Scratch(self.folder)

    @property
    def routed(self) -> RoutedScratch:
        """Where it would have recorded those of experts."""
        return RoutedScratch(routed_folder(self.folder))

    def texts(self, block: Block) -> int:
        """How many texts a block has."""
        return sum(len(batch.indices) for batch in self.batches[block.start : block.stop])

    def run(self, block: Block) -> None:
        """Run the model over a block and keep what it gives."""
        target = self._of(block)
        if self.storage is None and target.exists():
            return
        part = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
        part.mkdir(parents=True)
        scratch, routed = Scratch(part), RoutedScratch(part)
        passing = Pass(self.plan.live, self.sites, self.layers, self.reading.position, self.reading.counted)
        for index in range(block.start, block.stop):
            passing.run(self.batches[index], index, scratch, routed)
        if self.storage is not None:
            self.storage.put(part, self._far(block))
            shutil.rmtree(part)
            return
        try:
            part.rename(target)
        except OSError:
            if not target.exists():
                raise
            shutil.rmtree(part)  # another process was faster

    def join(self, place: Place) -> None:
        """Put the blocks of a place together, once, whoever asks first and whatever is killed."""
        live, (site, layer) = self.plan.live, place
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(self.folder / f"L{layer}.lock"):
            for (name, _), width in dense_sizes(live, [site], [layer]).items():
                per_row, rows = 4 * width, self.rows.per_batch
                kept = per_row * sum(rows[: self._first])
                due = [per_row * sum(rows[block.start : block.stop]) for block in self.blocks]
                self._append(self.folder, f"{name}.L{layer}.f32", kept=lambda kept=kept: [kept], due=due)
            for _, width in routed_widths(live, [site], [layer]).items():
                folder = routed_folder(self.folder)
                folder.mkdir(parents=True, exist_ok=True)
                names = (f"{site}.L{layer}.routed.f32", f"{site}.L{layer}.routed.i32")
                self._append(folder, *names, kept=partial(self._kept_of_routed, site, layer, width))

    def _kept_of_routed(self, site: str, layer: int, width: int) -> list[int]:
        self.routed.truncate(site, layer, width, self._first)
        names = (f"{site}.L{layer}.routed.f32", f"{site}.L{layer}.routed.i32")
        return [self.routed.folder.joinpath(name).stat().st_size if self._first else 0 for name in names]

    @property
    def _first(self) -> int:
        """How many batches one process has recorded alone."""
        return self.blocks[0].start if self.blocks else len(self.batches)

    def _of(self, block: Block) -> Path:
        return self.folder / "blocks" / block.name

    def _far(self, block: Block) -> str:
        return f"{self.folder.name}/{block.name}"

    def leave(self, place: Place | None = None) -> None:
        """Delete what `join` has put together of a place, or of all, where it can be brought again."""
        if self.storage is not None:
            for folder in (self.folder, routed_folder(self.folder)):
                for file in folder.glob("*.L*.*" if place is None else f"*.L{place.layer}.*"):
                    file.unlink()

    def remove(self) -> None:
        """Delete the blocks that are elsewhere: every place has been read."""
        if self.storage is not None:
            self.storage.remove(self.folder.name)

    def _append(
        self, folder: Path, *names: str, kept: Callable[[], list[int]], due: Sequence[int] | None = None
    ) -> None:
        """The blocks' files of these names after the first `kept` bytes of each; then the blocks' files go.

        `due`: how many bytes each block has, where that is known. Raises BuildError for one that is gone or another.
        """
        mark = folder / f"{names[0]}.joined"
        parts = {name: [self._of(block) / name for block in self.blocks] for name in names}
        if not mark.exists():
            if self.storage is not None:
                self.storage.bring(
                    {f"{self._far(block)}/{name}": self._of(block) / name for block in self.blocks for name in names}
                )
            for part, size in zip(chain(*parts.values()), due or repeat(None), strict=False):
                if not part.is_file() or size not in (None, part.stat().st_size):
                    raise BuildError(f"{part}, which this build has recorded, is gone or damaged", "Use --restart.")
            for name, size in zip(names, kept(), strict=True):
                with open(folder / name, "ab") as whole:
                    whole.truncate(size)
                    for part in parts[name]:
                        with open(part, "rb") as file:
                            shutil.copyfileobj(file, whole, 1 << 24)
            mark.touch()
        for part in chain(*parts.values()):
            part.unlink(missing_ok=True)


def routed_folder(folder: Path) -> Path:
    """Where activations of experts are kept of the corpus of that folder."""
    return folder.with_name(f"{folder.name}.routed")


def divided(
    plan: Plan,
    reading: Reading,
    places: Sequence[Place],
    staging: Staging,
    storage: Storage | None = None,
    *,
    begin: bool,
) -> Blocks | None:
    """The blocks of this build, as decided when they were begun; None where they were not, and are not to `begin`.

    What one process has recorded of the corpus by itself stays as it is: blocks are of the rest; of all where they go
    to a `storage`, which it has not.
    """
    key, folder = f"blocks/{reading.family}", staging.scratch / reading.family
    sites, layers = (tuple(dict.fromkeys(each)) for each in zip(*places, strict=True))
    state = staging.read_state(key)
    if state is None:
        if not begin:
            return None
        whole = Blocks(plan, reading, folder, sites, layers, ())
        finished = json.loads(staging.read_state(f"activations/{reading.family}") or '{"batches": 0}')["batches"]
        if storage is not None or not folder.exists():
            finished = 0  # it was kept in the memory of a device, or on a disk that workers do not see
        size = -(-len(whole.batches) // MOST_BLOCKS)
        ends = [*range(finished + size, len(whole.batches), size), len(whole.batches)]
        state = json.dumps(list(zip([finished, *ends], ends, strict=False)))
        staging.write_state(key, state)
    found = tuple(Block(*each) for each in json.loads(state))
    return Blocks(plan, reading, folder, sites, layers, found, storage)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
