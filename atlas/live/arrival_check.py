"""Prove in one pass that what each MLP writes arrives in the stream as the adapter says, by its norm and its scale.

A batch of the text twice, where the second row is given the first one's stream before every block, and its neurons are
0: so what that row's stream lacks behind a block is what the block's MLP gave, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from atlas.live.inputs import pass_inputs
from atlas.live.model import LiveModel
from atlas.live.probe import Record, mlp_of

Agree = Callable[[LiveModel, str, Tensor, Tensor], None]


def check_arrival(live: LiveModel, input_ids: Tensor, record: Record, agree: Agree) -> None:
    """Raise ModelError for the first layer where something else arrives. `record`: of the text `input_ids` [1, T].

    `agree` compares two tensors (atlas/live/validation.py). Layers with experts are left out, whose shared MLP may be
    added beside the module that holds them.
    """
    layers = [layer for layer in range(live.n_layers) if live.experts(layer) is None]
    if not layers:
        return
    ids_BT = input_ids.expand(2, -1)
    written, streams = {}, {}

    def same_stream(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (torch.cat([args[0][:1], args[0][:1]]), *args[1:])

    def zero(acts: Tensor) -> Tensor:
        return torch.cat([acts[:1], torch.zeros_like(acts[1:])])

    with ExitStack() as hooks, torch.inference_mode():
        for layer in layers:

            def keep_written(module: nn.Module, args: tuple[Any, ...], output: Any, layer: int = layer) -> None:
                output = output[0] if isinstance(output, tuple) else output
                output = output if output.ndim > 2 else output.unflatten(0, (2, -1))
                written[layer] = output[1].float().clone()

            def keep_stream(acts: Tensor, layer: int = layer) -> None:
                streams[layer] = acts[1].float().clone()

            block = live.submodule(live.adapter.block.format(layer=layer))
            hooks.callback(block.register_forward_pre_hook(same_stream).remove)
            hooks.callback(live.tap("mlp_post", layer).register(zero).remove)
            end = live.submodule(mlp_of(live, layer)[1])
            hooks.callback(end.register_forward_hook(keep_written).remove)
            hooks.callback(live.tap("resid_post", layer).register(keep_stream).remove)
        live.model(
            **pass_inputs(live, live.model.forward, ids_BT, torch.ones_like(ids_BT)),
            **({"use_cache": False} if live.head is None else {}),
        )
    for layer in layers:
        arrived = live.write_scale(layer) * (
            _normed(live, layer, record.mlp_out[layer]) - _normed(live, layer, written[layer].to(live.device))
        )
        agree(
            live,
            f"resid_post of layer {layer} = what else is there + the MLP's output",
            record.sites["resid_post", layer],
            streams[layer].to(live.device) + arrived,
        )


def _normed(live: LiveModel, layer: int, written_TD: Tensor) -> Tensor:
    """What the MLP gives, after the norm that follows it, if one does."""
    path = live.out_norm(layer)
    if path is None:
        return written_TD
    with torch.inference_mode():
        normed_TD: Tensor = live.submodule(path)(written_TD.to(live.dtype)).float()
    return normed_TD
