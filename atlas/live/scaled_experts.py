"""Experts that are given every token times the router's weight, 0 where it was not routed.

Their module is none that transformers runs by its table of experts functions. So it gets what such modules tell of
their layout, and a forward of ours in the place of its own: the same products, of the routed tokens alone, with
listeners. Which tokens these are the router says in the same pass, as a zero row could be a routed one.

Axes: E experts, T tokens of the pass, K experts a token is routed to, D d_model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from atlas.errors import ModelError
from atlas.live.expert_pass import written_by


def take_over(experts: Any, router: Any) -> None:
    """Make an experts module run as described above, for as long as it lives."""
    if hasattr(experts, "_routed_TK"):
        return
    experts.has_gate, experts.has_bias, experts.is_transposed, experts.is_concatenated = True, False, True, True
    experts._routed_TK = None

    def apply_gate(read_R: Tensor) -> Tensor:
        gate_R, up_R = read_R.chunk(2, dim=-1)
        activated: Tensor = up_R * experts.act_fn(gate_R)
        return activated

    def keep_routed(module: nn.Module, args: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        experts._routed_TK = torch.topk(output[1], router.top_k, dim=1).indices

    def forward(hidden: Tensor) -> Tensor:
        chosen_TK, experts._routed_TK = experts._routed_TK, None
        if chosen_TK is None or len(hidden) != experts.num_experts * len(chosen_TK):
            raise ModelError("experts ran without their router, so nothing says which tokens were routed to them")
        hidden_ETD = hidden.view(experts.num_experts, len(chosen_TK), -1)
        out_ETD = torch.zeros_like(hidden_ETD)
        for expert in torch.unique(chosen_TK).tolist():
            tokens_R = torch.where(chosen_TK == expert)[0]
            out_ETD[expert, tokens_R] = written_by(experts, expert, tokens_R, hidden_ETD[expert, tokens_R])
        return out_ETD.view(hidden.shape)

    experts._apply_gate = apply_gate
    experts.forward = forward
    router.register_forward_hook(keep_routed)
