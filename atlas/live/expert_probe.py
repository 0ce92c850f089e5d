"""What validation compares of a layer with experts, recorded in one pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from atlas.errors import ModelError
from atlas.live.expert_layer import ExpertLayer
from atlas.live.expert_pass import Routed

if TYPE_CHECKING:
    from contextlib import ExitStack

    from atlas.live.model import LiveModel


@dataclass
class ExpertRecord:
    """float32, of the T tokens of the first row of a pass.

    `in_TD`, `chosen_TK`, `weights_TK`, `out_TD`: what the experts module is given and returns. Where the router scales
    what experts read, `in_TD` is what it reads itself, `scaled_ETD` what they are given, and `out_TD` their sum.
    `shared_TD`: what the shared MLP returns, before its gate. `logits_TX`: the router's, of each expert.
    `routed[site]`: what each expert computes there, or is given in its place; its tokens are among the T.
    """

    in_TD: Tensor = field(default_factory=lambda: torch.empty(0))
    chosen_TK: Tensor = field(default_factory=lambda: torch.empty(0))
    weights_TK: Tensor = field(default_factory=lambda: torch.empty(0))
    out_TD: Tensor = field(default_factory=lambda: torch.empty(0))
    scaled_ETD: Tensor | None = None
    shared_TD: Tensor | None = None
    logits_TX: Tensor = field(default_factory=lambda: torch.empty(0))
    routed: dict[str, list[Routed]] = field(default_factory=dict)
    n_passes: int = 0


def record_experts(
    live: LiveModel, found: ExpertLayer, n_tokens: int, hooks: ExitStack, *, zero_first_row: bool
) -> ExpertRecord:
    """A record that a pass over rows of `n_tokens` fills, through hooks that `hooks` removes."""
    record = ExpertRecord()

    def keep_experts(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        if found.scales_input:
            record.n_passes += 1
            by_expert = (found.n_routed, -1, live.d_model)
            record.scaled_ETD = args[0].view(by_expert)[:, :n_tokens].to(torch.float32, copy=True)
            record.out_TD = output.view(by_expert)[:, :n_tokens].float().sum(0)
            return
        if len(args) != 3:
            raise ModelError(f"{found.path} of {live.model_id} is called with {len(args)} arguments, not 3")
        record.n_passes += 1
        record.in_TD, chosen, record.weights_TK = (each[:n_tokens].float() for each in args)
        record.chosen_TK, record.out_TD = chosen.long(), output[:n_tokens].float()

    def keep_shared(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        # A copy: some families add the experts' output into it.
        record.shared_TD = output.reshape(-1, output.shape[-1])[:n_tokens].to(torch.float32, copy=True)

    def keep_logits(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        record.logits_TX = found.logits_of(output)[:n_tokens].float()
        if found.scales_input:
            record.in_TD = args[0].reshape(-1, live.d_model)[:n_tokens].float()
            top_TK, record.chosen_TK = torch.topk(record.logits_TX, live.experts_per_token, dim=1)
            record.weights_TK = torch.sigmoid(top_TK)

    hooks.callback(found.router().register_forward_hook(keep_logits).remove)
    hooks.callback(found.experts.register_forward_hook(keep_experts).remove)
    if found.shared_width:
        assert live.adapter.experts is not None and live.adapter.experts.shared is not None
        shared = live.submodule(live.adapter.experts.shared.format(layer=found.layer))
        hooks.callback(shared.register_forward_hook(keep_shared).remove)
    for site in live.neuron_sites():
        heard = record.routed.setdefault(site, [])
        zero = zero_first_row and site == "mlp_post"

        def on_routed(routed: Routed, heard: list[Routed] = heard, zero: bool = zero) -> Tensor | None:
            first_R = routed.tokens_R < n_tokens
            edited_RN = routed.acts_RN.masked_fill(first_R[:, None], 0) if zero else None
            acts_RN = (routed.acts_RN if edited_RN is None else edited_RN)[first_R]
            if len(acts_RN):
                heard.append(Routed(routed.expert, routed.tokens_R[first_R], acts_RN.to(torch.float32, copy=True)))
            return edited_RN

        hooks.callback(found.tap(site).register(on_routed).remove)
    return record
