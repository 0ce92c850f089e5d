"""Prove on two tokens that an adapter tells the truth about a loaded model, before anything is measured.

Each check compares a tensor of a real forward pass with the same quantity computed from the weights that the
adapter names. Swapped branches, transposed matrices, a wrong half of a fused one or a forgotten bias give
other numbers, so a wrong adapter can't write a wrong atlas.
"""

from __future__ import annotations

import torch
from torch import Tensor

from atlas.errors import ModelError
from atlas.live.arrival_check import check_arrival
from atlas.live.expert_validation import check_experts, whole_output
from atlas.live.generation_check import check_generation, run_edited_rows
from atlas.live.model import LiveModel
from atlas.live.probe import Record, probe_ids, run_probe
from atlas.live.versions import ran_with

# Largest allowed difference, relative to the largest value of the token: a few roundings of the dtype.
TOLERANCE = {torch.float32: 1e-4, torch.float16: 3e-3, torch.bfloat16: 2e-2}


def validate(live: LiveModel) -> None:
    """Raise ModelError naming the family, the check and the numbers unless every check holds."""
    check_weights(live)
    input_ids = probe_ids(live)
    record = run_probe(live, {"input_ids": input_ids, "use_cache": True})
    check_blocks(live, record, input_ids.shape[1])
    check_final_norm(live)
    _check_head(live, record)
    rows = run_edited_rows(live, input_ids, record)
    check_zeroing(live, record, rows.zeroed)
    check_arrival(live, input_ids, record, agree)
    if live.experts(0) is not None:
        _check_arrival_of_experts(live, record, rows.zeroed)
    check_generation(live, input_ids, record, rows)


def check_weights(live: LiveModel) -> None:
    """Raise ModelError for a dtype whose rounding is not known, and for weights that are no finite numbers."""
    if live.dtype not in TOLERANCE:
        dtype = str(live.dtype).removeprefix("torch.")
        raise ModelError(f"{live.model_id} is in {dtype}, whose rounding is not known here", "Use --dtype float32.")
    check_finite_weights(live)


def check_blocks(live: LiveModel, record: Record, n_tokens: int) -> None:
    """Raise ModelError unless sites, weights and stream of every block are what the adapter says, in that pass."""
    for layer in range(live.n_layers):
        experts = live.experts(layer)
        if experts is not None:
            of_layer, inside, outside = record.experts[layer], record.mlp_in[layer], record.mlp_out[layer]
            check_experts(live, experts, of_layer, inside, outside, agree, misfit)
        else:
            _check_shapes(live, layer, record, n_tokens)
            _check_reading(live, layer, record)
            _check_activation(live, layer, record)
            _check_writing(live, layer, record)
        _check_stream(live, layer, record)


def check_finite_weights(live: LiveModel) -> None:
    """Raise ModelError naming the first parameter that holds an infinity or a NaN."""
    for name, parameter in live.model.named_parameters():
        if parameter.is_meta:  # in a file, where it was looked at
            continue
        low, high = torch.aminmax(parameter)  # NaN propagates into both; no temporary of the tensor's size
        if not (torch.isfinite(low) and torch.isfinite(high)):
            raise ModelError(f"the weights of {live.model_id} hold non-finite values in {name}")


def _check_shapes(live: LiveModel, layer: int, record: Record, n_tokens: int) -> None:
    for site in live.sites():
        found, due = tuple(record.sites[site, layer].shape), (n_tokens, live.width(site, layer))
        if found != due:
            raise misfit(live, f"{site} of layer {layer} has shape {found}, expected {due}")
    for name in live.weights():
        found, due = tuple(live.weight(name, layer).shape), (live.neurons(layer), live.d_model)
        if found != due:
            raise misfit(live, f"{name} of layer {layer} has shape {found}, expected {due}")


def _check_reading(live: LiveModel, layer: int, record: Record) -> None:
    """Each reading weight times the MLP's input gives the site before or beside the activation function."""
    reads = {"mlp_pre": "gate_proj", "mlp_pre_linear": "up_proj"} if live.gated else {"mlp_pre": "up_proj"}
    for site, name in reads.items():
        expected = record.mlp_in[layer] @ live.weight(name, layer).float().T
        bias = live.bias(name, layer)
        if bias is not None:
            expected = expected + bias.float()
        agree(live, f"{site} = {name} of the MLP's input, layer {layer}", record.sites[site, layer], expected)


def _check_activation(live: LiveModel, layer: int, record: Record) -> None:
    """The neuron activation is the activation function's value, times the linear branch when gated."""
    mlp_pre = record.sites["mlp_pre", layer]
    with torch.inference_mode():
        # One with weights of its own computes in their dtype.
        own_dtype = live.dtype if live.adapter.activation_module is not None else mlp_pre.dtype
        expected = live.activation(layer)(mlp_pre.to(own_dtype)).float()
    if live.gated:
        expected = expected * record.sites["mlp_pre_linear", layer]
    agree(
        live,
        f"mlp_post = {live.hidden_act} of mlp_pre, layer {layer}",
        record.sites["mlp_post", layer],
        expected,
    )


def _check_writing(live: LiveModel, layer: int, record: Record) -> None:
    """The neuron activations times the writing weight give the MLP's output."""
    expected = record.sites["mlp_post", layer] @ live.weight("down_proj", layer).float()
    bias = live.bias("down_proj", layer)
    if bias is not None:
        expected = expected + bias.float()
    agree(live, f"MLP output = mlp_post @ down_proj, layer {layer}", record.mlp_out[layer], expected)


def _check_stream(live: LiveModel, layer: int, record: Record) -> None:
    """resid_post is what the next block reads, and each block changes it; of a post-norm block the norm of the sum."""
    after = record.sites["resid_post", layer]
    if live.adapter.block_norm is not None:
        added = record.mlp_in[layer] + record.mlp_out[layer]
        agree(
            live,
            f"what the last norm reads = the MLP's input plus its output, layer {layer}",
            added,
            record.norm_in[layer],
        )
        agree(live, f"resid_post = what the last norm gives, layer {layer}", after, record.norm_out[layer])
    if torch.equal(after, record.block_in[layer]):
        raise misfit(live, f"resid_post of layer {layer} equals the block's input")
    if layer + 1 < live.n_layers:
        agree(live, f"resid_post of layer {layer} = input of the next block", after, record.block_in[layer + 1])


def check_final_norm(live: LiveModel) -> None:
    """The final norm of a made-up vector is its normalised value times the gain that the adapter gives."""
    norm = live.final_norm
    module = live.submodule(norm.module)
    # Far from zero mean, so that the kinds of norm differ, and large, so that epsilon does not matter.
    x_D = torch.linspace(10, 30, live.d_model, device=live.device).to(live.dtype)
    values = x_D.float()
    if norm.kind == "layer":
        values = values - values.mean()
    expected = values / values.pow(2).mean().sqrt() * live.final_norm_gain().float()
    if getattr(module, "bias", None) is not None:
        expected = expected + live.values_in(module, "bias").float()
    with torch.inference_mode():
        agree(live, "final norm = normalised input times its gain", module(x_D[None]).float(), expected[None])


def _check_head(live: LiveModel, record: Record) -> None:
    """The last resid_post through the final norm and the unembedding gives the model's logits."""
    with torch.inference_mode():
        last = record.sites["resid_post", live.n_layers - 1].to(live.dtype)
        normed = live.submodule(live.final_norm.module)(last)
        expected = normed.float().to(live.device) @ live.unembedding().float().T
        bias = live.unembedding_bias()
        if bias is not None:
            expected = expected + bias.float()
        expected = expected * live.logit_scale
    cap = live.logit_softcap
    if cap:
        expected = cap * torch.tanh(expected / cap)
    agree(live, "logits = unembedding of the normed last resid_post", record.logits, expected)


def check_zeroing(live: LiveModel, record: Record, zeroed: Record) -> None:
    """Setting every neuron activation to 0 leaves the MLPs their bias only, and changes the logits."""
    for layer in range(live.n_layers):
        experts = live.experts(layer)
        if experts is not None:
            left = whole_output(live, experts, zeroed.experts[layer])
            agree(live, f"MLP output with mlp_post zeroed, layer {layer}", zeroed.mlp_out[layer], left)
            continue
        bias = live.bias("down_proj", layer)
        expected = torch.zeros_like(zeroed.mlp_out[layer])
        if bias is not None:
            expected = expected + bias.float()
        agree(live, f"MLP output with mlp_post zeroed, layer {layer}", zeroed.mlp_out[layer], expected)
    change = (zeroed.logits[: len(record.logits)] - record.logits).abs().max()
    if change <= TOLERANCE[live.dtype] * record.logits.abs().max():
        raise misfit(live, "zeroing mlp_post leaves the logits unchanged")


def _check_arrival_of_experts(live: LiveModel, record: Record, zeroed: Record) -> None:
    """What the first layer's experts give is added to the stream as the adapter says: by norm, by scale, or as it is.

    In the first block, as nothing else differs there between the two passes.
    """
    n_tokens = len(record.logits)
    written = [each.mlp_out[0][:n_tokens] + _beside(live, each)[:n_tokens] for each in (record, zeroed)]
    out_norm = live.out_norm(0)
    if out_norm is not None:
        with torch.inference_mode():
            written = [live.submodule(out_norm)(each.to(live.dtype)).float() for each in written]
    expected = zeroed.sites["resid_post", 0][:n_tokens] + live.write_scale(0) * (written[0] - written[1])
    agree(
        live, "resid_post of layer 0 = what else is there + the MLP's output", record.sites["resid_post", 0], expected
    )


def _beside(live: LiveModel, record: Record) -> Tensor:
    """What the shared MLP of the first layer writes where its block, not its MLP, adds it; else 0: [T, D]."""
    experts = live.adapter.experts
    of_layer = record.experts.get(0)
    if experts is None or experts.shared_inside or of_layer is None or of_layer.shared_TD is None:
        return torch.zeros_like(record.mlp_out[0])
    return of_layer.shared_TD


def agree(live: LiveModel, check: str, found: Tensor, expected: Tensor) -> None:
    """Compare [tokens, width] tensors; token by token, as the first one's values can dwarf the others'."""
    found, expected = found.to(live.device), expected.to(live.device)
    if found.shape != expected.shape:
        raise misfit(live, f"{check}: shapes {tuple(found.shape)} and {tuple(expected.shape)}")
    if not (torch.isfinite(found).all() and torch.isfinite(expected).all()):
        dtype = str(live.dtype).removeprefix("torch.")
        raise ModelError(
            f"{live.model_id} computes non-finite values in {dtype} ({check})",
            "Load it with dtype float32 or bfloat16.",
        )
    scale = torch.maximum(found.abs().amax(-1), expected.abs().amax(-1))
    difference = (found - expected).abs().amax(-1)
    worst = int((difference - TOLERANCE[live.dtype] * scale).argmax())
    if difference[worst] > TOLERANCE[live.dtype] * scale[worst]:
        raise misfit(
            live,
            f"{check}: differs by {difference[worst]:.3g} where values reach {scale[worst]:.3g}, "
            f"allowed {TOLERANCE[live.dtype]:g} of that",
        )


def misfit(live: LiveModel, what: str) -> ModelError:
    return ModelError(
        f"the {live.adapter.family} adapter does not fit {live.model_id}: {what}",
        f"Nothing can be measured on this model with it; see docs/adding-a-family.md. Ran with {ran_with()}.",
    )
