"""Edits the slow, plain way: one hook an edit, one token at a time, by each architecture's own names."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from atlas.live.model import LiveModel
from atlas.spec.document import Edit, InterventionSpec
from tests.atlas.live.plain import blocks

PLAIN = {"c_fc": "c_proj", "dense_h_to_4h": "dense_4h_to_h"}


def edited_token(spec: InterventionSpec, index: int, n_prompt: int) -> bool:
    """Whether token `index` is edited, said once more and differently from the code under test."""
    generated = index >= n_prompt
    if spec.phase != "all" and generated != (spec.phase == "generated"):
        return False
    if spec.positions == "all":
        return True
    return (generated or index == n_prompt - 1) if spec.positions == "last" else index in spec.positions


def logprobs(live: LiveModel, spec: InterventionSpec | None, ids: list[int], n_prompt: int | None = None) -> Tensor:
    """[tokens, vocabulary] of one unpadded text of which the first `n_prompt` tokens are the prompt."""
    where = []
    if spec is not None:
        where = [t for t in range(len(ids)) if edited_token(spec, t, n_prompt or len(ids))]
    handles = [_hook(live, edit, where) for edit in (spec.edits if spec else ())]
    try:
        with torch.no_grad():
            return live.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)
    finally:
        for handle in handles:
            handle.remove()


def greedy(live: LiveModel, spec: InterventionSpec, ids: list[int], n_new: int) -> list[int]:
    """The text after `n_new` greedy tokens, everything computed anew for each."""
    text = list(ids)
    for _ in range(n_new):
        text.append(int(logprobs(live, spec, text, len(ids))[-1].argmax()))
    return text


def _hook(live: LiveModel, edit: Edit, where: list[int]):
    block = blocks(live)[edit.layer]
    modules = dict(block.mlp.named_children())
    plain = next((name for name in PLAIN if name in modules), None)
    offset = 0
    if edit.site == "resid_post":
        module = block
    elif edit.site == "mlp_post":
        module = modules[PLAIN[plain] if plain else "down_proj"]
    elif "gate_up_proj" in modules:
        module, offset = modules["gate_up_proj"], live.d_mlp if edit.site == "mlp_pre_linear" else 0
    elif plain:
        module = modules[plain]
    else:
        module = modules["gate_proj" if edit.site == "mlp_pre" else "up_proj"]
    column, change = offset + edit.neuron, _change(edit)

    def edited(acts: Tensor) -> Tensor:
        acts = acts.clone()
        for t in where:
            acts[0, t, column] = change(acts[0, t, column].item())
        return acts

    if edit.site == "mlp_post":
        return module.register_forward_pre_hook(lambda m, a: (edited(a[0]), *a[1:]))
    return module.register_forward_hook(lambda m, a, o: (edited(o[0]), *o[1:]) if isinstance(o, tuple) else edited(o))


def _change(edit: Edit) -> Callable[[float], float]:
    def change(x: float) -> float:
        if edit.when and not edit.when.lower <= x <= edit.when.upper:
            return x
        if edit.op == "set":
            return edit.value
        if edit.op == "scale":
            return edit.value * x
        if edit.op == "add":
            return x + edit.value
        centre, half = (edit.when.lower + edit.when.upper) / 2, (edit.when.upper - edit.when.lower) / 2
        return x * edit.value * abs(x - centre) / half

    return change
