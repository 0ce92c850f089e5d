"""Prove that an adapter tells the truth about a layer with experts: as atlas/live/validation.py does of a dense one.

Expert by expert: reading weights times what the layer reads give the sites, the activation function gives the neurons'
activations, and those times the writing weights, weighted by the router and summed over the experts that a token was
routed to, with the shared MLP, are the layer's output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from atlas.live.expert_layer import ExpertLayer
from atlas.live.expert_pass import Routed
from atlas.live.expert_probe import ExpertRecord
from atlas.live.model import LiveModel

Agree = Callable[[LiveModel, str, Tensor, Tensor], None]
Misfit = Callable[[LiveModel, str], Exception]


def check_experts(
    live: LiveModel,
    found: ExpertLayer,
    record: ExpertRecord,
    in_TD: Tensor,
    out_TD: Tensor,
    agree: Agree,
    misfit: Misfit,
) -> None:
    """Raise ModelError unless every check of the layer holds. `in_TD`, `out_TD`: what the family's MLP reads, writes.

    `agree` compares two tensors, `misfit` makes the error (both atlas/live/validation.py).
    """
    _check_shapes(live, found, record, misfit)
    agree(live, f"experts read what the MLP reads, layer {found.layer}", record.in_TD, in_TD)
    router: Any = found.router()
    logits_TX, bias = in_TD @ router.weight.float().T, getattr(router, "bias", None)
    agree(live, f"logits of the router, layer {found.layer}", record.logits_TX, _plus(logits_TX, bias))
    if record.scaled_ETD is not None:
        _check_scaling(live, found, record, agree)
    for routed in record.routed["mlp_post"]:
        _check_expert(live, found, record, routed, agree)
    agree(
        live,
        f"output of the experts = their mlp_post @ down_proj, weighted by the router, layer {found.layer}",
        record.out_TD,
        written_by_experts(found, record),
    )
    agree(live, f"MLP output = experts and shared MLP, layer {found.layer}", out_TD, whole_output(live, found, record))


def written_by_experts(found: ExpertLayer, record: ExpertRecord) -> Tensor:
    """What the routed experts write for each token by their activations and weights, [T, D] float32."""
    written_TD = torch.zeros_like(record.out_TD)
    for expert, tokens_R, acts_RN in record.routed["mlp_post"]:
        if expert == found.n_routed:
            continue
        written_RD = _written(found, expert, acts_RN)
        if not found.scales_input:
            written_RD = written_RD * _share(record, expert)[tokens_R, None]
        written_TD.index_add_(0, tokens_R, written_RD)
    return written_TD


def whole_output(live: LiveModel, found: ExpertLayer, record: ExpertRecord) -> Tensor:
    """What the family's MLP module writes: experts, and the shared MLP where that is inside, by its gate."""
    places, total_TD = live.adapter.experts, written_by_experts(found, record)
    assert places is not None
    for expert, _, acts_TN in record.routed["mlp_post"]:
        if expert == found.n_routed and places.shared_inside:
            shared_TD = _written(found, expert, acts_TN)
            if places.shared_gate is not None:
                gate: nn.Module = live.submodule(places.shared_gate.format(layer=found.layer))
                with torch.inference_mode():
                    shared_TD = shared_TD * torch.sigmoid(gate(record.in_TD.to(live.dtype)).float())
            total_TD = total_TD + shared_TD
    return total_TD


def _check_shapes(live: LiveModel, found: ExpertLayer, record: ExpertRecord, misfit: Misfit) -> None:
    for part in found.parts():
        for name in live.weights():
            shape, due = tuple(found.weight(name, part.expert).shape), (part.neurons, live.d_model)
            if shape != due:
                raise misfit(live, f"{name} of expert {part.expert} of layer {found.layer} is {shape}, not {due}")
    widths = {part.expert: part.neurons for part in found.parts()}
    chosen = {(token, expert) for token, row in enumerate(record.chosen_TK.tolist()) for expert in row}
    chosen = {(token, expert) for token, expert in chosen if expert < found.n_routed}
    for site, heard in record.routed.items():
        seen = [(token, each.expert) for each in heard for token in each.tokens_R.tolist()]
        if found.shared_width:
            chosen |= {(token, found.n_routed) for token in range(len(record.in_TD))}
        if sorted(seen) != sorted(chosen):
            raise misfit(live, f"{site} of layer {found.layer} is not computed once for each token routed to an expert")
        if any(each.acts_RN.shape[1] != widths[each.expert] for each in heard):
            raise misfit(live, f"{site} of layer {found.layer} is not as wide as its experts")


def _check_expert(live: LiveModel, found: ExpertLayer, record: ExpertRecord, routed: Routed, agree: Agree) -> None:
    expert, tokens_R, acts_RN = routed
    where = f"expert {expert} of layer {found.layer}"
    reads = {"mlp_pre": "gate_proj", "mlp_pre_linear": "up_proj"} if live.gated else {"mlp_pre": "up_proj"}
    branch = {site: next(h.acts_RN for h in record.routed[site] if h.expert == expert) for site in reads}
    for site, name in reads.items():
        read_RD = record.in_TD[tokens_R]
        if found.scales_input and expert < found.n_routed:
            read_RD = read_RD * _share(record, expert)[tokens_R, None]
        expected = read_RD @ found.weight(name, expert).float().T
        bias = found.bias(name, expert)
        agree(live, f"{site} = {name} of what is read, {where}", branch[site], _plus(expected, bias))
    agree(live, f"mlp_post = activation of mlp_pre, {where}", acts_RN, _activation(live, found, expert, branch))


def _activation(live: LiveModel, found: ExpertLayer, expert: int, branch: dict[str, Tensor]) -> Tensor:
    assert live.adapter.experts is not None
    if live.adapter.experts.activation == "clamped_swiglu" and expert < found.n_routed:
        # gpt-oss: both branches are clamped, and 1 is added to the linear one.
        limit, alpha = found.experts.limit, found.experts.alpha
        gate = branch["mlp_pre"].clamp(max=limit)
        return (branch["mlp_pre_linear"].clamp(-limit, limit) + 1) * gate * torch.sigmoid(alpha * gate)
    value: Tensor = ACT2FN[live.hidden_act](branch["mlp_pre"])
    return value * branch["mlp_pre_linear"] if live.gated else value


def _check_scaling(live: LiveModel, found: ExpertLayer, record: ExpertRecord, agree: Agree) -> None:
    """Each expert is given the router's weight times what that reads, and 0 of tokens that were routed elsewhere."""
    assert record.scaled_ETD is not None
    for expert, scaled_TD in enumerate(record.scaled_ETD):
        due_TD = record.in_TD * _share(record, expert)[:, None]
        agree(
            live, f"expert {expert} of layer {found.layer} reads the router's weight times its input", scaled_TD, due_TD
        )


def _share(record: ExpertRecord, expert: int) -> Tensor:
    """The router's weight of an expert at each token, 0 where it was routed elsewhere: [T]."""
    return (record.weights_TK * (record.chosen_TK == expert)).sum(1)


def _written(found: ExpertLayer, expert: int, acts_RN: Tensor) -> Tensor:
    return _plus(acts_RN @ found.weight("down_proj", expert).float(), found.bias("down_proj", expert))


def _plus(value: Tensor, bias: Tensor | None) -> Tensor:
    return value if bias is None else value + bias.float()
