"""The loop over products, their parts and units: what is missing is computed and committed, unit by unit.

It knows no product. Products that read the activations of the same corpus are driven together, so that they share the
forward pass and each place is read once for all of them. Units are computed here or by workers
(builders/build/by_workers.py); those that come last by builders/build/last.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from atlas.errors import BuildError
from atlas.store.staging import Staging
from builders.build.by_workers import compute_alone, compute_together, record_blocks
from builders.build.job import Job, Making
from builders.build.last import make_last
from builders.build.passing import no_place
from builders.build.plan import Plan, Reading
from builders.build.product import Needs, Place, Product, Tables, place_of
from builders.progress import Silent

S, T = TypeVar("S"), TypeVar("T")


def make(
    plan: Plan, products: Sequence[Product], staging: Staging, progress: Silent, making: Making | None = None
) -> list[str]:
    """Make what is missing of every product into the staging area. Returns notes for the user.

    Raises BuildError where units could not be made; what does not follow from them is.
    """
    notes, making = [], making or Making()
    for needs in Needs:
        if needs is Needs.ROWS:
            making.require_all()
        these = [product for product in products if product.needs is needs and making.is_here(product)]
        parts = [(each, part) for each in these for part in each.parts(plan)]
        if needs is Needs.ACTIVATIONS:
            for product in {product for product, part in parts if part.reading not in plan.readings}:
                raise BuildError(f"the product {product.name} needs activations and names no corpus of this build")
            for reading in plan.readings:
                same = [(product, part) for product, part in parts if part.reading is reading]
                jobs = [Job.begun(plan, product, part, staging, making) for product, part in same]
                notes += _together(plan, reading, jobs, staging, making, progress)
            continue
        for product, part in parts:
            notes += _alone(Job.begun(plan, product, part, staging, making), staging, making, progress)
    making.require_all()
    return notes


def _alone(job: Job, staging: Staging, making: Making, progress: Silent) -> list[str]:
    product, part = job.product, job.part
    with progress.task(f"{product.label} of {part.name}" if part.name else product.label, len(job.units)) as advance:
        advance(len(job.units) - len(job.todo))
        if job.todo and making.pool is not None and product.splits:
            compute_alone(job, making, advance)
        elif job.todo:
            found = _computed(job.work.run, job.todo, product.at_once(job.plan, part))
            for unit, rows in zip(job.todo, found, strict=True):
                job.commit(unit, rows)
                advance(1)
    make_last(job, staging, making, progress, no_place)
    return job.end(staging)


def _together(
    plan: Plan, reading: Reading, jobs: Sequence[Job], staging: Staging, making: Making, progress: Silent
) -> list[str]:
    """The same for all parts that read one corpus, place by place."""
    todo: dict[Place, list[tuple[Job, str]]] = {}
    for job in jobs:
        for unit in job.todo:
            todo.setdefault(place_of(unit), []).append((job, unit))
    if any(job.todo or job.last for job in jobs):
        from builders.activations.reader import open_reader, reader_of  # torch: only now

        every = [place_of(unit) for job in jobs for unit in job.units]
        blocks = record_blocks(reading, jobs, staging, making, progress)
        if blocks is None and any(job.failed for job in jobs):
            return []
        reader = open_reader(plan, reading, every, staging, progress) if blocks is None else reader_of(blocks)
        label = " and ".join(dict.fromkeys(job.product.label for job in jobs))
        with progress.task(f"{label} of {reading.family}", sum(len(job.units) for job in jobs)) as advance:
            advance(sum(len(job.units) - len(job.todo) for job in jobs))
            if making.pool is not None and blocks is not None:
                compute_together(todo, blocks, making, advance)
            else:
                works = {id(job): job.work for job in jobs if job.todo}  # begun here, not by several threads

                def compute(place: Place) -> list[Tables]:
                    activations = reader.read(place)
                    return [works[id(job)].run(unit, activations) for job, unit in todo[place]]

                n_threads = min((job.product.at_once(plan, job.part) for job in jobs if job.todo), default=0)
                for place, found in zip(todo, _computed(compute, todo, n_threads), strict=True):
                    for (job, unit), rows in zip(todo[place], found, strict=True):
                        job.commit(unit, rows)
                        advance(1)
        for job in jobs:
            make_last(job, staging, making, progress, reader.read, reading.family)
        if not any(job.failed for job in jobs):
            reader.remove()
    return [note for job in jobs for note in job.end(staging)]


def _computed(work: Callable[[S], T], units: Iterable[S], n_threads: int) -> Iterator[T]:
    """work(unit) of every unit, in order; by so many threads beside the caller, or by the caller."""
    if not n_threads:
        return map(work, units)
    from builders.threads import in_order

    return in_order(work, units, n_threads)
