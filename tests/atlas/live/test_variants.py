"""Models that an adapter would describe wrongly: by a switch of their config, or by what the adapter says of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from safetensors.torch import load_file, save_file

from atlas.errors import ModelError
from atlas.live.loading import load
from atlas.live.validation import validate
from tests.synthetic import make_model

POST_NORM = "every block normalises the stream itself"
SWITCHED = [
    ("opt", {"do_layer_norm_before": False}, "do_layer_norm_before False, and then " + POST_NORM),
    ("opt", {"layer_norm_elementwise_affine": False}, "its norms have no weights"),
    ("opt", {"_remove_final_layer_norm": True}, "no norm stands before the LM head"),
    ("bloom", {"apply_residual_connection_post_layernorm": True}, POST_NORM),
    ("bloom", {"pretraining_tp": 2, "slow_but_exact": True}, "its matrices are applied in slices"),
]


@pytest.mark.parametrize(("variant", "fields", "reason"), SWITCHED)
def test_a_switch_is_refused_by_name_and_with_the_reason(variant, fields, reason, tmp_path):
    folder = make_model(variant, tmp_path / "m", **fields)
    with pytest.raises(ModelError, match=reason):
        load(str(folder), device="cpu")


def test_an_embedding_narrower_than_the_stream_is_refused(tmp_path):
    folder = make_model("opt", tmp_path / "m", word_embed_proj_dim=8)
    with pytest.raises(ModelError, match="word_embed_proj_dim 8, and then a matrix stands"):
        load(str(folder), device="cpu")


WRONG = [
    ("granite", {"write_scale": None}, "resid_post of layer 0"),
    ("granite", {"logit_divisor_field": None}, "logits = unembedding"),
    ("hyperclovax_post_norm", {"mlp_out_norm": None}, "resid_post of layer 0"),
    ("glm4", {"mlp_out_norm": "model.layers.{layer}.post_self_attn_layernorm"}, "resid_post of layer 0"),
    ("cohere", {"logit_scale_field": None}, "logits = unembedding"),
    ("bloom", {"activation": "relu"}, "mlp_post = relu"),
    ("bloom", {"mlp_end": "transformer.h.{layer}.mlp"}, "MLP output"),
    ("apertus", {"activation_module": None}, "mlp_post = xielu"),
]


@pytest.mark.parametrize(("variant", "said", "check"), WRONG)
def test_an_adapter_that_says_something_else_does_not_pass(variant, said, check, tmp_path):
    live = load(str(make_model(variant, tmp_path / "m")), device="cpu")
    with pytest.raises(ModelError, match=check):
        validate(replace(live, adapter=replace(live.adapter, **said)))


@pytest.mark.parametrize("variant", ["llava", "exaone"])
def test_published_names_of_tensors_are_translated(variant, tmp_path):
    """Saved under the names of its hub checkpoints, and under those of the class: one model. A stranger stays one."""
    folder = make_model(variant, tmp_path / "m")
    path, live = folder / "model.safetensors", load(str(folder), device="cpu")
    published, own = load_file(path), live.tensors()
    assert len(published) == len(own)
    assert not any(name.startswith("model.l") for name in published)
    save_file({name: tensor.clone() for name, tensor in own.items()}, path, {"format": "pt"})
    assert load(str(folder), device="cpu").fingerprint == live.fingerprint
    stranger = next(name for name in published if ".0." in name) + ".stranger"
    save_file({**published, stranger: next(iter(published.values())).clone()}, path, {"format": "pt"})
    with pytest.raises(ModelError, match="leaves no place for"):
        load(str(folder), device="cpu")


HOSTILE = [
    ({"vision_config": {"num_hidden_layers": 10**9}}, "num_hidden_layers is 1000000000"),
    ({"text_config": {"num_hidden_layers": 10**9}}, "weights of at most"),
    ({"text_config": {"num_experts": 8}}, "mixture of experts"),
    ({"text_config": {"model_type": "xlnet"}}, "'xlnet' has no adapter"),
    ({"text_config": {"model_type": ["llama"]}}, "cannot load the config"),
    ({"text_config": {"hidden_size": -1}}, "nothing in a config is negative"),
    ({"text_config": {"attn_implementation": "someone/kernel"}}, None),
    ({"quantization_config": {"quant_method": "gptq"}}, "quantised"),
]


@pytest.mark.parametrize(("fields", "reason"), HOSTILE)
def test_what_a_config_says_within_its_parts_is_checked(fields, reason, tmp_path):
    folder = make_model("llava", tmp_path / "m")
    raw = json.loads((folder / "config.json").read_text())
    for name, value in fields.items():
        raw[name] = {**raw.get(name, {}), **value}
    (folder / "config.json").write_text(json.dumps(raw))
    if reason is None:  # a field that would have a kernel fetched goes no further
        assert load(str(folder), device="cpu").config._attn_implementation in ("sdpa", "eager")
        return
    with pytest.raises(ModelError, match=reason):
        load(str(folder), device="cpu")
