"""Checkpoints, adapters and control vectors, loaded by transformers, peft and gguf alone, against plain hooks."""

from __future__ import annotations

import json
import os
import runpy
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from atlas.errors import SpecError
from atlas.live.adapters.registry import find_adapter
from atlas.live.loading import load
from atlas.live.saving import with_both_rope_keys
from atlas.spec.document import Edit, InterventionSpec
from builders.export import export as exporting
from builders.export.export import export
from builders.export.weights import weights
from tests import warm
from tests.builders.export import reference
from tests.builders.export.specs import spec_of

WITH_BIAS = (
    ("mlp_pre", "set", 1.5),
    ("mlp_pre", "scale", -0.5),
    ("mlp_pre", "add", 0.7),
    ("mlp_pre_linear", "set", 0.5),
    ("mlp_pre_linear", "scale", 2.0),
    ("mlp_pre_linear", "add", -0.7),
    ("mlp_post", "set", 1.5),
    ("mlp_post", "set", 0.0),
    ("mlp_post", "scale", -0.5),
    ("mlp_post", "add", 0.7),
    ("resid_post", "add", 1.0),
)
WITHOUT_BIAS = tuple((site, op, 0.0 if op == "set" else v) for site, op, v in WITH_BIAS if op in ("set", "scale"))
LORA = (("mlp_post", "set", 0.0), ("mlp_post", "scale", 3.0), ("mlp_post", "scale", -1.0))
VECTOR = (("mlp_post", "add", 2.0), ("mlp_post", "add", -1.0), ("resid_post", "add", 1.0))
IDS = [14, 21, 62, 55, 31, 9]


def edits(live, rows, layers=(0, 1, 2), every_site_on_one_neuron=True):
    """The rows at different neurons of each layer, and again all at one neuron, one a site."""
    rows = [row for row in rows if row[0] in live.sites()]
    found = [Edit(site, layer, 2 + layer + i, op, v) for layer in layers for i, (site, op, v) in enumerate(rows)]
    one_a_site = {site: (op, v) for site, op, v in rows}
    if every_site_on_one_neuron:
        found += [Edit(site, layer, 0, op, v) for layer in layers for site, (op, v) in one_a_site.items()]
    return found


def baked(live, spec, folder):
    """The checkpoint's folder, without the check in a process of its own that `export` makes of it."""
    folder.mkdir()
    weights.write(live, spec, folder)
    return folder


def plain_model(path):
    """Eager: some versions of transformers let the other attentions drop a softcap."""
    return AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()


def all_logprobs(model, ids=IDS):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)


def assert_like_the_hooks(live, spec, model):
    expected = reference.logprobs(live, spec, IDS)
    assert torch.allclose(all_logprobs(model), expected, atol=1e-4, rtol=0)
    assert not torch.allclose(expected, reference.logprobs(live, None, IDS), atol=0.05)


@pytest.mark.parametrize("variant", ["llama", "llama_with_biases", "gpt2", "gpt_neox", "gpt_neox_in_turn"])
def test_baked_weights_with_every_op(variant, live_of, tmp_path):
    live = live_of(variant)
    spec = spec_of(live, edits(live, WITH_BIAS))
    path = baked(live, spec, tmp_path / "baked")
    assert_like_the_hooks(live, spec, plain_model(path))
    assert load(str(path)).fingerprint != live.fingerprint
    record = json.loads((path / "neuron-atlas.json").read_text(encoding="utf-8"))
    assert record["spec"]["check"]["tokens"] == list(spec.check.tokens)


@pytest.mark.parametrize("variant", ["mistral", "qwen2", "qwen3", "gemma2", "gemma3", "phi3"])
def test_without_a_bias_zero_and_scale_can_be_baked_and_the_rest_is_refused(variant, live_of, tmp_path, monkeypatch):
    live = live_of(variant)
    monkeypatch.setattr(exporting, "load_for", lambda *_, **__: live)  # once is enough
    spec = spec_of(live, edits(live, WITHOUT_BIAS))
    path = baked(live, spec, tmp_path / "baked")
    assert_like_the_hooks(live, spec, plain_model(path))
    for site, op, value in WITH_BIAS:
        if (site, op, value) not in WITHOUT_BIAS and op != "scale":
            with pytest.raises(SpecError, match=f"{op} .* at {site} exactly") as caught:
                export(spec_of(live, [Edit(site, 1, 3, op, value)]), "weights", tmp_path / "other")
            assert "hooks" in caught.value.hint
    assert os.listdir(tmp_path) == ["baked"]


def test_the_model_itself_stays_as_it_is(live_of, tmp_path):
    live = live_of("gpt2")
    before = all_logprobs(live.model)
    baked(live, spec_of(live, edits(live, WITH_BIAS)), tmp_path / "baked")
    assert torch.equal(all_logprobs(live.model), before)


@pytest.mark.usefixtures("exports_start_at_once")
def test_a_checkpoint_verifies_itself_without_this_project(live_of, tmp_path):
    live = live_of("llama")
    report = export(spec_of(live, [Edit("mlp_post", 1, 3, "set", 2.0)]), "weights", tmp_path / "baked")
    path = report.path
    assert report.difference < 1e-4  # as the checkpoint's own script found
    shutil.copy(Path(live.model_id) / "model.safetensors", path)
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(path / "verify_neuron_atlas.py"), run_name="__main__")
    assert "missing_keys" in str(left.value.code)  # a text, which a process ends with code 1 after


@pytest.mark.parametrize("variant", ["llama", "mistral", "gpt2", "gpt_neox", "gemma2", "phi3"])
def test_lora(variant, live_of, tmp_path):
    peft = pytest.importorskip("peft", reason="peft is not installed (make test installs it)")
    live = live_of(variant)
    spec = spec_of(live, edits(live, LORA, layers=(0, 2), every_site_on_one_neuron=False))
    report = export(spec, "lora", tmp_path / "adapter")
    assert report.difference < 1e-4
    base = plain_model(live.model_id)
    model = peft.PeftModel.from_pretrained(base, report.path).eval()
    assert_like_the_hooks(live, spec, model)
    with model.disable_adapter():
        assert torch.allclose(all_logprobs(model), reference.logprobs(live, None, IDS), atol=1e-5)


def test_an_adapter_verifies_itself_without_this_project(live_of, tmp_path):
    pytest.importorskip("peft", reason="peft is not installed (make test installs it)")
    live = live_of("llama")
    path = export(spec_of(live, [Edit("mlp_post", 1, 3, "set", 0.0)]), "lora", tmp_path / "adapter").path
    done = warm.run(["-I", "verify_neuron_atlas.py", live.model_id], cwd=path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("variant", ["llama", "gpt2", "gpt_neox", "phi3", "gemma2"])
def test_control_vector(variant, live_of, tmp_path):
    gguf = pytest.importorskip("gguf")
    live = live_of(variant)
    rows = [row for row in VECTOR if variant != "gemma2" or row[0] == "resid_post"]
    spec = spec_of(live, edits(live, rows, layers=(1, 2)))
    report = export(spec, "control-vector", tmp_path / "vector.gguf")
    reader = gguf.GGUFReader(report.path)
    assert reader.get_field("general.architecture").contents() == "controlvector"
    assert reader.get_field("controlvector.layer_count").contents() == 2
    assert json.loads(reader.get_field("neuron-atlas.check").contents())["tokens"] == list(spec.check.tokens)
    handles = []
    for tensor in reader.tensors:
        block = reference.blocks(live)[int(tensor.name.removeprefix("direction."))]
        vector = torch.tensor(tensor.data)
        assert tensor.tensor_type.name == "F32" and vector.shape == (live.d_model,)

        def add(module, args, output, vector=vector):
            return (output[0] + vector, *output[1:]) if isinstance(output, tuple) else output + vector

        handles.append(block.register_forward_hook(add))
    try:
        found = all_logprobs(live.model)
    finally:
        for handle in handles:
            handle.remove()
    assert torch.allclose(found, reference.logprobs(live, spec, IDS), atol=1e-4, rtol=0)


def test_control_vector_refusals(live_of, tmp_path):
    for variant, layer, reason in (("llama", 0, "no control vector for layer 0"), ("gemma2", 1, "a norm follows")):
        live = live_of(variant)
        with pytest.raises(SpecError, match=reason):
            export(spec_of(live, [Edit("mlp_post", layer, 3, "add", 2.0)]), "control-vector", tmp_path / "v.gguf")


def both_rope_keys(raw):
    return with_both_rope_keys(raw, find_adapter(raw).older_rope)


def test_both_rope_keys():
    rope = {"rope_parameters": {"rope_theta": 5e4, "rope_type": "linear", "factor": 2.0}, "model_type": "llama"}
    assert both_rope_keys(rope)["rope_theta"] == 5e4
    assert both_rope_keys(rope)["rope_scaling"] == {"rope_type": "linear", "factor": 2.0}
    kinds = {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}
    gemma = both_rope_keys({"rope_parameters": kinds, "model_type": "gemma3_text"})
    assert (gemma["rope_theta"], gemma["rope_local_base_freq"]) == (1e6, 1e4)
    neox = {"rope_theta": 1e4, "partial_rotary_factor": 0.3}
    neox = both_rope_keys({"rope_parameters": neox, "model_type": "gpt_neox"})
    assert (neox["rotary_emb_base"], neox["rotary_pct"]) == (1e4, 0.3)


def test_a_rope_base_survives_the_export(tmp_path):
    from tests.synthetic import make_model

    rope = {"rope_theta": 77.0, "rope_type": "default"}
    live = load(str(make_model("llama", tmp_path / "llama", rope_parameters=rope)))
    live.model_id = str(tmp_path / "llama")
    spec: InterventionSpec = spec_of(live, [Edit("mlp_post", 1, 3, "set", 2.0)])
    path = baked(live, spec, tmp_path / "baked")
    raw = json.loads((path / "config.json").read_text(encoding="utf-8"))
    assert raw["rope_theta"] == raw["rope_parameters"]["rope_theta"] == 77.0
    assert_like_the_hooks(live, spec, plain_model(path))
