"""Which expert a neuron belongs to, in the atlas of a mixture of experts; and what its router does on each concept."""

from __future__ import annotations

from typing import Any, NamedTuple

from atlas.errors import QuestionError
from atlas.sites import format_neuron
from atlas.store.reader import Atlas
from queries.require import require_neuron
from queries.session.session import session_of
from queries.sqlfile import load_sql


class Expert(NamedTuple):
    """A row of the table `expert`, whose names these are."""

    layer: int
    expert: int
    first_neuron: int
    neurons: int
    kind: str


class Experts(dict[int, list[Expert]]):
    """By layer, in the order of the neurons; empty where every layer is one MLP of d_mlp neurons."""

    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""
        return 200 * sum(map(len, self.values()))


def all_experts(atlas: Atlas) -> Experts:
    """The experts of every layer; read once per open atlas."""

    def read() -> Experts:
        found = Experts()
        for row in atlas.query(load_sql("experts"))[1]:
            found.setdefault(row[0], []).append(Expert(*row))
        return found

    return session_of(atlas).read("experts", read)


def expert_of(atlas: Atlas, layer: int, neuron: int) -> Expert | None:
    """The expert of an MLP neuron; None in the atlas of a model without any.

    Raises QuestionError for a neuron that the model, or its layer, does not have.
    """
    require_neuron(atlas, layer, neuron, atlas.manifest.d_mlp)
    experts = all_experts(atlas).get(layer)
    if experts is None:
        return None
    for expert in experts:
        if neuron < expert.first_neuron + expert.neurons:
            return expert
    last = experts[-1].first_neuron + experts[-1].neurons - 1
    raise QuestionError(
        f"there is no {format_neuron(layer, neuron)} in {atlas.manifest.model_id}",
        f"Neurons of layer {layer} run from 0 to {last}.",
    )


def expert_fields(atlas: Atlas, layer: int, neuron: int) -> dict[str, Any]:
    """Where a neuron of a mixture of experts is, as fields of a document; nothing of other models."""
    found = expert_of(atlas, layer, neuron)
    if found is None:
        return {}
    return {"expert": found.expert, "kind": found.kind, "unit": neuron - found.first_neuron}
