"""Two products as somebody would add them: one over weights, one that shares the reading of activations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from atlas.schema.table import FIT, WEIGHT, Column, Table
from atlas.schema.tables import TABLES
from builders.build import products
from builders.build.plan import Plan
from builders.build.product import Activations, Ask, Needs, Part, Product, Replaced, Tables, Work, place_of
from builders.config import BuildConfig

NORMS = Table(
    "_toy_norm",
    WEIGHT,
    (
        Column("weight", "weight_t"),
        Column("layer", "INTEGER"),
        Column("neuron", "INTEGER"),
        Column("largest", "FLOAT", "largest absolute weight"),
    ),
    key=("weight", "layer", "neuron"),
    later=True,
)
TOTALS = Table(
    "_toy_total",
    FIT,
    (
        Column("fit_id", "INTEGER"),
        Column("concept_id", "INTEGER"),
        Column("layer", "INTEGER"),
        Column("neuron", "INTEGER"),
        Column("total", "DOUBLE", "sum of the concept's activations", "activation"),
        Column("texts", "INTEGER", "different texts among its examples"),
    ),
    key=("fit_id", "layer", "concept_id", "neuron"),
    waiting=True,
    complete=True,
    later=True,
    view="concept_gaussian",
)
RUNS: Counter[str] = Counter()
"""How often each unit was computed."""
SEEN: list[Activations] = []
"""What the second was given."""


class Norms(Product):
    """Of the up-projection only."""

    name, needs, label = "norms", Needs.WEIGHTS, "norms"

    def wanted(self, config: BuildConfig) -> bool:
        return True

    def tables(self, config: BuildConfig) -> Sequence[str]:
        return ("_toy_norm",)

    def parts(self, plan: Plan) -> list[Part]:
        return [Part("", {"weight": "up_proj"})]

    def units(self, plan: Plan, part: Part) -> list[str]:
        return [f"up_proj/{layer}" for layer in range(plan.live.n_layers)]

    def replaces(self, plan: Plan, part: Part, ask: Ask) -> list[Replaced]:
        return [Replaced(WEIGHT, ["up_proj"])]

    def work(self, plan: Plan, part: Part, ids: Any) -> Work:
        return NormsOf(plan)


class NormsOf(Work):
    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def run(self, unit: str, activations: Activations | None = None) -> Tables:
        RUNS[f"norms {unit}"] += 1
        assert activations is None
        layer = int(unit.partition("/")[2])
        largest = self.plan.live.weight("up_proj", layer).abs().amax(1).numpy()
        place = {"weight": ["up_proj"] * len(largest), "layer": [layer] * len(largest)}
        return {"_toy_norm": pa.table({**place, "neuron": np.arange(len(largest)), "largest": largest})}

    def notes(self) -> list[str]:
        return ["the norms are there"]


class Totals(Product):
    """About the fits of another product, in this build or an earlier one."""

    name, needs, label = "totals", Needs.ACTIVATIONS, "totals"

    def wanted(self, config: BuildConfig) -> bool:
        return bool(config.concepts)

    def tables(self, config: BuildConfig) -> Sequence[str]:
        return ("_toy_total",)

    def parts(self, plan: Plan) -> list[Part]:
        return [Part(reading.family, {"family": reading.family}, reading) for reading in plan.readings]

    def units(self, plan: Plan, part: Part) -> list[str]:
        return [f"{part.name}/{site}/{layer}" for site in plan.config.sites for layer in plan.layers]

    def replaces(self, plan: Plan, part: Part, ask: Ask) -> list[Replaced]:
        return [Replaced(FIT, list(self._fits(part, ask).values()))]

    def ids(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> Any:
        concepts = ask("SELECT concept_id FROM concept WHERE family = ? ORDER BY concept_id", [part.name])
        return {"fits": self._fits(part, ask), "concepts": [concept_id for (concept_id,) in concepts]}

    def _fits(self, part: Part, ask: Ask) -> dict[str, int]:
        corpus = part.reading.corpus
        sql = "SELECT site, fit_id FROM fit WHERE family = ? AND position = ? AND corpus_sha256 = ?"
        return dict(ask(sql, [corpus.family, part.reading.position, corpus.sha256]))

    def at_once(self, plan: Plan, part: Part) -> int:
        return 2

    def work(self, plan: Plan, part: Part, ids: Any) -> Work:
        return TotalsOf(ids)


class TotalsOf(Work):
    def __init__(self, ids: Any) -> None:
        self.ids = ids

    def run(self, unit: str, activations: Activations | None = None) -> Tables:
        RUNS[f"totals {unit}"] += 1
        assert activations.place == place_of(unit)
        SEEN.append(activations)
        acts_EN = np.asarray(activations.acts_EN, np.float64)
        rows = []
        for label, concept_id in enumerate(self.ids["concepts"]):
            own_E = activations.labels_E == label
            texts = len(set(activations.hashes_E[own_E].tolist()))
            rows += [
                {
                    "fit_id": self.ids["fits"][activations.place.site],
                    "concept_id": concept_id,
                    "layer": activations.place.layer,
                    "neuron": neuron,
                    "total": total,
                    "texts": texts,
                }
                for neuron, total in enumerate(acts_EN[own_E].sum(0))
            ]
        return {"_toy_total": pa.Table.from_pylist(rows)}


NORMS_PRODUCT, TOTALS_PRODUCT = Norms(), Totals()
TOYS = {"norms": f"{__name__}:NORMS_PRODUCT", "totals": f"{__name__}:TOTALS_PRODUCT"}


@contextmanager
def registered(*, toys: bool = True, others: bool = True) -> Iterator[None]:
    """The toys' tables, and in the table of products the toys, the others or both, for a while."""
    RUNS.clear()
    SEEN.clear()
    with pytest.MonkeyPatch.context() as patch:
        for table in (NORMS, TOTALS):
            patch.setitem(TABLES, table.name, table)
        patch.setattr(products, "PRODUCTS", {**(products.PRODUCTS if others else {}), **(TOYS if toys else {})})
        yield
