"""What setting neurons to 0 does to a logit, by bare hooks on a Llama: nothing of our edits takes part."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch

from builders.attribution.edits import Neuron


def logit_after(model: torch.nn.Module, ids: Sequence[int], token: int, neurons: Sequence[Neuron]) -> float:
    """The logit of `token` after the ids, with the neurons at 0 at the last one."""
    by_layer: dict[int, list[int]] = {}
    for layer, neuron in neurons:
        by_layer.setdefault(layer, []).append(neuron)

    def zero(columns: list[int]):
        def hook(module: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            acts_BTN = args[0].clone()
            acts_BTN[:, -1, columns] = 0
            return (acts_BTN, *args[1:])

        return hook

    with ExitStack() as undo, torch.no_grad():
        for layer, columns in by_layer.items():
            place = model.model.layers[layer].mlp.down_proj
            undo.callback(place.register_forward_pre_hook(zero(columns)).remove)
        return float(model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0, -1, token].double())
