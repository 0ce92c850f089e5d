"""The decoding builder: every neuron's weight vectors through the LM head, exact top tokens of both signs.

Formula (Flash Interpretability, arXiv 2501.02688, method; gain as an option of ours): logits = U (g * w), with
U the unembedding [d_vocab, d_model], w the neuron's vector [d_model] and g = 1 (`raw`) or the gain of the final
norm (`folded`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch

from atlas.errors import BuildError
from atlas.sites import format_neuron
from atlas.store.staging import Staging
from builders.decoding.topk.top import top_tokens
from builders.decoding.topk.vocabulary import Vocabulary
from builders.gaussians.rows import decoding_rows, fixed_lists

if TYPE_CHECKING:
    from atlas.live.model import LiveModel

STEP = "decode"


def write_vocabulary(staging: Staging, unembedding_VD: torch.Tensor, tokens: Sequence[tuple[int, str]]) -> None:
    """Store token texts and the norm of each token's unembedding row, once."""
    if staging.done("vocabulary"):
        return
    ids = torch.tensor([token_id for token_id, _ in tokens])
    rows_VD = unembedding_VD.index_select(0, ids.to(unembedding_VD.device)).float()
    norms = torch.linalg.vector_norm(rows_VD, dim=1, dtype=torch.float64).cpu().numpy()
    rows = pa.table(
        {
            "token_id": pa.array(ids.numpy(), pa.int32()),
            "token": [text for _, text in tokens],
            "norm": norms.astype(np.float32),
        }
    )
    staging.commit("vocabulary", "all", {"vocab": rows})


def decode(
    live: LiveModel,
    staging: Staging,
    token_ids: Sequence[int],
    *,
    weights: Sequence[str],
    mode: str,
    top: int,
    memory_bytes: int,
    keep_vectors: bool = False,
    advance: Callable[[int], None] = lambda n: None,
) -> int:
    """Decode every neuron of `weights` into the staging area, one committed unit per weight and layer.

    `token_ids` are the rows of U that are real tokens, ascending; padding rows of the vocabulary take no part.
    Units already done are skipped. Works on about 4 x `memory_bytes` beside the model and copies of U in float32
    and bfloat16. `advance(neurons)` reports progress. Returns how many neurons needed the float64 search.
    Raises BuildError when `top` exceeds the vocabulary or a weight is not finite.
    """
    if top > len(token_ids):
        raise BuildError(f"--top {top} exceeds the vocabulary of {len(token_ids)} tokens", "Lower --top.")
    done = staging.done(STEP)
    ids_V = torch.tensor(token_ids)
    u_VD = live.unembedding().index_select(0, ids_V.to(live.device)).float()
    if not torch.isfinite(u_VD).all():
        row = int((~torch.isfinite(u_VD)).any(1).nonzero()[0, 0])
        raise BuildError(f"the unembedding of token {token_ids[row]} has a NaN or infinite value")
    vocabulary = Vocabulary(u_VD)
    gain_D = live.final_norm_gain().float() if mode == "folded" else None
    n_fallback = 0
    for weight in weights:
        for layer in range(live.n_layers):
            unit = f"{weight}/{layer}"
            if unit not in done:
                w_ND = live.weight(weight, layer).float()
                tables, searched = _one_layer(
                    weight, layer, live.n_layers, w_ND, gain_D, vocabulary, ids_V, top, memory_bytes
                )
                if keep_vectors:
                    tables["neuron_vector"] = _vector_rows(weight, layer, w_ND)
                staging.commit(STEP, unit, tables)
                n_fallback += searched
            advance(live.d_mlp)
    return n_fallback


def _one_layer(
    weight: str,
    layer: int,
    n_layers: int,
    w_ND: torch.Tensor,
    gain_D: torch.Tensor | None,
    vocabulary: Vocabulary,
    ids_V: torch.Tensor,
    top: int,
    memory_bytes: int,
) -> tuple[dict[str, pa.Table], int]:
    vectors_ND = w_ND if gain_D is None else w_ND * gain_D
    broken_N = ~torch.isfinite(vectors_ND).all(1)
    if broken_N.any():
        neuron = format_neuron(layer, int(broken_N.nonzero()[0, 0]))
        raise BuildError(f"{weight} of {neuron} has a NaN or infinite value", "The checkpoint is damaged.")
    found = top_tokens(vectors_ND, vocabulary, top, memory_bytes)
    results = (found.raised_logit_NK, found.lowered_logit_NK, found.raised_lse_N, found.lowered_lse_N)
    if not all(torch.isfinite(values).all() for values in results):
        raise BuildError(f"logits of {weight} in layer {layer} overflow float32", "Rescale the checkpoint.")
    rows = decoding_rows(
        weight=weight,
        layer=layer,
        n_layers=n_layers,
        norm_N=vectors_ND.double().norm(dim=1).cpu().numpy(),
        raised_lse_N=found.raised_lse_N.cpu().numpy(),
        lowered_lse_N=found.lowered_lse_N.cpu().numpy(),
        raised_token_NK=ids_V[found.raised_token_NK.cpu()].numpy(),
        raised_logit_NK=found.raised_logit_NK.cpu().numpy(),
        lowered_token_NK=ids_V[found.lowered_token_NK.cpu()].numpy(),
        lowered_logit_NK=found.lowered_logit_NK.cpu().numpy(),
    )
    return {"_decoding": rows}, found.n_fallback


def _vector_rows(weight: str, layer: int, w_ND: torch.Tensor) -> pa.Table:
    """Rows of `neuron_vector`: the bare weight vectors, without the gain."""
    n = len(w_ND)
    return pa.table(
        {
            "weight": pa.array([weight] * n),
            "layer": pa.array([layer] * n, pa.int32()),
            "neuron": pa.array(range(n), pa.int32()),
            "vector": fixed_lists(w_ND.cpu().numpy(), pa.float32()),
        }
    )
