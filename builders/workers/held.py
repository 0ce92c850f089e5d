"""What a worker holds: the model, the plan, and what it has begun."""

from __future__ import annotations

import pickle
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from atlas.errors import AtlasError, BuildError
from builders.activations.blocks import Blocks
from builders.activations.reader import ActivationReader, reader_of
from builders.build.job import Key
from builders.build.passing import Passing, no_place
from builders.build.plan import Plan
from builders.build.product import Needs, Part, Product, Work
from builders.build.products import product
from builders.workers.task import Answer, Setup, Task


class Held:
    """Makes units as the process would that asks for them: of the same model, texts and ids.

    Raises BuildError for another model than that process has, and what loading it raises.
    """

    def __init__(self, setup: Setup) -> None:
        from atlas.live.loading import load

        if setup.threads is not None:
            torch.set_num_threads(setup.threads)
        plan: Plan = pickle.loads(setup.plan)
        how: dict[str, Any] = {"device": setup.device, "dtype": setup.dtype, "weights_only": setup.weights_only}
        if plan.config.tower is not None:
            named = plan.config.word_list is not None
            how |= {"tower": plan.config.tower, "words": [name for _, name in plan.tokens] if named else ()}
        live = load(plan.config.model, **how)
        if live.images is not None:
            live.images.add(plan.image_files)
        if live.fingerprint != setup.fingerprint:
            raise BuildError(f"{plan.config.model} is another model where this worker runs")
        self._plan, self._storage = replace(plan, live=live), setup.storage
        self._own = tempfile.TemporaryDirectory(prefix="neuron-atlas-") if setup.scratch is None else None
        self._scratch = setup.scratch or Path(self._own.name)
        self._told: dict[object, Any] = {}
        self._works: dict[Key, Work] = {}
        self._readers: dict[str, tuple[Blocks, ActivationReader]] = {}
        """Of the corpus that tasks are about."""

    def tell(self, topic: object, value: Any) -> None:
        """What tasks need to know: the ids of a part by its Key, or (sites, layers, blocks) by the name of a corpus."""
        self._told[topic] = value
        if isinstance(topic, str):
            reading = next(each for each in self._plan.readings if each.family == topic)
            blocks = Blocks(self._plan, reading, self._scratch / topic, *value, self._storage)
            for before, _ in self._readers.values():
                before.leave()
            self._readers = {topic: (blocks, reader_of(blocks))}

    def run(self, task: Task, passing: Passing | None = None) -> Answer:
        """`passing`: the rows that a unit is made of that comes last. Raises what the units raise."""
        begun = time.monotonic()
        if task.block is not None:
            self._readers[task.family][0].run(task.block)
            return Answer(seconds=time.monotonic() - begun)
        works = [self._work(key) for key, _ in task.units]
        if task.last:
            # What it brings of places stays: the other last units of the corpus read mostly the same.
            read = self._readers[task.family][1].read if task.family else no_place
            tables = [work.run_last(unit, passing, read) for work, (_, unit) in zip(works, task.units, strict=True)]
        elif task.place is None:
            tables = [work.run(unit) for work, (_, unit) in zip(works, task.units, strict=True)]
        else:
            blocks, reader = self._readers[task.family]
            activations = reader.read(task.place)
            tables = [work.run(unit, activations) for work, (_, unit) in zip(works, task.units, strict=True)]
            blocks.leave(task.place)
        return Answer(tables, [work.notes() for work in works], time.monotonic() - begun)

    def _work(self, key: Key) -> Work:
        if key not in self._works:
            made, part = self._part(key)
            # Products are made one after the other, those that read activations together: what another holds can go.
            together = made.needs is Needs.ACTIVATIONS
            self._works = {
                each: work
                for each, work in self._works.items()
                if each.product == made.name or (together and product(each.product).needs is made.needs)
            }
            self._works[key] = made.work(self._plan, part, self._told[key])
        return self._works[key]

    def _part(self, key: Key) -> tuple[Product, Part]:
        made = product(key.product)
        return made, next(part for part in made.parts(self._plan) if part.name == key.part)


def said(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, AtlasError):
        return str(error)
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
