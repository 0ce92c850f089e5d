"""One forward pass on a few tokens with everything recorded that validation compares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from atlas.errors import ModelError
from atlas.live.model import LiveModel


@dataclass
class Record:
    """float32 tensors of the first row of a pass over T tokens, the batch axis dropped.

    `sites[site, layer]`: [T, width]. `block_in`, `mlp_in`, `mlp_out` and, of a post-norm block, what its last norm
    reads (`norm_in`) and gives (`norm_out`): by layer, [T, d_model]. `logits`: [T, d_vocab]; of a classifier [labels],
    and without a head the last states. `output` is all that the model returned.
    """

    sites: dict[tuple[str, int], Tensor] = field(default_factory=dict)
    block_in: dict[int, Tensor] = field(default_factory=dict)
    mlp_in: dict[int, Tensor] = field(default_factory=dict)
    mlp_out: dict[int, Tensor] = field(default_factory=dict)
    norm_in: dict[int, Tensor] = field(default_factory=dict)
    norm_out: dict[int, Tensor] = field(default_factory=dict)
    logits: Tensor = field(default_factory=lambda: torch.empty(0))
    output: Mapping[str, Any] = field(default_factory=dict)


def probe_ids(live: LiveModel) -> Tensor:
    """[1, 2] two different ordinary tokens."""
    special = set(live.tokenizer.all_special_ids)
    ids = sorted({i for i in live.tokenizer.get_vocab().values() if i < live.d_vocab} - special)
    if len(ids) < 2:
        raise ModelError(f"the tokenizer of {live.model_id} has fewer than two ordinary tokens")
    return torch.tensor([[ids[len(ids) // 3], ids[2 * len(ids) // 3]]], device=live.device)


def run_probe(live: LiveModel, inputs: Mapping[str, Any], *, zero_first_row: bool = False) -> Record:
    """The whole model on `inputs`, its first row recorded; with `zero_first_row` all neurons are 0 there.

    Raises ModelError when a site was computed never or more than once in the pass.
    """
    record, fired = Record(), Counter[tuple[str, int]]()
    with ExitStack() as hooks, torch.inference_mode():
        for layer in range(live.n_layers):
            for handle in _record_modules(live, layer, record):
                hooks.callback(handle.remove)
            for site in live.sites():
                tap = live.tap(site, layer)
                edit = zero_first_row and site == "mlp_post"

                def on_tensor(acts: Tensor, key: tuple[str, int] = (site, layer), edit: bool = edit) -> Tensor | None:
                    fired[key] += 1
                    record.sites[key] = _plain(acts)
                    return torch.cat([torch.zeros_like(acts[:1]), acts[1:]]) if edit else None

                hooks.callback(tap.register(on_tensor).remove)
        record.output = live.model(**inputs)
        record.logits = _plain(record.output["last_hidden_state" if live.head_kind == "none" else "logits"])
    for layer in range(live.n_layers):
        for site in live.sites():
            if fired[site, layer] != 1:
                times = fired[site, layer]
                raise ModelError(f"a pass of {live.model_id} computes {site} of layer {layer} {times} times")
    return record


def _record_modules(live: LiveModel, layer: int, record: Record) -> list[torch.utils.hooks.RemovableHandle]:
    block = live.submodule(live.adapter.block.format(layer=layer))
    mlp = live.submodule(live.adapter.mlp.format(layer=layer))
    end = live.submodule((live.adapter.mlp_end or live.adapter.mlp).format(layer=layer))

    def keep_block_input(module: nn.Module, args: tuple[Any, ...]) -> None:
        record.block_in[layer] = _plain(args[0])

    def keep_mlp_input(module: nn.Module, args: tuple[Any, ...]) -> None:
        record.mlp_in[layer] = _plain(args[0])

    def keep_mlp_end(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        record.mlp_out[layer] = _plain(output)

    def keep_norm(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        record.norm_in[layer], record.norm_out[layer] = _plain(args[0]), _plain(output)

    handles = [
        block.register_forward_pre_hook(keep_block_input),
        mlp.register_forward_pre_hook(keep_mlp_input),
        end.register_forward_hook(keep_mlp_end),
    ]
    if live.adapter.block_norm is not None:
        norm = live.submodule(live.adapter.block_norm.format(layer=layer))
        handles.append(norm.register_forward_hook(keep_norm))
    return handles


def _plain(tensor: Tensor) -> Tensor:
    # A copy, always: a later in-place step of the model must not reach the record.
    return tensor[0].to(torch.float32, copy=True)
