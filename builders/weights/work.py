"""Computes the facts of weights, a layer at a time; the nearest neurons a weight at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from atlas.live.head import linear_map, mean_state
from builders.build.product import Activations, Tables, Work
from builders.decoding.cosines import cosines_of
from builders.decoding.decode import finite_unembedding, require_finite
from builders.decoding.rows import weight_fact_rows
from builders.decoding.topk.chunked import look_at_all
from builders.threads import threads_of
from builders.weights import random_vectors
from builders.weights.frequency import counts_in_texts, no_frequency, token_frequency
from builders.weights.io_class import cosines, io_classes
from builders.weights.nearest import find_nearest
from builders.weights.redundant import REDUNDANT, Groups
from builders.weights.rows import nearest_rows, neuron_fact_rows, redundant_rows, run_row
from builders.weights.unembedding import Unembedding
from builders.weights.vectors import Vectors

if TYPE_CHECKING:
    from builders.build.plan import Plan

IN, GATE, OUT = "up_proj", "gate_proj", "down_proj"


_AT_ONCE = 2
"""Units, each by its share of the threads: what is done with products of layers cannot be divided."""


def at_once(plan: Plan) -> int:
    """How many threads make a unit each; 0: unit after unit, each by all threads."""
    live = plan.live
    vectors_bytes = 4 * live.n_layers * live.d_mlp * live.d_model  # of a weight, in float32
    return _AT_ONCE if threads_of(live.device) >= _AT_ONCE and vectors_bytes <= plan.config.memory // 16 else 0


class Weigher(Work):
    """Units RANDOM, FACTS/LAYER, COSINES/WEIGHT/LAYER and NEAREST/WEIGHT, as the product names them.

    Works on about half of the memory that the options allow, beside the model and a float32 copy of the unembedding.
    """

    RANDOM, FACTS, COSINES, NEAREST = "random", "facts", "cosines", "nearest"

    def __init__(self, plan: Plan, run_id: int, neighbours: int) -> None:
        self._live, self._config = plan.live, plan.config
        self._run_id, self._neighbours = run_id, neighbours
        self._tokens = plan.live.gives_tokens  # else there is nothing to measure against: labels are no vocabulary
        self._u_VE = finite_unembedding(plan) if plan.live.head_kind != "none" else self._nothing()
        self._gain_D = plan.live.final_norm_gain().float() if plan.config.mode == "folded" else None
        linearised = plan.config.mode == "linearised"
        self._map_ED = linear_map(plan.live, mean_state(plan.live)) if linearised else None
        self._frequency = token_frequency(plan, counts_in_texts(plan)) if self._tokens else no_frequency()
        self._unembedding = Unembedding(self._u_VE, self._gain_D, self._frequency, self._map_ED)
        self._cosines = cosines_of(plan.live, self._u_VE)
        self._gates = GATE in plan.live.weights()

    def run(self, unit: str, activations: Activations | None = None) -> Tables:
        """The rows of one unit. Raises BuildError for a weight that is not finite."""
        kind, *names = unit.split("/")
        if kind == self.RANDOM:
            return {"weight_run": self._random()}
        if kind == self.FACTS:
            return {"_neuron_fact": self._facts(int(names[0]))}
        if kind == self.COSINES:
            weight, layer = names[0], int(names[1])
            w_ND = self._vectors(weight, layer)
            moments_N4 = self._moments(w_ND).cpu().numpy()
            return {"_weight_fact": weight_fact_rows(weight, layer, w_ND.cpu().numpy(), moments_N4)}
        return self._nearest(names[0])

    def notes(self) -> list[str]:
        """That nothing was compared, where layers are missing or too many neurons are there."""
        if self._live.layers_differ:
            return [f"no nearest neurons and redundant groups: {self._live.model_id} is a mixture of experts"]
        if self._config.layers is None or not self._config.neighbours:
            return []
        return ["nearest neurons and redundant groups compare all layers, so a build with --layers makes none"]

    def _nothing(self) -> torch.Tensor:
        """[0, D]: the rows of no unembedding."""
        return torch.empty((0, self._live.d_model), device=self._live.device)

    def _vectors(self, weight: str, layer: int) -> torch.Tensor:
        w_ND = self._live.weight(weight, layer).detach().float().contiguous()
        require_finite(weight, layer, w_ND)
        return w_ND

    def _moments(self, w_ND: torch.Tensor) -> torch.Tensor:
        """[N, 4] of the cosines that are decoded: of vectors with the gain or through the map of their mode."""
        parts: list[torch.Tensor] = []
        vectors_NE = w_ND if self._gain_D is None else w_ND * self._gain_D
        if self._map_ED is not None:
            vectors_NE = (vectors_NE.double() @ self._map_ED.T).float()
        if not self._tokens:
            return self._cosines.moments(vectors_NE, vectors_NE)
        look_at_all(
            vectors_NE,
            self._u_VE,
            self._config.memory // 8,
            lambda w_nE, logits_nV: parts.append(self._cosines.moments(w_nE, logits_nV)),
        )
        return torch.cat(parts)

    def _facts(self, layer: int) -> object:
        written_ND, read_ND = self._vectors(OUT, layer), self._vectors(IN, layer)
        gate_ND = self._vectors(GATE, layer) if self._gates else None
        in_out_N = cosines(read_ND, written_ND)
        gate_out_N = None if gate_ND is None else cosines(gate_ND, written_ND)
        gate_in_N = None if gate_ND is None else cosines(gate_ND, read_ND)
        numbers = {
            "cos_in_out": in_out_N,
            "cos_gate_out": gate_out_N,
            "cos_gate_in": gate_in_N,
            "null_share": self._unembedding.null_share(written_ND).cpu().numpy() if self._tokens else None,
            "frequency_correlation": self._unembedding.frequency_correlation(written_ND).cpu().numpy(),
        }
        return neuron_fact_rows(layer, io_classes(in_out_N, gate_out_N, gate_in_N), numbers, len(read_ND))

    def _random(self) -> object:
        d_model = self._live.d_model
        random_RD = random_vectors.drawn(d_model, self._u_VE.device)
        frequent_R = self._unembedding.frequency_correlation(random_RD).abs()
        return run_row(
            self._unembedding.singular_D.cpu().numpy(),
            run_id=self._run_id,
            mode=self._config.mode,
            null_directions=self._unembedding.null_directions,
            frequency_source=self._frequency.source,
            frequency_tokens=len(self._frequency.token_S),
            random_vectors=random_vectors.N_RANDOM,
            random_cosine_95=random_vectors.cosine_quantile(d_model),
            random_kurtosis_95=random_vectors.quantile(self._moments(random_RD)[:, 3].cpu().numpy()),
            random_null_share_95=random_vectors.share_quantile(self._unembedding.null_directions, d_model),
            random_frequency_95=random_vectors.quantile(frequent_R.cpu().numpy()),
            neighbours=self._neighbours,
            redundant_cosine=REDUNDANT,
        )

    def _nearest(self, weight: str) -> Tables:
        """Nearest neurons by one weight; with those of down_proj, redundant groups."""
        n_layers, width, memory = self._live.n_layers, self._live.d_mlp, self._config.memory
        vectors = self._all(weight)
        groups = None
        if weight == OUT:
            groups = Groups(vectors, self._all(IN), self._all(GATE) if self._gates else None)
        same, other = find_nearest(vectors, self._config.neighbours, memory // 32, groups and groups.look)
        tables = {"_nearest": nearest_rows(weight, same, other, n_layers, width)}
        if groups is not None:
            tables["_redundant"] = redundant_rows(*groups.members(), width)
        return tables

    def _all(self, weight: str) -> Vectors:
        return Vectors(lambda layer: self._vectors(weight, layer), self._live.n_layers, self._config.memory // 8)
