"""A wrong adapter, a damaged model: nothing that would give a wrong atlas gets past validation."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from atlas.errors import ModelError
from atlas.live.adapters.base import FinalNorm, Part, Tap, WeightPlace
from atlas.live.loading import load
from atlas.live.validation import validate
from tests.synthetic import make_model

LAYER = "model.layers.{layer}"
MLP = f"{LAYER}.mlp"


def with_adapter(live, sites=None, weights=None, **fields):
    """A copy of `live` whose adapter has some places replaced."""
    adapter = dataclasses.replace(
        live.adapter,
        sites={**live.adapter.sites, **(sites or {})},
        weights={**live.adapter.weights, **(weights or {})},
        **fields,
    )
    return dataclasses.replace(live, adapter=adapter)


def swapped(live, table: str, one: str, other: str) -> dict:
    places = getattr(live.adapter, table)
    return {one: places[other], other: places[one]}


def test_swapped_branches(live_of):
    for variant in ("llama", "phi3", "gemma3"):
        live = live_of(variant)
        both = dict(
            sites=swapped(live, "sites", "mlp_pre", "mlp_pre_linear"),
            weights=swapped(live, "weights", "up_proj", "gate_proj"),
        )
        with pytest.raises(ModelError, match=r"mlp_post = .* of mlp_pre, layer 0: differs by .* allowed 0.0001"):
            validate(with_adapter(live, **both))
        with pytest.raises(ModelError, match="mlp_pre = gate_proj of the MLP's input"):
            validate(with_adapter(live, weights=both["weights"]))
        with pytest.raises(ModelError, match="mlp_pre = gate_proj of the MLP's input"):
            validate(with_adapter(live, sites=both["sites"]))


def test_the_message_names_the_family_and_the_model(live_of):
    live = live_of("gpt2")
    wrong = with_adapter(live, sites={"mlp_post": Tap("transformer.h.{layer}.mlp.c_fc", "output")})
    with pytest.raises(ModelError, match="the gpt2 adapter does not fit gpt2: mlp_post = gelu_new of mlp_pre"):
        validate(wrong)


def test_the_activation_functions_output_as_mlp_post(live_of):
    with pytest.raises(ModelError, match="mlp_post = silu of mlp_pre"):
        validate(with_adapter(live_of("llama"), sites={"mlp_post": Tap(f"{MLP}.act_fn", "output")}))


def test_a_matrix_the_wrong_way_round_when_all_dims_are_equal(tmp_path):
    live = load(str(make_model("llama", tmp_path, intermediate_size=16)), device="cpu")
    for name in live.weights():
        place = live.adapter.weights[name]
        turned = dataclasses.replace(place, neurons_last=not place.neurons_last)
        with pytest.raises(ModelError, match=f"{name}.*differs by"):
            validate(with_adapter(live, weights={name: turned}))


def test_forgotten_biases(live_of):
    for variant, name in (("llama_with_biases", "up_proj"), ("gpt2", "up_proj"), ("gpt_neox", "down_proj")):
        live = live_of(variant)
        place = dataclasses.replace(live.adapter.weights[name], bias=None)
        with pytest.raises(ModelError, match="differs by"):
            validate(with_adapter(live, weights={name: place}))


def test_the_wrong_residual_stream(live_of):
    live = live_of("llama")
    with pytest.raises(ModelError, match="equals the block's input"):
        validate(with_adapter(live, sites={"resid_post": Tap(LAYER, "input")}))
    with pytest.raises(ModelError, match="input of the next block"):
        validate(with_adapter(live, sites={"resid_post": Tap(MLP, "output")}))


@pytest.mark.parametrize(
    ("variant", "norm"),
    [
        ("gemma2", FinalNorm("model.norm", "rms")),
        ("llama", FinalNorm("model.norm", "rms", offset=1.0)),
        ("llama", FinalNorm("model.norm", "layer")),
        ("gpt2", FinalNorm("transformer.ln_f", "rms")),
    ],
)
def test_a_wrong_final_norm(live_of, variant, norm):
    with pytest.raises(ModelError, match="final norm = normalised input times its gain"):
        validate(with_adapter(live_of(variant), final_norm=norm))


def test_another_norm_than_the_one_before_the_head(live_of):
    norm = FinalNorm("model.layers.0.input_layernorm", "rms")
    with pytest.raises(ModelError, match="logits = unembedding of the normed last resid_post"):
        validate(with_adapter(live_of("qwen3"), final_norm=norm))


def test_paths_that_do_not_exist(live_of):
    live = live_of("qwen2")
    with pytest.raises(ModelError, match=r"no module model\.layers\.0\.mlp\.fc1"):
        validate(with_adapter(live, sites={"mlp_pre": Tap(f"{MLP}.fc1", "output")}))
    with pytest.raises(ModelError, match=r"no parameter model\.layers\.0\.mlp\.fc1\.weight"):
        validate(with_adapter(live, weights={"up_proj": WeightPlace(f"{MLP}.fc1.weight")}))


def test_a_part_of_a_matrix_that_is_not_fused(live_of):
    live = live_of("llama")
    half = WeightPlace(f"{MLP}.up_proj.weight", part=Part(0, 2))
    with pytest.raises(ModelError, match=r"up_proj of layer 0 has shape \(16, 16\), expected \(32, 16\)"):
        validate(with_adapter(live, weights={"up_proj": half}))


def test_the_activation_function_is_proven(tmp_path):
    live = load(str(make_model("mistral", tmp_path)), device="cpu")
    live.model.config.hidden_act = "gelu"
    with pytest.raises(ModelError, match="mlp_post = gelu of mlp_pre"):
        validate(live)


def test_a_block_that_does_not_use_its_neurons(tmp_path):
    live = load(str(make_model("llama", tmp_path)), device="cpu")
    for block in live.model.model.layers:
        block.mlp.register_forward_hook(lambda module, args, output: torch.zeros_like(output))
    with pytest.raises(ModelError, match="MLP output = mlp_post @ down_proj"):
        validate(live)


def test_a_layer_used_twice(tmp_path):
    live = load(str(make_model("llama", tmp_path)), device="cpu")
    live.model.model.layers[1] = live.model.model.layers[0]
    with pytest.raises(ModelError, match="computes mlp_pre of layer 0 2 times"):
        validate(live)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_non_finite_weights(tmp_path, value):
    live = load(str(make_model("gemma3", tmp_path)), device="cpu")
    with torch.no_grad():
        live.model.model.layers[1].mlp.up_proj.weight[3, 2] = value
    live.model.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"non-finite values in model\.layers\.1\.mlp\.up_proj\.weight"):
        load(str(tmp_path), device="cpu")


def test_overflow_in_half_precision_is_named(tmp_path):
    live = load(str(make_model("llama", tmp_path)), device="cpu")
    live.model.model.layers[0].mlp.up_proj.weight.mul_(60000)
    live.model.save_pretrained(tmp_path)
    load(str(tmp_path), device="cpu")
    with pytest.raises(ModelError, match="non-finite values in float16"):
        load(str(tmp_path), device="cpu", dtype="float16")


def test_lower_precision_passes(tmp_path):
    for family in ("llama", "gpt2", "gemma2", "phi3"):
        folder = str(make_model(family, tmp_path / family))
        for dtype in ("bfloat16", "float16"):
            assert load(folder, device="cpu", dtype=dtype).dtype == getattr(torch, dtype)


def test_a_precision_without_a_tolerance_is_refused(tmp_path):
    live = load(str(make_model("llama", tmp_path / "m")), device="cpu")
    live.model.double()
    with pytest.raises(ModelError, match="float64"):
        validate(live)
