"""Prove on two tokens that an adapter tells the truth about a loaded model, before anything is measured.

Each check compares a tensor of a real forward pass with the same quantity computed from the weights that the
adapter names. Swapped branches, transposed matrices, a wrong half of a fused one or a forgotten bias give
other numbers, so a wrong adapter can't write a wrong atlas.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers.activations import ACT2FN

from atlas.errors import ModelError
from atlas.live.generation_check import check_generation, run_edited_rows
from atlas.live.model import LiveModel
from atlas.live.probe import Record, probe_ids, run_probe
from atlas.live.versions import ran_with

# Largest allowed difference, relative to the largest value of the token: a few roundings of the dtype.
TOLERANCE = {torch.float32: 1e-4, torch.float16: 3e-3, torch.bfloat16: 2e-2}


def validate(live: LiveModel) -> None:
    """Raise ModelError naming the family, the check and the numbers unless every check holds."""
    if live.dtype not in TOLERANCE:
        dtype = str(live.dtype).removeprefix("torch.")
        raise ModelError(f"{live.model_id} is in {dtype}, whose rounding is not known here", "Use --dtype float32.")
    check_finite_weights(live)
    input_ids = probe_ids(live)
    record = run_probe(live, {"input_ids": input_ids, "use_cache": True})
    for layer in range(live.n_layers):
        _check_shapes(live, layer, record)
        _check_reading(live, layer, record)
        _check_activation(live, layer, record)
        _check_writing(live, layer, record)
        _check_stream(live, layer, record)
    _check_final_norm(live)
    _check_head(live, record)
    rows = run_edited_rows(live, input_ids, record)
    _check_zeroing(live, record, rows.zeroed)
    check_generation(live, input_ids, record, rows)


def check_finite_weights(live: LiveModel) -> None:
    """Raise ModelError naming the first parameter that holds an infinity or a NaN."""
    for name, parameter in live.model.named_parameters():
        if parameter.is_meta:  # in a file, where it was looked at
            continue
        low, high = torch.aminmax(parameter)  # NaN propagates into both; no temporary of the tensor's size
        if not (torch.isfinite(low) and torch.isfinite(high)):
            raise ModelError(f"the weights of {live.model_id} hold non-finite values in {name}")


def _check_shapes(live: LiveModel, layer: int, record: Record) -> None:
    for site in live.sites():
        found = tuple(record.sites[site, layer].shape)
        if found != (2, live.width(site)):
            raise _misfit(live, f"{site} of layer {layer} has shape {found}, expected {(2, live.width(site))}")
    for name in live.weights():
        found = tuple(live.weight(name, layer).shape)
        if found != (live.d_mlp, live.d_model):
            raise _misfit(live, f"{name} of layer {layer} has shape {found}, expected {(live.d_mlp, live.d_model)}")


def _check_reading(live: LiveModel, layer: int, record: Record) -> None:
    """Each reading weight times the MLP's input gives the site before or beside the activation function."""
    reads = {"mlp_pre": "gate_proj", "mlp_pre_linear": "up_proj"} if live.gated else {"mlp_pre": "up_proj"}
    for site, name in reads.items():
        expected = record.mlp_in[layer] @ live.weight(name, layer).float().T
        bias = live.bias(name, layer)
        if bias is not None:
            expected = expected + bias.float()
        _agree(live, f"{site} = {name} of the MLP's input, layer {layer}", record.sites[site, layer], expected)


def _check_activation(live: LiveModel, layer: int, record: Record) -> None:
    """The neuron activation is the activation function's value, times the linear branch when gated."""
    expected = ACT2FN[live.hidden_act](record.sites["mlp_pre", layer])
    if live.gated:
        expected = expected * record.sites["mlp_pre_linear", layer]
    _agree(
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
    _agree(live, f"MLP output = mlp_post @ down_proj, layer {layer}", record.mlp_out[layer], expected)


def _check_stream(live: LiveModel, layer: int, record: Record) -> None:
    """resid_post is what the next block reads, and each block changes it."""
    after = record.sites["resid_post", layer]
    if torch.equal(after, record.block_in[layer]):
        raise _misfit(live, f"resid_post of layer {layer} equals the block's input")
    if layer + 1 < live.n_layers:
        _agree(live, f"resid_post of layer {layer} = input of the next block", after, record.block_in[layer + 1])


def _check_final_norm(live: LiveModel) -> None:
    """The final norm of a made-up vector is its normalised value times the gain that the adapter gives."""
    norm = live.adapter.final_norm
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
        _agree(live, "final norm = normalised input times its gain", module(x_D[None]).float(), expected[None])


def _check_head(live: LiveModel, record: Record) -> None:
    """The last resid_post through the final norm and the unembedding gives the model's logits."""
    with torch.inference_mode():
        last = record.sites["resid_post", live.n_layers - 1].to(live.dtype)
        normed = live.submodule(live.adapter.final_norm.module)(last)
        expected = normed.float().to(live.device) @ live.unembedding().float().T
    cap = live.logit_softcap
    if cap:
        expected = cap * torch.tanh(expected / cap)
    _agree(live, "logits = unembedding of the normed last resid_post", record.logits, expected)


def _check_zeroing(live: LiveModel, record: Record, zeroed: Record) -> None:
    """Setting every neuron activation to 0 leaves the MLPs their bias only, and changes the logits."""
    for layer in range(live.n_layers):
        bias = live.bias("down_proj", layer)
        expected = torch.zeros_like(zeroed.mlp_out[layer])
        if bias is not None:
            expected = expected + bias.float()
        _agree(live, f"MLP output with mlp_post zeroed, layer {layer}", zeroed.mlp_out[layer], expected)
    change = (zeroed.logits[: len(record.logits)] - record.logits).abs().max()
    if change <= TOLERANCE[live.dtype] * record.logits.abs().max():
        raise _misfit(live, "zeroing mlp_post leaves the logits unchanged")


def _agree(live: LiveModel, check: str, found: Tensor, expected: Tensor) -> None:
    """Compare [tokens, width] tensors; token by token, as the first one's values can dwarf the others'."""
    found, expected = found.to(live.device), expected.to(live.device)
    if found.shape != expected.shape:
        raise _misfit(live, f"{check}: shapes {tuple(found.shape)} and {tuple(expected.shape)}")
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
        raise _misfit(
            live,
            f"{check}: differs by {difference[worst]:.3g} where values reach {scale[worst]:.3g}, "
            f"allowed {TOLERANCE[live.dtype]:g} of that",
        )


def _misfit(live: LiveModel, what: str) -> ModelError:
    return ModelError(
        f"the {live.adapter.family} adapter does not fit {live.model_id}: {what}",
        f"Nothing can be measured on this model with it; see docs/adding-a-family.md. Ran with {ran_with()}.",
    )
