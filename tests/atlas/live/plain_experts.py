"""Mixtures of experts in plain Python and float64, by each architecture's own attribute names.

Independent of the adapters and of how activations are heard: a layer is computed token by token from what its module
is given, so that a test needs one hook on the whole MLP and nothing else of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from atlas.live.model import LiveModel


@dataclass
class PlainLayer:
    """float64. `acts[site][token, expert]`: the units of an expert at a token; `chosen`, `logits`: of the router."""

    acts: dict[str, dict[tuple[int, int], Tensor]] = field(default_factory=dict)
    chosen: list[list[int]] = field(default_factory=list)
    logits: Tensor = field(default_factory=lambda: torch.empty(0))
    output: Tensor = field(default_factory=lambda: torch.empty(0))


def block_of(live: LiveModel, layer: int) -> nn.Module:
    return getattr(live.model, "language_model", live.model).model.layers[layer]  # within a checkpoint that sees images


def mlp_of(live: LiveModel, layer: int) -> nn.Module:
    block = block_of(live, layer)
    return getattr(block, "block_sparse_moe", None) or getattr(block, "mlp", None) or block.feed_forward


def inputs_of(live: LiveModel, ids: Tensor, mask: Tensor | None = None) -> list[Tensor]:
    """What the MLP of each layer reads, [tokens, d_model], and `whole` runs on: one plain hook a layer."""
    seen: list[Tensor] = []
    hooks = [
        mlp_of(live, layer).register_forward_pre_hook(lambda m, args: seen.append(args[0].detach().double()))
        for layer in range(live.n_layers)
    ]
    with torch.no_grad():
        live.model(input_ids=ids, attention_mask=mask)
    for hook in hooks:
        hook.remove()
    return [each.reshape(-1, each.shape[-1]) for each in seen]


def has_experts(live: LiveModel, layer: int) -> bool:
    return hasattr(mlp_of(live, layer), "experts")


def branches_of(experts: Any, expert: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(gate [n, d], up [n, d], their biases, down [n, d]) of one expert, by how the class stores them."""
    fused, down = experts.gate_up_proj[expert].double(), experts.down_proj[expert].double()
    if type(experts).__name__ == "GptOssExperts":
        bias = experts.gate_up_proj_bias[expert].double()
        return fused[:, ::2].T, fused[:, 1::2].T, bias[::2], bias[1::2], down
    if type(experts).__name__ == "Llama4TextExperts":
        n = down.shape[0]
        zeros = torch.zeros(n, dtype=torch.float64)
        return fused[:, :n].T, fused[:, n:].T, zeros, zeros, down
    n = down.shape[1]
    zeros = torch.zeros(n, dtype=torch.float64)
    return fused[:n], fused[n:], zeros, zeros, down.T


def activation(experts: Any, gate: Tensor, up: Tensor) -> Tensor:
    if type(experts).__name__ == "GptOssExperts":
        gate, up = gate.clamp(max=7.0), up.clamp(-7.0, 7.0)
        return (up + 1) * gate * torch.sigmoid(1.702 * gate)
    return torch.nn.functional.silu(gate) * up


def shared_of(live: LiveModel, layer: int) -> tuple[Tensor, Tensor, Tensor] | None:
    """(gate [n, d], up [n, d], down [n, d]) of the MLP that every token passes; None without one."""
    block, mlp = block_of(live, layer), mlp_of(live, layer)
    if getattr(block, "shared_mlp", None) is not None:
        gate, up = block.shared_mlp.input_linear.weight.double().chunk(2)
        return gate, up, block.shared_mlp.output_linear.weight.double().T
    shared = getattr(mlp, "shared_experts", None) or getattr(mlp, "shared_expert", None)
    if shared is None:
        return None
    return shared.gate_proj.weight.double(), shared.up_proj.weight.double(), shared.down_proj.weight.double().T


def route(mlp: Any, x_TD: Tensor) -> tuple[Tensor, Tensor]:
    """(weight, expert) of each choice of each token, by the module's own router."""
    router = mlp.router if hasattr(mlp, "router") else mlp.gate
    if scales_input(mlp):
        top, chosen = (x_TD.double() @ router.weight.double().T).topk(router.top_k, dim=1)
        return torch.sigmoid(top), chosen
    names = {"MiniMaxM2TopKRouter": "e_score_correction_bias", "Lfm2MoeTopKRouter": "expert_bias"}
    bias = [getattr(mlp, names[type(router).__name__])] if type(router).__name__ in names else []
    with torch.no_grad():
        _, *both = router(x_TD.float(), *bias)
    weights, chosen = sorted(both, key=lambda tensor: not tensor.is_floating_point())
    return weights, chosen


def scales_input(mlp: Any) -> bool:
    """Whether the weight multiplies what an expert reads, not what it writes."""
    return type(mlp).__name__ == "Llama4TextMoe"


def plain_layer(live: LiveModel, layer: int, x_TD: Tensor) -> PlainLayer:
    """The layer's experts on the tokens `x_TD`; whom a token goes to is what the module's own router says."""
    mlp: Any = mlp_of(live, layer)
    router = mlp.router if hasattr(mlp, "router") else mlp.gate
    with torch.no_grad():
        weights, chosen = route(mlp, x_TD)
        logits = x_TD @ router.weight.double().T
        logits = logits + router.bias.double() if getattr(router, "bias", None) is not None else logits
    found = PlainLayer({"mlp_pre": {}, "mlp_pre_linear": {}, "mlp_post": {}}, chosen.tolist(), logits)
    rows = []
    for token, x_D in enumerate(x_TD):
        total = torch.zeros_like(x_D)
        for expert, weight in zip(found.chosen[token], weights[token].double(), strict=True):
            gate_w, up_w, gate_b, up_b, down = branches_of(mlp.experts, expert)
            read_D, weight = (weight * x_D, 1.0) if scales_input(mlp) else (x_D, weight)
            gate, up = gate_w @ read_D + gate_b, up_w @ read_D + up_b
            acts = activation(mlp.experts, gate, up)
            written = acts @ down
            if hasattr(mlp.experts, "down_proj_bias"):
                written = written + mlp.experts.down_proj_bias[expert].double()
            total = total + weight * written
            for site, value in (("mlp_pre", gate), ("mlp_pre_linear", up), ("mlp_post", acts)):
                found.acts[site][token, expert] = value
        shared = shared_of(live, layer)
        if shared is not None:
            gate_w, up_w, down = shared
            gate, up = gate_w @ x_D, up_w @ x_D
            acts = torch.nn.functional.silu(gate) * up
            written = acts @ down
            if hasattr(mlp, "shared_expert_gate"):
                written = written * torch.sigmoid(mlp.shared_expert_gate.weight.double() @ x_D)
            if not hasattr(block_of(live, layer), "shared_mlp"):  # Granite adds it outside
                total = total + written
            last = mlp.experts.down_proj.shape[0]
            for site, value in (("mlp_pre", gate), ("mlp_pre_linear", up), ("mlp_post", acts)):
                found.acts[site][token, last] = value
        rows.append(total)
    found.output = torch.stack(rows)
    return found
