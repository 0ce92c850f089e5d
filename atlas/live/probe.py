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
from atlas.live.expert_probe import ExpertRecord, record_experts
from atlas.live.model import LiveModel


@dataclass
class Record:
    """float32 tensors of the first row of a pass over T tokens, the batch axis dropped.

    `sites[site, layer]`: [T, width]. `block_in`, `mlp_in`, `mlp_out` and, of a post-norm block, what its last norm
    reads (`norm_in`) and gives (`norm_out`): by layer, [T, d_model]. `experts`: of layers with experts, in place of
    sites of their neurons. `logits`: [T, d_vocab]; of a classifier [labels], and without a head the last states.
    `output` is all that the model returned.
    """

    sites: dict[tuple[str, int], Tensor] = field(default_factory=dict)
    block_in: dict[int, Tensor] = field(default_factory=dict)
    mlp_in: dict[int, Tensor] = field(default_factory=dict)
    mlp_out: dict[int, Tensor] = field(default_factory=dict)
    experts: dict[int, ExpertRecord] = field(default_factory=dict)
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
            experts = live.experts(layer)
            if experts is not None:
                n_tokens = inputs["input_ids"].shape[1]
                record.experts[layer] = record_experts(live, experts, n_tokens, hooks, zero_first_row=zero_first_row)
            for site in _dense_sites(live, layer):
                tap = live.tap(site, layer)
                edit = zero_first_row and site == "mlp_post"

                def on_tensor(acts: Tensor, key: tuple[str, int] = (site, layer), edit: bool = edit) -> Tensor | None:
                    fired[key] += 1
                    record.sites[key] = _plain(acts, live.device)
                    return torch.cat([torch.zeros_like(acts[:1]), acts[1:]]) if edit else None

                hooks.callback(tap.register(on_tensor).remove)
        record.output = live.model(**inputs)
        record.logits = _plain(record.output[_what_it_gives(live)], live.device)
    for layer in range(live.n_layers):
        if layer in record.experts and record.experts[layer].n_passes != 1:
            times = record.experts[layer].n_passes
            raise ModelError(f"a pass of {live.model_id} runs the experts of layer {layer} {times} times")
        for site in _dense_sites(live, layer):
            if fired[site, layer] != 1:
                times = fired[site, layer]
                raise ModelError(f"a pass of {live.model_id} computes {site} of layer {layer} {times} times")
    return record


def mlp_of(live: LiveModel, layer: int) -> tuple[str, str]:
    """The paths of the modules that read what the neurons of `layer` read, and that give what they write."""
    experts = live.adapter.experts
    dense = None if experts is None or live.experts(layer) is not None else experts.dense_mlp
    begin, end = (dense, dense) if dense else (live.adapter.mlp, live.adapter.mlp_end or live.adapter.mlp)
    return begin.format(layer=layer), end.format(layer=layer)


def _dense_sites(live: LiveModel, layer: int) -> list[str]:
    """The sites that are one tensor at a layer."""
    apart = live.neuron_sites() if live.experts(layer) is not None else []
    return [site for site in live.sites() if site not in apart]


def _record_modules(live: LiveModel, layer: int, record: Record) -> list[torch.utils.hooks.RemovableHandle]:
    block = live.submodule(live.adapter.block.format(layer=layer))
    mlp, end = (live.submodule(path) for path in mlp_of(live, layer))

    n_texts = 0

    def first_text(tensor: Tensor) -> Tensor:
        return _plain(tensor if tensor.ndim > 2 else tensor.unflatten(0, (n_texts, -1)), live.device)

    def keep_block_input(module: nn.Module, args: tuple[Any, ...]) -> None:
        nonlocal n_texts
        n_texts = args[0].shape[0]
        record.block_in[layer] = _plain(args[0], live.device)

    def keep_mlp_input(module: nn.Module, args: tuple[Any, ...]) -> None:
        record.mlp_in[layer] = first_text(args[0])

    def keep_mlp_output(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        # Some mixtures of experts return what their router said beside it.
        record.mlp_out[layer] = first_text(output[0] if isinstance(output, tuple) else output)

    def keep_norm(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        record.norm_in[layer], record.norm_out[layer] = _plain(args[0], live.device), _plain(output, live.device)

    handles = [
        block.register_forward_pre_hook(keep_block_input),
        mlp.register_forward_pre_hook(keep_mlp_input),
        end.register_forward_hook(keep_mlp_output),
    ]
    if live.adapter.block_norm is not None:
        norm = live.submodule(live.adapter.block_norm.format(layer=layer))
        handles.append(norm.register_forward_hook(keep_norm))
    return handles


def _what_it_gives(live: LiveModel) -> str:
    if live.tower is None:
        return "last_hidden_state" if live.head_kind == "none" else "logits"
    return "logits" if live.head is None else live.head.output


def _plain(tensor: Tensor, device: torch.device) -> Tensor:
    # A copy, always: a later in-place step of the model must not reach the record.
    return tensor[0].to(device, torch.float32, copy=True)
