"""Decoding: every neuron's weight vectors through the LM head, exact top tokens of both signs.

Formula (Flash Interpretability, arXiv 2501.02688, method; gain as an option of ours): logits = U (g * w), with
U the unembedding [d_vocab, d_model], w the neuron's vector [d_model] and g = 1 (`raw`) or the gain of the final
norm (`folded`). Of an encoder's head `raw` is its decoder alone, and `linearised` U J w with J what the rest of the
head does to a small change of the mean state (atlas/live/head.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import torch

from atlas.errors import BuildError
from atlas.live.head import linear_map, mean_state
from atlas.sites import format_neuron
from builders.arrow import joined
from builders.build.product import Activations, Tables, Work
from builders.decoding.cosines import cosines_of
from builders.decoding.rows import decoding_rows, vector_rows, weight_fact_rows
from builders.decoding.topk.chunked import Look
from builders.decoding.topk.top import top_tokens, uses_every_thread
from builders.decoding.topk.vocabulary import Vocabulary
from builders.threads import threads_of

if TYPE_CHECKING:
    from builders.build.plan import Plan


_AT_ONCE = 2  # layers: each has its part of the memory, and a product of few neurons is slow
_ROWS = 1024  # looked at or converted at a time, where a copy of all would be as large as what is copied


class Decoder(Work):
    """Decodes all neurons of one weight and layer at a time.

    The tokens of the plan are the rows of U that are real tokens, ascending; padding rows of the vocabulary take no
    part. Works on about half of the memory that the options allow, beside the model and copies of U in float32 and
    bfloat16. Raises BuildError when the unembedding is not finite.
    """

    def __init__(self, plan: Plan) -> None:
        live = plan.live
        self._live, self._config = live, plan.config
        self._ids_V = torch.tensor([token_id for token_id, _ in plan.tokens])
        self._vocabulary = Vocabulary(finite_unembedding(plan))
        self._gain_D = live.final_norm_gain().float() if plan.config.mode == "folded" else None
        self._map_ED = linear_map(live, mean_state(live)) if plan.config.mode == "linearised" else None
        self._cosines = cosines_of(live, self._vocabulary.u_VD) if plan.config.weighs else None
        # Not by the number of threads: what is computed in other portions differs in the last bits.
        self._memory = plan.config.memory // (8 if uses_every_thread(live.device) else 8 * _AT_ONCE)
        self._fallbacks: list[int] = []  # several threads add to it

    def run(self, unit: str, activations: Activations | None = None) -> Tables:
        """Rows of one weight and layer. Raises BuildError when the weight is not finite, or a logit overflows."""
        weight, _, layer = unit.partition("/")
        # Of a layer with experts one at a time, so that no more than one is copied.
        parts = self._live.weight_parts(weight, int(layer))
        return joined([self._part(weight, int(layer), first, part_ND.float()) for first, part_ND in parts])

    def _part(self, weight: str, layer: int, first: int, w_ND: torch.Tensor) -> Tables:
        """Rows of neighbouring neurons of a layer, from `first` on."""
        moments: list[torch.Tensor] = []
        cosines = self._cosines
        look = None if cosines is None else lambda w_nD, logits_nV: moments.append(cosines.moments(w_nD, logits_nV))
        tables = {"_decoding": self._decoded(weight, layer, first, w_ND, look)}
        if moments:
            moments_N4 = torch.cat(moments).cpu().numpy()
            tables["_weight_fact"] = weight_fact_rows(weight, layer, w_ND.cpu().numpy(), moments_N4, first)
        if self._config.keep_vectors:
            tables["neuron_vector"] = vector_rows(weight, layer, w_ND.cpu().numpy(), first)
        return tables

    def notes(self) -> list[str]:
        """How many neurons needed the float64 search."""
        n_fallback = sum(self._fallbacks)
        if not n_fallback:
            return []
        return [f"{n_fallback} decodings had near ties and were searched in float64"]

    def _decoded(self, weight: str, layer: int, first: int, w_ND: torch.Tensor, look: Look | None) -> pa.Table:
        vectors_ND = w_ND if self._gain_D is None else w_ND * self._gain_D
        if self._map_ED is not None:
            vectors_ND = (vectors_ND.double() @ self._map_ED.T).float()
        require_finite(weight, layer, vectors_ND, first)
        found = top_tokens(vectors_ND, self._vocabulary, self._config.top, self._memory, look)
        results = (found.raised_logit_NK, found.lowered_logit_NK, found.raised_lse_N, found.lowered_lse_N)
        if not all(torch.isfinite(values).all() for values in results):
            raise BuildError(f"logits of {weight} in layer {layer} overflow float32", "Rescale the checkpoint.")
        self._fallbacks.append(found.n_fallback)
        return decoding_rows(
            weight=weight,
            layer=layer,
            first_neuron=first,
            n_layers=self._live.n_layers,
            width=self._live.d_mlp,
            norm_N=torch.cat([part.double().norm(dim=1) for part in vectors_ND.split(_ROWS)]).cpu().numpy(),
            raised_lse_N=found.raised_lse_N.cpu().numpy(),
            lowered_lse_N=found.lowered_lse_N.cpu().numpy(),
            raised_token_NK=self._ids_V[found.raised_token_NK.cpu()].numpy(),
            raised_logit_NK=found.raised_logit_NK.cpu().numpy(),
            lowered_token_NK=self._ids_V[found.lowered_token_NK.cpu()].numpy(),
            lowered_logit_NK=found.lowered_logit_NK.cpu().numpy(),
        )


def at_once(plan: Plan) -> int:
    """How many threads decode a layer each; 0: layer after layer, each by all threads."""
    live, config = plan.live, plan.config
    weight_bytes = 4 * live.d_mlp * live.d_model  # of a layer in float32
    if uses_every_thread(live.device) or threads_of(live.device) < _AT_ONCE or weight_bytes > config.memory // 8:
        return 0
    return _AT_ONCE


def finite_unembedding(plan: Plan) -> torch.Tensor:
    """Rows of U of the plan's tokens, float32 [V, D]. Raises BuildError for a value that is not finite."""
    token_ids = torch.tensor([token_id for token_id, _ in plan.tokens])
    width = plan.live.unembedding_rows(token_ids[:1]).shape[1]  # a head's decoder may be narrower than the stream
    u_VD = torch.empty((len(token_ids), width), device=plan.live.device)
    for ids, rows in zip(token_ids.split(_ROWS), u_VD.split(_ROWS), strict=True):  # no second copy of the whole
        rows.copy_(plan.live.unembedding_rows(ids))
        if not torch.isfinite(rows).all():
            token = int(ids[(~torch.isfinite(rows)).any(1).nonzero()[0, 0]])
            raise BuildError(f"the unembedding of token {token} has a NaN or infinite value")
    return u_VD


def require_finite(weight: str, layer: int, vectors_ND: torch.Tensor, first: int = 0) -> None:
    """Raise BuildError naming the first neuron, of those from `first` on, whose vector has a NaN or infinite value."""
    broken_N = torch.cat([~torch.isfinite(vectors_nD).all(1) for vectors_nD in vectors_ND.split(_ROWS)])
    if broken_N.any():
        neuron = format_neuron(layer, first + int(broken_N.nonzero()[0, 0]))
        raise BuildError(f"{weight} of {neuron} has a NaN or infinite value", "The checkpoint is damaged.")
