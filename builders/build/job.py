"""A part of a product while it is being made: what comes before its units, which of them are missing, and its end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from atlas.errors import BuildError
from atlas.store.staging import Staging
from builders.build.plan import Plan
from builders.build.product import Part, Product, Tables, Work
from builders.build.runs import begin_run, end_run, forget, step_of

if TYPE_CHECKING:
    from builders.activations.storage import Storage
    from builders.workers.pool import Pool


class Key(NamedTuple):
    """What a part is called among those of all products."""

    product: str
    part: str


class Share(NamedTuple):
    """Part `index`, from 1 on, of `count` parts of the units of every product."""

    index: int
    count: int

    def of(self, units: Sequence[str]) -> list[str]:
        """Neighbouring ones: those of a labelled corpus are of neighbouring layers."""
        start, stop = (len(units) * each // self.count for each in (self.index - 1, self.index))
        return list(units[start:stop])


class Store(Protocol):
    """Where the rows of units go, each with the note that the unit is done."""

    def done(self, step: str) -> set[str]:
        """The units of a product that are there."""

    def commit(self, step: str, unit: str, tables: Tables) -> None:
        """Keep the rows of a unit."""


class Source(Protocol):
    """Where units come from that were made before: the shards of a build."""

    def require(self, parameters: Mapping[str, Any]) -> None:
        """Raise BuildError unless they are of the build of these parameters."""

    def tables(self, key: Key, ids: object, unit: str) -> Tables | None:
        """The rows of a unit of a part with those ids; None for a part that they do not make."""


@dataclass
class Making:
    """How the units of a build are made. `pool`: workers; None: this process. `share`: which of them; None: all.

    `store`: where their rows go; None: the staging area. `source`: where those come from that are made already.
    `storage`: where workers leave activations for each other; None: in the staging area, which all of them see.
    """

    pool: Pool | None = None
    share: Share | None = None
    store: Store | None = None
    source: Source | None = None
    storage: Storage | None = None
    ids: dict[Key, Any] = field(default_factory=dict)
    """Of all parts that have begun."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """(unit, error) of those that could not be made."""

    def is_here(self, product: Product) -> bool:
        """Whether this build makes it: what does not split is made when shards are merged."""
        return self.share is None or product.splits

    def require_all(self) -> None:
        """Raise BuildError if a unit could not be made."""
        if self.failed:
            (unit, error), n = self.failed[0], len(self.failed)
            more = f", and {n - 1} more" if n > 1 else ""
            raise BuildError(
                f"{n} unit{'s' * (n > 1)} failed: {unit}: {error}{more}",
                "What else was made is kept: the same command with --resume tries them again.",
            )


@dataclass(eq=False)
class Job:
    """A part that has begun. `todo`: its units that are not committed yet, in order; `last`: those that come last."""

    plan: Plan
    product: Product
    part: Part
    run_id: int
    units: list[str]
    todo: list[str]
    last: list[str]
    ids: object
    store: Store
    notes: dict[int, list[str]] = field(default_factory=dict, init=False)
    """The last notes of each worker that ever made a unit."""
    failed: bool = field(default=False, init=False)
    """Whether a unit could not be made, so that what follows from all of them cannot either."""
    _work: Work | None = field(default=None, init=False)

    @classmethod
    def begun(cls, plan: Plan, product: Product, part: Part, staging: Staging, making: Making) -> Job:
        """Forget what the part replaces, and write the rows that come before its units: once, whatever is killed."""
        forget(staging, plan, product, part)
        run_id = begin_run(staging, plan, product, part)
        step = f"register/{step_of(product, part)}"
        if not staging.done(step) and (rows := product.register(plan, part, run_id, staging.rows)):
            staging.commit(step, "all", _declared(product, plan, rows))
        ids = product.ids(plan, part, run_id, staging.rows)
        key, units, last = Key(product.name, part.name), product.units(plan, part), product.last_units(plan, part)
        if making.share is not None:
            units, last = making.share.of(units), ()  # the last ones are of all shards
        store = staging if making.store is None else making.store
        done = store.done(product.name)
        todo, last = ([unit for unit in each if unit not in done] for each in (units, last))
        making.ids[key] = ids
        job = cls(plan, product, part, run_id, list(units), todo, last, ids, store)
        if making.source is not None:
            for unit in todo:
                if (rows := making.source.tables(key, ids, unit)) is not None:
                    job.commit(unit, rows)
                    job.todo = job.todo[1:]
        return job

    @property
    def key(self) -> Key:
        """Its name."""
        return Key(self.product.name, self.part.name)

    @property
    def work(self) -> Work:
        """Begun when the first unit is wanted."""
        if self._work is None:
            self._work = self.product.work(self.plan, self.part, self.ids)
        return self._work

    def commit(self, unit: str, rows: Tables) -> None:
        """Keep the rows of a unit."""
        self.store.commit(self.product.name, unit, _declared(self.product, self.plan, rows))

    def end(self, staging: Staging) -> list[str]:
        """Note that the part is finished; its notes for the user."""
        if self.failed:
            return []
        end_run(staging, self.product, self.part, self.run_id)
        return together([*self.notes.values(), *([] if self._work is None else [self._work.notes()])])


def _declared(product: Product, plan: Plan, rows: Tables) -> Tables:
    """The rows; BuildError where a product writes into a table that it has not declared."""
    for table in rows.keys() - {*product.tables(plan.config), *product.passing}:
        raise BuildError(f"the product {product.name} made rows of {table}, which it does not declare")
    return rows


def together(notes: Sequence[Sequence[str]]) -> list[str]:
    """The notes of several processes: each once, where one begins with a number with the sum of all."""
    found: dict[str, int | None] = {}
    for note in [note for each in notes for note in each]:
        number, rest = re.fullmatch(r"(?s)(?:([0-9][0-9,]*) )?(.*)", note).groups()
        before = found.get(rest)
        found[rest] = before if number is None else int(number.replace(",", "")) + (before or 0)
    return [rest if number is None else f"{number:,} {rest}" for rest, number in found.items()]
