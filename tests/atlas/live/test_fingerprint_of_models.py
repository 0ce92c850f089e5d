"""The second kind of fingerprint: layers in their order, and what the config says of the computation."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from atlas.errors import SpecError
from atlas.fingerprint_kinds import may_be_of_one_model
from atlas.live.intervene import check_model
from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.spec.document import Edit, InterventionSpec, ModelReference, Tokenization
from tests.synthetic import make_model


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("llama", tmp_path_factory.mktemp("fingerprint") / "llama")


def changed(folder: Path, to: Path, **fields: object) -> LiveModel:
    """The model of `folder` with other fields in its config.json; None takes one out."""
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    config = {name: value for name, value in {**config, **fields}.items() if value is not None}
    (to / "config.json").write_text(json.dumps(config))
    return load(str(to), device="cpu")


def digest(values: torch.Tensor) -> str:
    return hashlib.sha256(repr(tuple(values.shape)).encode() + np.asarray(values.numpy(), "<f4").tobytes()).hexdigest()


def test_the_definition(llama):
    live = load(str(llama), device="cpu")
    blocks, rest = [set(), set(), set()], set()
    for name, tensor in load_file(llama / "model.safetensors").items():
        parts = name.split(".")
        (blocks[int(parts[2])] if parts[1] == "layers" else rest).add(digest(tensor))
    said = {
        "blocks": [sorted(block) for block in blocks],
        "computation": {"heads": ["4", "2", "4"], "model_type": "llama", "rope": {"rope_theta": "10000"}},
        "rest": sorted(rest),
    }
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    assert live.fingerprint == "sha256v2:" + hashlib.sha256(text.encode()).hexdigest()


def test_layers_that_changed_places_are_another_model(llama, tmp_path):
    shutil.copytree(llama, tmp_path / "swapped")
    file = tmp_path / "swapped" / "model.safetensors"
    place = {"model.layers.0.": "model.layers.2.", "model.layers.2.": "model.layers.0."}
    swapped = {place.get(name[:15], name[:15]) + name[15:]: tensor for name, tensor in load_file(file).items()}
    save_file(swapped, file, {"format": "pt"})
    before, after = load(str(llama), device="cpu"), load(str(tmp_path / "swapped"), device="cpu")
    assert before.weights_fingerprint == after.weights_fingerprint  # what the second kind is for
    assert before.fingerprint != after.fingerprint


COMPUTES_OTHERWISE = {
    "base of the rotary embedding": ("llama", {"rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}}),
    "scaled rotary embedding": (
        "llama",
        {"rope_parameters": {"rope_theta": 10000.0, "rope_type": "linear", "factor": 2.0}},
    ),
    "epsilon of the norms": ("llama", {"rms_norm_eps": 0.01}),
    "activation function": ("llama", {"hidden_act": "gelu"}),
    "number of heads": ("llama", {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 2}),
    "softcap of the logits": ("gemma2", {"final_logit_softcapping": 5.0}),
    "softcap of the attention": ("gemma2", {"attn_logit_softcapping": 5.0}),
    "scale of the attention": ("gemma2", {"query_pre_attn_scalar": 16}),
    "length of the window": ("gemma2", {"sliding_window": 2}),
    "which layers have it": ("gemma2", {"layer_types": ["full_attention", "sliding_attention", "full_attention"]}),
    "parallel or in turn": ("gpt_neox", {"use_parallel_residual": False}),
    "share that is rotated": (
        "gpt_neox",
        {"rope_parameters": {"rope_theta": 10000.0, "partial_rotary_factor": 1.0, "rope_type": "default"}},
    ),
    "scale by layer": ("gpt2", {"scale_attn_by_inverse_layer_idx": True}),
}


@pytest.mark.parametrize("what", COMPUTES_OTHERWISE)
def test_a_config_that_computes_otherwise_is_another_model(what, tmp_path):
    family, fields = COMPUTES_OTHERWISE[what]
    before = load(str(make_model(family, tmp_path / "before")), device="cpu")
    after = changed(tmp_path / "before", tmp_path / "after", **fields)
    ids = torch.arange(9, 57)[None]
    with torch.inference_mode():
        logits = [live.model(input_ids=ids).logits for live in (before, after)]
    assert not torch.equal(*logits)  # the field does change the computation
    assert before.weights_fingerprint == after.weights_fingerprint
    assert before.fingerprint != after.fingerprint


SAVED_OTHERWISE = {
    "base at the top level": ("llama", {"rope_parameters": None, "rope_theta": 10000}),
    "base left to the default": ("llama", {"rope_parameters": None}),
    "the older name of the scaling": ("llama", {"rope_parameters": None, "rope_theta": 10000.0, "rope_scaling": None}),
    "no default written": ("llama", {"attention_bias": None, "mlp_bias": None, "head_dim": None, "hidden_act": None}),
    "numbers of a GGUF file": ("llama", {"rms_norm_eps": 9.999999974752427e-07}),
    "for training and generation": (
        "llama",
        {"attention_dropout": 0.5, "initializer_range": 0.3, "use_cache": False, "pad_token_id": 7, "bos_token_id": 9},
    ),
    "a longer context": ("llama", {"max_position_embeddings": 128}),
    "who saved it": ("llama", {"transformers_version": "4.40.0", "architectures": ["Other"], "_name_or_path": "x"}),
    "share at the top level": ("gpt_neox", {"rope_parameters": None, "rotary_pct": 0.25, "rotary_emb_base": 10000}),
    "layers of windows left to the default": ("gemma2", {"layer_types": None}),
    "windows of an older version": ("qwen2", {"max_window_layers": 2, "layer_types": None}),
    "two bases at the top level": (
        "gemma3",
        {"rope_parameters": None, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0},
    ),
}


@pytest.mark.parametrize("how", SAVED_OTHERWISE)
def test_another_way_to_save_a_model_is_the_same_model(how, tmp_path):
    family, fields = SAVED_OTHERWISE[how]
    before = load(str(make_model(family, tmp_path / "before")), device="cpu")
    after = changed(tmp_path / "before", tmp_path / "after", **fields)
    assert before.fingerprint == after.fingerprint


def test_a_field_that_a_later_version_adds_changes_nothing(llama, monkeypatch):
    before = load(str(llama), device="cpu")
    monkeypatch.setattr("atlas.live.computation.own_fields", lambda made: {"new_scale", "new_list", "rms_norm_eps"})
    config = type(before.model.config)
    monkeypatch.setattr(config, "new_scale", 1.5, raising=False)
    monkeypatch.setattr(config, "new_list", property(lambda self: [0] * self.num_hidden_layers), raising=False)
    assert load(str(llama), device="cpu").fingerprint == before.fingerprint


def spec_for(live: LiveModel, fingerprint: str) -> InterventionSpec:
    dims = {name: getattr(live, name) for name in ("n_layers", "d_model", "d_mlp", "gated")}
    return InterventionSpec(
        model=ModelReference(id="m", fingerprint=fingerprint, **dims),
        tokenization=Tokenization(False, False),
        edits=(Edit("mlp_post", 0, 1, "set", 0.0),),
    )


def test_files_with_a_fingerprint_of_the_first_kind_still_name_their_model(llama):
    live = load(str(llama), device="cpu")
    for known in (live.fingerprint, live.weights_fingerprint):
        assert live.has_fingerprint(known)
        check_model(live, spec_for(live, known))
    for known in ("sha256:" + "0" * 64, "sha256v2:" + "0" * 64, "sha256v2:" + live.weights_fingerprint[7:]):
        assert not live.has_fingerprint(known)
        with pytest.raises(SpecError, match=r"model\.fingerprint"):
            check_model(live, spec_for(live, known))
    spec = spec_for(live, "sha256:" + "0" * 64)
    shown = live.weights_fingerprint.removeprefix("sha256:")[:12]
    with pytest.raises(SpecError, match=shown):  # what it is compared with is of the same kind
        check_model(live, replace(spec, phase="all"))


def test_fingerprints_of_two_kinds_may_be_of_one_model():
    first, other, second = "sha256:" + "0" * 64, "sha256:" + "1" * 64, "sha256v2:" + "0" * 64
    assert may_be_of_one_model(first, first) and may_be_of_one_model(first, second)
    assert may_be_of_one_model(second, other) and not may_be_of_one_model(first, other)
    assert not may_be_of_one_model(second, "sha256v2:" + "1" * 64)
