"""The units of a part that come last: made when all others are there, by this process or by workers.

They are made of rows that the others have noted, and each is given those that it says it is made of. Those that are
made of what other last units note wait for these; all others are made in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from atlas.store.staging import Staging
from builders.build.by_workers import compute_last
from builders.build.job import Job, Making
from builders.build.passing import Passing
from builders.build.product import Activations, Basis, Place
from builders.progress import Silent

Group = dict[str, Basis]
"""Units that do not wait for each other, with what each is made of."""


def make_last(
    job: Job,
    staging: Staging,
    making: Making,
    progress: Silent,
    read: Callable[[Place], Activations],
    family: str = "",
) -> None:
    """Make and commit what is missing of them, unless a unit of the part has failed.

    `read`: the activations of a place of the corpus `family`, which workers read themselves.
    """
    if not job.last or job.failed:
        return
    label = f"{job.product.label} of {family}" if family else job.product.label
    with progress.task(f"{label}, the end", len(job.last)) as advance:
        for group in groups(job):
            files = {table: [path.absolute() for path in staging.waiting(table)] for table in job.product.passing}
            passing = {unit: Passing(basis, files) for unit, basis in group.items()}
            if making.pool is not None and job.product.splits:
                compute_last(job, passing, making, advance, family)
            else:
                for unit, noted in passing.items():
                    job.commit(unit, job.work.run_last(unit, noted, read))
                    advance(1)
            if job.failed:
                return  # those that follow are made of it


def groups(job: Job) -> Iterator[Group]:
    """The last units that are missing, in their order: one that is made of what those before it note begins a group."""
    group: Group = {}
    for unit in job.last:
        basis = job.product.basis(job.plan, job.part, job.ids, unit)
        if basis.after and group:
            yield group
            group = {}
        group[unit] = basis
    yield group
