"""A spec applied by hooks written here, one text at a time, in full passes: what the fast paths must equal."""

from __future__ import annotations

import torch
from torch import Tensor

from atlas.live.model import LiveModel
from atlas.spec.document import Edit, InterventionSpec, ModelReference, Range, Tokenization
from tests.atlas.live.plain import blocks

DOWN = ("down_proj", "c_proj", "dense_4h_to_h")


def make_spec(
    live: LiveModel,
    edits: list[tuple[str, int, int, str, float, tuple[float, float] | None]],
    positions: str | tuple[int, ...] = "all",
    phase: str = "all",
    **source: object,
) -> InterventionSpec:
    """A spec for `live` from (site, layer, neuron, op, value, range) rows."""
    dims = {name: getattr(live, name) for name in ("n_layers", "d_model", "d_mlp", "gated", "fingerprint")}
    return InterventionSpec(
        model=ModelReference(id=live.model_id, **dims),
        tokenization=Tokenization(add_bos=live.add_bos, chat_template=False),
        positions=positions,
        phase=phase,
        edits=tuple(Edit(*row[:5], Range(*row[5]) if row[5] else None) for row in edits),
        source=source,
    )


def plain_log_probs(live: LiveModel, ids: list[int], spec: InterventionSpec | None, n_prompt: int) -> Tensor:
    """log-probabilities [tokens, vocabulary] of one unpadded text; sites mlp_post and resid_post only."""
    handles = []
    index = torch.arange(len(ids))
    chosen = torch.ones(len(ids), dtype=torch.bool)
    if spec is not None:
        if spec.phase != "all":
            chosen &= (index < n_prompt) == (spec.phase == "prompt")
        if spec.positions == "last":
            chosen &= index >= n_prompt - 1
        elif spec.positions != "all":
            chosen &= torch.tensor([i in spec.positions for i in range(len(ids))])

    def changed(acts: Tensor, edits: list[Edit]) -> Tensor:
        new = acts.clone()
        for edit in edits:
            x = acts[0, :, edit.neuron]
            y = {"set": torch.full_like(x, edit.value), "scale": x * edit.value, "add": x + edit.value}[edit.op]
            inside = chosen.clone()
            if edit.when is not None:
                inside &= (x >= edit.when.lower) & (x <= edit.when.upper)
            new[0, :, edit.neuron] = torch.where(inside, y, x)
        return new

    for layer, block in enumerate(blocks(live)):
        for site in ("mlp_post", "resid_post"):
            edits = [] if spec is None else [e for e in spec.edits if (e.site, e.layer) == (site, layer)]
            if edits and site == "mlp_post":
                down = next(getattr(block.mlp, name) for name in DOWN if hasattr(block.mlp, name))
                handles.append(down.register_forward_pre_hook(lambda m, a, e=edits: (changed(a[0], e),)))
            elif edits:
                handles.append(block.register_forward_hook(lambda m, a, out, e=edits: _in_place(out, e, changed)))
    try:
        with torch.no_grad():
            return live.model(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
    finally:
        for handle in handles:
            handle.remove()


def _in_place(out, edits, changed):
    return (changed(out[0], edits), *out[1:]) if isinstance(out, tuple) else changed(out, edits)
