"""The loop over products, their parts and units: what is missing is computed and committed, unit by unit.

It knows no product. Products that read the activations of the same corpus are driven together, so that they share the
forward pass and each place is read once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from atlas.errors import BuildError
from atlas.store.staging import Staging
from builders.build.plan import Plan, Reading
from builders.build.product import Activations, Needs, Part, Place, Product, Tables, Work, place_of
from builders.build.runs import begin_run, end_run, forget, step_of
from builders.progress import Silent

S, T = TypeVar("S"), TypeVar("T")


def make(plan: Plan, products: Sequence[Product], staging: Staging, progress: Silent) -> list[str]:
    """Make what is missing of every product into the staging area. Returns notes for the user."""
    notes = []
    for needs in Needs:
        parts = [(each, part) for each in products if each.needs is needs for part in each.parts(plan)]
        if needs is Needs.ACTIVATIONS:
            for product in {product for product, part in parts if part.reading not in plan.readings}:
                raise BuildError(f"the product {product.name} needs activations and names no corpus of this build")
            for reading in plan.readings:
                same = [(product, part) for product, part in parts if part.reading is reading]
                notes += _together(plan, reading, same, staging, progress)
            continue
        for product, part in parts:
            notes += _alone(plan, product, part, staging, progress)
    return notes


@dataclass
class _Job:
    """A part that has begun. `todo`: its units that are not committed yet, in order; `last`: those that come last."""

    plan: Plan
    product: Product
    part: Part
    run_id: int
    units: list[str]
    todo: list[str]
    last: list[str]
    ids: object
    _work: Work | None = field(default=None, init=False)

    @classmethod
    def begun(cls, plan: Plan, product: Product, part: Part, staging: Staging) -> _Job:
        """Forget what the part replaces, and write the rows that come before its units: once, whatever is killed."""
        forget(staging, plan, product, part)
        run_id = begin_run(staging, plan, product, part)
        step = f"register/{step_of(product, part)}"
        if not staging.done(step) and (rows := product.register(plan, part, run_id, staging.rows)):
            staging.commit(step, "all", _declared(product, plan, rows))
        ids = product.ids(plan, part, run_id, staging.rows)
        units, done = product.units(plan, part), staging.done(product.name)
        todo, last = ([unit for unit in each if unit not in done] for each in (units, product.last_units(plan, part)))
        return cls(plan, product, part, run_id, units, todo, last, ids)

    @property
    def work(self) -> Work:
        """Begun when the first unit is wanted."""
        if self._work is None:
            self._work = self.product.work(self.plan, self.part, self.ids)
        return self._work

    def commit(self, staging: Staging, unit: str, rows: Tables) -> None:
        """Keep the rows of a unit."""
        staging.commit(self.product.name, unit, _declared(self.product, self.plan, rows))

    def end(self, staging: Staging) -> list[str]:
        """Note that the part is finished; its notes for the user."""
        end_run(staging, self.product, self.part, self.run_id)
        return [] if self._work is None else self._work.notes()


def _alone(plan: Plan, product: Product, part: Part, staging: Staging, progress: Silent) -> list[str]:
    job = _Job.begun(plan, product, part, staging)
    with progress.task(f"{product.label} of {part.name}" if part.name else product.label, len(job.units)) as advance:
        advance(len(job.units) - len(job.todo))
        if job.todo:
            found = _computed(job.work.run, job.todo, product.at_once(plan, part))
            for unit, rows in zip(job.todo, found, strict=True):
                job.commit(staging, unit, rows)
                advance(1)
    if job.last:
        with progress.task(f"{product.label}, the end", len(job.last)) as advance:
            for unit in job.last:
                job.commit(staging, unit, job.work.run_last(unit, staging.noted, _no_place))
                advance(1)
    return job.end(staging)


def _no_place(place: Place) -> Activations:
    raise BuildError(f"activations of {place.site} of layer {place.layer} are not kept, as no labelled corpus is read")


def _together(
    plan: Plan, reading: Reading, parts: Sequence[tuple[Product, Part]], staging: Staging, progress: Silent
) -> list[str]:
    """The same for all parts that read one corpus, place by place."""
    jobs = [_Job.begun(plan, product, part, staging) for product, part in parts]
    todo: dict[Place, list[tuple[_Job, str]]] = {}
    for job in jobs:
        for unit in job.todo:
            todo.setdefault(place_of(unit), []).append((job, unit))
    if any(job.todo or job.last for job in jobs):
        from builders.activations.reader import open_reader  # torch: only now

        every = [place_of(unit) for job in jobs for unit in job.units]
        reader = open_reader(plan, reading, every, staging, progress)
        works = {id(job): job.work for job in jobs if job.todo}  # begun here, not by several threads

        def compute(place: Place) -> list[Tables]:
            activations = reader.read(place)
            return [works[id(job)].run(unit, activations) for job, unit in todo[place]]

        n_threads = min((job.product.at_once(plan, job.part) for job in jobs if job.todo), default=0)
        label = " and ".join(dict.fromkeys(job.product.label for job in jobs))
        with progress.task(f"{label} of {reading.family}", sum(len(job.units) for job in jobs)) as advance:
            advance(sum(len(job.units) - len(job.todo) for job in jobs))
            for place, found in zip(todo, _computed(compute, todo, n_threads), strict=True):
                for (job, unit), rows in zip(todo[place], found, strict=True):
                    job.commit(staging, unit, rows)
                    advance(1)
        for job in [job for job in jobs if job.last]:
            with progress.task(f"{job.product.label} of {reading.family}, the end", len(job.last)) as advance:
                for unit in job.last:
                    job.commit(staging, unit, job.work.run_last(unit, staging.noted, reader.read))
                    advance(1)
        reader.remove()
    return [note for job in jobs for note in job.end(staging)]


def _computed(work: Callable[[S], T], units: Iterable[S], n_threads: int) -> Iterator[T]:
    """work(unit) of every unit, in order; by so many threads beside the caller, or by the caller."""
    if not n_threads:
        return map(work, units)
    from builders.threads import in_order

    return in_order(work, units, n_threads)


def _declared(product: Product, plan: Plan, rows: Tables) -> Tables:
    """The rows; BuildError where a product writes into a table that it has not declared."""
    for table in rows.keys() - {*product.tables(plan.config), *product.passing}:
        raise BuildError(f"the product {product.name} made rows of {table}, which it does not declare")
    return rows
