"""Units that workers compute: asked for, and kept as they come, in their order where none is late."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from atlas.store.staging import Staging
from builders.build.job import Job, Making
from builders.build.plan import Reading
from builders.build.product import Place, place_of
from builders.progress import Silent

if TYPE_CHECKING:
    from builders.activations.blocks import Blocks
    from builders.build.passing import Passing
    from builders.workers.pool import Pool
    from builders.workers.task import Answer, Failure, Task

Advance = Callable[[int], None]


def compute_alone(job: Job, making: Making, advance: Advance) -> None:
    """The units of a part that needs no labelled corpus."""
    from builders.workers.task import Task

    pool = _pool(making)
    pool.tell(job.key, job.ids)
    tasks = {Task(f"{job.product.name} {unit}", ((job.key, unit),)): [(job, unit)] for unit in job.todo}
    _keep(pool, tasks, making, advance)


def compute_together(
    todo: dict[Place, list[tuple[Job, str]]], blocks: Blocks, making: Making, advance: Advance
) -> None:
    """The units of all parts that read one corpus: a task is all of a place."""
    from builders.workers.task import Task

    pool = _pool(making)
    for job in dict.fromkeys(job for units in todo.values() for job, _ in units):
        pool.tell(job.key, job.ids)
    tasks = {}
    for place, units in todo.items():
        family = blocks.reading.family
        keys = tuple((job.key, unit) for job, unit in units)
        tasks[Task(f"{family}/{place.site}/{place.layer}", keys, family, place)] = units
    _keep(pool, tasks, making, advance)


def compute_last(job: Job, passing: Mapping[str, Passing], making: Making, advance: Advance, family: str) -> None:
    """Units that come last and do not wait for each other. `family`: the corpus whose places they read; '' for none.

    Workers that share a disk with this process read there what each is made of. To others the rows are sent, when it
    is their turn: no more of them are in memory than workers have tasks.
    """
    from builders.workers.task import Task

    pool = _pool(making)
    pool.tell(job.key, job.ids)
    tasks = {
        Task(f"{job.product.name} {unit}", ((job.key, unit),), family, last=True): [(job, unit)] for unit in passing
    }

    def beside(task: Task) -> Passing:
        ((_, unit),) = task.units
        return passing[unit] if making.storage is None else passing[unit].brought()

    _keep(pool, tasks, making, advance, beside)


def record_blocks(
    reading: Reading, jobs: Sequence[Job], staging: Staging, making: Making, progress: Silent
) -> Blocks | None:
    """The forward pass over a corpus by workers; or by this process, where workers had begun it.

    None: it is neither, or a part of it failed, and with it all jobs.
    """
    from builders.activations.blocks import divided  # torch: only now
    from builders.activations.record import dense_sizes
    from builders.workers.task import Failure, Task

    plan, places = jobs[0].plan, [place_of(unit) for job in jobs for unit in job.units]
    blocks = divided(plan, reading, places, staging, making.storage, begin=making.pool is not None)
    if blocks is None:
        return None
    family, step = reading.family, f"blocks/{reading.family}"
    if blocks.storage is None:
        blocks.scratch.prepare(dense_sizes(plan.live, blocks.sites, blocks.layers), len(blocks.rows.labels_R))
    done = staging.done(step)
    missing = [block for block in blocks.blocks if block.name not in done]
    if making.pool is not None:
        making.pool.tell(family, (blocks.sites, blocks.layers, blocks.blocks))
    with progress.task(f"activations of {family}", len(reading.encoded)) as advance:
        advance(len(reading.encoded) - sum(map(blocks.texts, missing)))
        if making.pool is None:
            for block in missing:
                blocks.run(block)
                staging.commit(step, block.name, {})
                advance(blocks.texts(block))
            return blocks
        tasks = {Task(f"{family}, batches {block.name}", family=family, block=block): block for block in missing}
        for task, answer, _ in making.pool.compute(list(tasks)):
            if isinstance(answer, Failure):
                making.failed.append((task.name, answer.error))
                for job in jobs:
                    job.failed = True
                continue
            staging.commit(step, tasks[task].name, {})
            advance(blocks.texts(tasks[task]))
    return None if any(job.failed for job in jobs) else blocks


def _keep(
    pool: Pool,
    tasks: dict[Task, list[tuple[Job, str]]],
    making: Making,
    advance: Advance,
    beside: Callable[[Task], object] | None = None,
) -> None:
    from builders.workers.task import Failure

    for task, answer, process in _in_order(pool.compute(list(tasks), beside), list(tasks), 4 * pool.n_workers):
        if isinstance(answer, Failure):
            for job, unit in tasks[task]:
                job.failed = True
                making.failed.append((f"{job.product.name} {unit}", answer.error))
            continue
        found = zip(tasks[task], answer.tables, answer.notes, strict=True)
        for (job, unit), rows, notes in found:
            job.commit(unit, rows)
            job.notes[process] = notes
            advance(1)


def _in_order(
    answers: Iterator[tuple[Task, Answer | Failure, int]], tasks: Sequence[Task], most: int
) -> Iterator[tuple[Task, Answer | Failure, int]]:
    """Answers in the order of the tasks, so that nothing has to be sorted at the end; an early one waits for at most
    `most` others."""
    early: dict[Task, tuple[Task, Answer | Failure, int]] = {}
    places, given, turn = {task: index for index, task in enumerate(tasks)}, set(), 0
    for found in answers:
        early[found[0]] = found
        while early and (tasks[turn] in early or len(early) > most):
            task = tasks[turn] if tasks[turn] in early else min(early, key=places.__getitem__)
            given.add(task)
            yield early.pop(task)
            while turn < len(tasks) and tasks[turn] in given:
                turn += 1


def _pool(making: Making) -> Pool:
    assert making.pool is not None
    return making.pool
