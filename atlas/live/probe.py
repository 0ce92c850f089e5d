"""One forward pass on two tokens with everything recorded that validation compares."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from atlas.errors import ModelError
from atlas.live.model import LiveModel


@dataclass
class Record:
    """float32 tensors of one pass over [1, 2] tokens, the batch axis dropped.

    `sites[site, layer]`: [2, width]. `block_in`, `mlp_in`, `mlp_out`: by layer, [2, d_model]. `logits`:
    [2, d_vocab].
    """

    sites: dict[tuple[str, int], Tensor] = field(default_factory=dict)
    block_in: dict[int, Tensor] = field(default_factory=dict)
    mlp_in: dict[int, Tensor] = field(default_factory=dict)
    mlp_out: dict[int, Tensor] = field(default_factory=dict)
    logits: Tensor = field(default_factory=lambda: torch.empty(0))


def probe_ids(live: LiveModel) -> Tensor:
    """[1, 2] two different ordinary tokens."""
    special = set(live.tokenizer.all_special_ids)
    ids = sorted({i for i in live.tokenizer.get_vocab().values() if i < live.d_vocab} - special)
    if len(ids) < 2:
        raise ModelError(f"the tokenizer of {live.model_id} has fewer than two ordinary tokens")
    return torch.tensor([[ids[len(ids) // 3], ids[2 * len(ids) // 3]]], device=live.device)


def run_probe(live: LiveModel, input_ids: Tensor, *, zero_mlp_post: bool = False) -> Record:
    """The whole model on `input_ids`, recorded; with `zero_mlp_post` every neuron activation is set to 0.

    Raises ModelError when a site was computed never or more than once in the pass.
    """
    record, fired = Record(), Counter[tuple[str, int]]()
    with ExitStack() as hooks, torch.inference_mode():
        for layer in range(live.n_layers):
            for handle in _record_modules(live, layer, record):
                hooks.callback(handle.remove)
            for site in live.sites():
                tap = live.tap(site, layer)
                edit = zero_mlp_post and site == "mlp_post"

                def on_tensor(acts: Tensor, key: tuple[str, int] = (site, layer), edit: bool = edit) -> Tensor | None:
                    fired[key] += 1
                    record.sites[key] = _plain(acts)
                    return torch.zeros_like(acts) if edit else None

                hooks.callback(tap.register(on_tensor).remove)
        record.logits = _plain(live.model(input_ids=input_ids, use_cache=False).logits)
    for layer in range(live.n_layers):
        for site in live.sites():
            if fired[site, layer] != 1:
                times = fired[site, layer]
                raise ModelError(f"a pass of {live.model_id} computes {site} of layer {layer} {times} times")
    return record


def _record_modules(live: LiveModel, layer: int, record: Record) -> list[torch.utils.hooks.RemovableHandle]:
    block = live.submodule(live.adapter.block.format(layer=layer))
    mlp = live.submodule(live.adapter.mlp.format(layer=layer))

    def keep_block_input(module: nn.Module, args: tuple) -> None:
        record.block_in[layer] = _plain(args[0])

    def keep_mlp(module: nn.Module, args: tuple, output: Tensor) -> None:
        record.mlp_in[layer], record.mlp_out[layer] = _plain(args[0]), _plain(output)

    return [block.register_forward_pre_hook(keep_block_input), mlp.register_forward_hook(keep_mlp)]


def _plain(tensor: Tensor) -> Tensor:
    # A copy, always: a later in-place step of the model must not reach the record.
    return tensor[0].to(torch.float32, copy=True)
