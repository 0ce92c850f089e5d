"""A product over weights, with a public table: the largest weight of each neuron."""

from atlas.schema.table import WEIGHT, Column, Table
from builders.build.product import Needs, Part, Product, Replaced, Work

TABLE = Table(
    "loudest_weight",
    WEIGHT,
    (
        Column("weight", "weight_t", "always up_proj"),
        Column("layer", "INTEGER"),
        Column("neuron", "INTEGER"),
        Column("largest", "FLOAT", "its largest absolute weight"),
    ),
    key=("weight", "layer", "neuron"),
    meaning="One row per neuron.",
    later=True,
)


class Loudest(Product):
    name, needs, label = "loudest", Needs.WEIGHTS, "largest weights"

    def wanted(self, config):
        return True

    def tables(self, config):
        return (TABLE.name,)

    def parts(self, plan):
        return [Part("", {"weight": "up_proj"})]

    def units(self, plan, part):
        return [f"up_proj/{layer}" for layer in range(plan.live.n_layers)]

    def replaces(self, plan, part, ask):
        return [Replaced(WEIGHT, ["up_proj"])]

    def work(self, plan, part, ids):
        return LoudestOf(plan)


class LoudestOf(Work):
    def __init__(self, plan):
        self.plan = plan

    def run(self, unit, activations=None):
        import numpy as np
        import pyarrow as pa

        layer = int(unit.partition("/")[2])
        largest = self.plan.live.weight("up_proj", layer).abs().amax(1).numpy()
        place = {"weight": ["up_proj"] * len(largest), "layer": [layer] * len(largest)}
        return {TABLE.name: pa.table({**place, "neuron": np.arange(len(largest)), "largest": largest})}


PRODUCT = Loudest()
