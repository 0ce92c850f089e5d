"""What adapters say beyond places of tensors, against the models, transformers and gguf themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from atlas.errors import ModelError
from atlas.live.adapters.registry import FAMILIES, find_adapter, tokenizer_classes
from atlas.live.loading import load
from atlas.live.saving import with_both_rope_keys
from tests.synthetic import make_model

# Encoders are read as safetensors only, so they have no names in GGUF files.
LANGUAGE_MODELS = [name for name in FAMILIES if not find_adapter({"model_type": name}).heads]
IDS = torch.tensor([[14, 21, 62, 55]])


def logits(live):
    with torch.no_grad():
        return live.model(input_ids=IDS).logits


def test_whether_a_constant_of_the_mlp_is_one_in_the_stream(live):
    """Plain hooks: 1 is added to what the MLP gives, and the block's output is looked at."""
    block, mlp = (live.model.get_submodule(path.format(layer=1)) for path in (live.adapter.block, live.adapter.mlp))
    seen = []
    watch = block.register_forward_hook(
        lambda module, args, out: seen.append(out[0] if isinstance(out, tuple) else out)
    )
    logits(live)
    add = mlp.register_forward_hook(lambda module, args, out: out + 1)
    logits(live)
    watch.remove()
    add.remove()
    arrived = torch.allclose(seen[1] - seen[0], torch.ones(()), atol=1e-4)
    assert arrived is not live.norm_after_mlp


def test_the_field_that_gives_biases(live, tmp_path):
    field = live.mlp_bias_field
    assert (field is not None) == hasattr(live.model.config, "mlp_bias")
    biases = {place.bias.format(layer=0) for place in live.adapter.weights.values()}
    if field is not None:
        made = load(str(make_model("llama", tmp_path / "biased", **{field: True})), device="cpu")
        assert biases <= made.tensors().keys()


def test_softcaps_are_those_of_the_config(live):
    config = live.model.config.to_dict()
    named = {name for name in config if name.endswith("softcapping")}
    adapter = live.adapter
    assert named == {adapter.logit_softcap_field, adapter.attention_softcap_field} - {None}
    assert live.logit_softcap == config.get("final_logit_softcapping")


def test_the_head_has_one_of_its_names(live):
    (name,) = live.tensors().keys() & set(live.adapter.lm_heads)
    assert live.tensors()[name].data_ptr() == live.unembedding().data_ptr()


NAMED = {name for model_type in FAMILIES for name in find_adapter({"model_type": model_type}).gguf_names}


@pytest.mark.parametrize("model_type", sorted(NAMED))
def test_gguf_knows_the_architecture_and_transformers_reads_it_as_the_model_type(model_type):
    gguf = pytest.importorskip("gguf")
    name = find_adapter({"model_type": model_type}).gguf_names[model_type]
    assert name in gguf.MODEL_ARCH_NAMES.values()
    # Every architecture of gguf knows by which names its tensors go in transformers' models of the type.
    architecture = next(arch for arch, known in gguf.MODEL_ARCH_NAMES.items() if known == name)
    names = gguf.get_tensor_name_map(architecture, 1)
    adapter = find_adapter({"model_type": model_type})
    down = adapter.weights["down_proj"].parameter.format(layer=0).removesuffix(".weight")
    assert names.get_name(down) == "blk.0.ffn_down"


def test_no_name_is_left_over_and_none_is_missing_where_transformers_reads_the_architecture():
    """Where llama.cpp and transformers have no name for a type in common, its exports say so (test_control_vector)."""
    assert NAMED <= set(FAMILIES)
    read = pytest.importorskip("transformers.modeling_gguf_pytorch_utils").GGUF_SUPPORTED_ARCHITECTURES
    without_experts = {name for name in FAMILIES if find_adapter({"model_type": name}).experts is None}
    assert NAMED >= without_experts & set(read)  # of mixtures of experts no GGUF file is read


def test_transformers_has_the_tokenizer_classes():
    assert tokenizer_classes() and all(
        hasattr(transformers, name) or hasattr(transformers, name + "Fast") for name in tokenizer_classes()
    )


ROPES = {
    "llama": {"rope_theta": 77.0, "rope_type": "default"},
    "gpt_neox": {"rope_theta": 77.0, "partial_rotary_factor": 1.0, "rope_type": "default"},
    "gemma3": {
        "full_attention": {"rope_theta": 77.0, "rope_type": "default"},
        "sliding_attention": {"rope_theta": 33.0, "rope_type": "default"},
    },
}


@pytest.mark.parametrize("family", ROPES)
def test_a_config_with_the_older_names_alone_is_the_same_model(family, tmp_path):
    folder = make_model(family, tmp_path / family, rope_parameters=ROPES[family])
    new = load(str(folder), device="cpu")
    raw = json.loads((folder / "config.json").read_text())
    older = with_both_rope_keys(raw, new.adapter.older_rope)
    assert older.pop("rope_parameters") == raw["rope_parameters"]
    (folder / "config.json").write_text(json.dumps(older))
    assert torch.equal(logits(load(str(folder), device="cpu")), logits(new))
    # The names matter: with another base under them it is another model.
    names = {new.adapter.older_rope.theta, new.adapter.older_rope.local_theta or new.adapter.older_rope.theta}
    (folder / "config.json").write_text(json.dumps({**older, "rope_theta": 5.0, **dict.fromkeys(names, 5.0)}))
    assert not torch.allclose(logits(load(str(folder), device="cpu")), logits(new))


BUFFERS = [
    ("llama", "model.layers.0.self_attn.rotary_emb.inv_freq", "model.layers.0.attn.bias"),
    ("gpt2", "transformer.h.0.attn.bias", "transformer.h.0.rotary_emb.inv_freq"),
    ("gpt_neox", "gpt_neox.layers.0.attention.masked_bias", "gpt_neox.layers.0.attn.bias"),
]


@pytest.mark.parametrize(("family", "buffer", "stranger"), BUFFERS)
def test_old_buffers_are_passed_over_and_those_of_other_families_are_not(family, buffer, stranger, tmp_path):
    folder = make_model(family, tmp_path / family)
    path: Path = folder / "model.safetensors"
    plain, state = load(str(folder), device="cpu"), load_file(path)
    save_file({**state, buffer: torch.ones(2)}, path, {"format": "pt"})
    assert load(str(folder), device="cpu").fingerprint == plain.fingerprint
    save_file({**state, stranger: torch.ones(2)}, path, {"format": "pt"})
    with pytest.raises(ModelError, match="leaves no place for"):
        load(str(folder), device="cpu")
