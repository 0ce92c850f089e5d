"""What is loaded, what is refused, and that both happen in one line without noise."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from huggingface_hub import utils as hub_bars
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from atlas.errors import ModelError, UsageError
from atlas.live import checkpoint, sources
from atlas.live.batching import encode
from atlas.live.loading import load
from atlas.live.quiet import quiet
from tests.synthetic import make_model

ROOT = Path(__file__).resolve().parents[3]


def edit_config(folder: Path, **fields) -> str:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    return str(folder)


@pytest.fixture
def folder(tmp_path) -> Path:
    return make_model("llama", tmp_path / "tiny")


def test_a_local_folder(folder):
    live = load(str(folder))
    assert live.model_id == "tiny"
    assert live.architecture == "LlamaForCausalLM"
    assert live.hidden_act == "silu"
    assert live.fingerprint.startswith("sha256v2:") and live.weights_fingerprint.startswith("sha256:")
    assert not live.model.training
    assert not any(parameter.requires_grad for parameter in live.model.parameters())
    assert load(f"{folder}/").model_id == "tiny"
    assert live.revision is None


def test_dtype_and_device(folder):
    make_model("llama", folder, dtype=torch.bfloat16)
    assert load(str(folder), device="cpu").dtype == torch.float32
    assert load(str(folder), device="cpu", dtype="float16").dtype == torch.float16
    for wrong in ({"dtype": "int8"}, {"device": "gpu"}, {"device": "meta"}, {"device": "cuda:99"}):
        with pytest.raises(UsageError):
            load(str(folder), **wrong)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"model_type": "xlnet"}, "'xlnet' has no adapter"),
        ({"model_type": "openai-gpt"}, "no adapter: every block normalises"),
        ({"model_type": "kimi_linear", "num_experts": 8}, "no adapter: it has recurrent layers"),
        ({"model_type": "llama4"}, "no adapter: transformers runs it with images only"),
        (
            {"model_type": "brand_new", "auto_map": {"AutoConfig": "x.Y"}},
            "brings its own code, which is never run",
        ),
        ({"model_type": "minimax", "num_local_experts": 8}, "xpert"),
        ({"model_type": "llama", "n_routed_experts": 4}, "mixture of experts"),
        ({"model_type": "kosmos-2", "text_config": {}, "vision_config": {"hidden_size": 3}}, "multimodal"),
        ({"quantization_config": {"quant_method": "gptq"}}, r"quantised \(gptq\)"),
        ({"model_type": None}, "names no model_type"),
    ],
)
def test_refused_kinds_of_models(folder, fields, reason):
    with pytest.raises(ModelError, match=reason) as error:
        load(edit_config(folder, **fields))
    assert "llama" in error.value.hint or "unquantised" in error.value.hint
    assert ("docs/adding-a-family.md" in error.value.hint) == ("has no adapter" in reason or "own code" in reason)


@pytest.mark.parametrize(
    "fields",
    [
        {"model_type": ["llama"]},
        {"num_experts": [1, 2]},
        {"num_local_experts": "8"},
        {"quantization_config": "gptq"},
        {"hidden_act": "no such function"},
    ],
)
def test_config_fields_of_the_wrong_type_are_one_line(folder, fields):
    with pytest.raises(ModelError, match="cannot load the"):
        load(edit_config(folder, **fields))


@pytest.mark.parametrize("text", ["[1, 2]", "3", "null", "", "{"])
def test_a_config_that_is_no_object_is_one_line(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match="config of tiny"):
        load(str(folder))


def test_code_beside_a_known_model_is_not_run(folder):
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    auto_map = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoTokenizer": ["evil.T", None]}}))
    assert load(edit_config(folder, auto_map=auto_map)).architecture == "LlamaForCausalLM"


def test_transformers_4_would_misread_a_config_of_transformers_5(folder, monkeypatch):
    monkeypatch.setattr(checkpoint, "TRANSFORMERS", "4.57.6")
    config = json.loads((folder / "config.json").read_text())
    theta = config.pop("rope_theta", None) or config["rope_parameters"]["rope_theta"]
    (folder / "config.json").write_text(json.dumps(config | {"rope_parameters": {"rope_theta": theta}}))
    with pytest.raises(ModelError, match="written for transformers 5"):
        load(str(folder))
    load(edit_config(folder, rope_theta=theta))


def test_pickled_weights_are_refused(folder):
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="has no weights"):
        load(str(folder))
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="only pickled weights"):
        load(str(folder))


def test_a_checkpoint_must_fill_the_model_exactly(folder):
    path = folder / "model.safetensors"
    state = load_file(path)
    lacking = {name: tensor for name, tensor in state.items() if "layers.1.mlp.up_proj" not in name}
    save_file(lacking, path, {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks tensors .*model\.layers\.1\.mlp\.up_proj\.weight"):
        load(str(folder))
    save_file(state | {"model.layers.1.mlp.up_proj.bias": torch.ones(32)}, path, {"format": "pt"})
    with pytest.raises(ModelError, match=r"no place for: model\.layers\.1\.mlp\.up_proj\.bias"):
        load(str(folder))
    save_file(state | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2)}, path, {"format": "pt"})
    load(str(folder))
    save_file(state, path, {"format": "pt"})
    with pytest.raises(ModelError, match="holds tensors"):
        load(edit_config(folder, num_hidden_layers=2))


def test_damaged_files_are_one_line(folder):
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        path = folder / name
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ModelError, match=r"cannot load the \w+ of tiny") as error:
            load(str(folder))
        assert "\n" not in str(error.value)
        path.write_bytes(whole)
    edit_config(folder, intermediate_size=40)
    with pytest.raises(ModelError, match="cannot load the weights of tiny"):
        load(str(folder))


def test_the_first_mismatching_tensor_is_named(folder):
    with pytest.raises(ModelError) as error:
        load(edit_config(folder, intermediate_size=40))
    assert "model.layers.0.mlp.gate_proj.weight has shape [32, 16], and the config asks for [40, 16]" in str(
        error.value
    )
    assert "report" not in str(error.value)


def shard(folder: Path) -> Path:
    """The folder's weights in two files and an index."""
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(state)
    places = {name: f"part-{1 + (number % 2)}.safetensors" for number, name in enumerate(names)}
    for file in set(places.values()):
        save_file({name: state[name] for name in names if places[name] == file}, folder / file, {"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    return folder


def test_shards_are_the_same_model(folder):
    whole = load(str(folder)).fingerprint
    assert load(str(shard(folder))).fingerprint == whole


@pytest.mark.parametrize(
    "shard_name", ["weights.bin", "../part-1.safetensors", "sub/part-1.safetensors", "/x.safetensors"]
)
def test_an_index_leads_to_nothing_but_shards_of_its_folder(folder, shard_name, monkeypatch):
    index = shard(folder) / "model.safetensors.index.json"
    places = json.loads(index.read_text())["weight_map"]
    index.write_text(json.dumps({"weight_map": dict.fromkeys(places, shard_name)}))
    torch.save(load_file(folder / "part-1.safetensors"), folder / "weights.bin")
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("unpickled"))
    with pytest.raises(ModelError, match="shards are plain"):
        load(str(folder))


def test_pickles_beside_safetensors_are_left_alone(folder, monkeypatch):
    torch.save({}, folder / "pytorch_model.bin")
    torch.save({}, folder / "weights.bin")
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("unpickled"))
    before = load(str(folder)).fingerprint
    assert load(edit_config(folder, transformers_weights="weights.bin")).fingerprint == before


def test_links_stay_in_the_folder(folder, tmp_path):
    outside = tmp_path / "elsewhere.safetensors"
    (folder / "model.safetensors").rename(outside)
    (folder / "model.safetensors").symlink_to(outside)
    with pytest.raises(ModelError, match="link out of its folder"):
        load(str(folder))


def hub_cache(folder: Path, home: Path) -> Path:
    """The folder as the Hugging Face cache keeps someone/tiny: links to blobs. Returns its snapshot."""
    repository = home / "hub" / "models--someone--tiny"
    revision = "a" * 40
    snapshot = repository / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    for number, file in enumerate(sorted(folder.iterdir())):
        blob = repository / "blobs" / f"{number:040d}"
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    return snapshot


HUB_CACHE = """
import json, sys
from pathlib import Path
from atlas.errors import ModelError
from atlas.live.loading import load

def say():
    for model in ("someone/tiny", sys.argv[1], "someone/something"):
        try:
            live = load(model, device="cpu")
            print(live.fingerprint, live.revision)
        except ModelError as error:
            print(error)

say()
index = Path(sys.argv[1], "model.safetensors.index.json")
places = json.loads(index.read_text())["weight_map"]
index.unlink()
index.write_text(json.dumps({"weight_map": dict.fromkeys(places, "weights.bin")}))
index.with_name("weights.bin").write_bytes(b"not read")
say()
"""


def test_a_hub_cache_is_read_and_held_to_the_same_rules(folder, tmp_path):
    """By its id and by its path, which the process learns from its environment as it starts."""
    expected = load(str(folder)).fingerprint
    snapshot = hub_cache(shard(folder), tmp_path / "home")
    code = f"import sys; sys.argv = ['', {str(snapshot)!r}]\n{HUB_CACHE}"
    said = in_a_new_process(code, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "home")).stdout.splitlines()
    there, away = [line for line in said if "something" not in line], [line for line in said if "something" in line]
    assert there[:2] == [f"{expected} {snapshot.name}"] * 2
    assert len(there) == 4 and all("shards are plain" in line for line in there[2:])
    # An id that cannot be reached is one line.
    assert len(away) == 2 and all(line.startswith("cannot load the config of someone/something") for line in away)


@pytest.mark.parametrize(
    "fields",
    [
        {"attn_implementation": "evil/kernel"},
        {"_attn_implementation": "evil/kernel"},
        {"_attn_implementation_internal": "evil/kernel"},
        {"experts_implementation": "evil/kernel"},
        {"num_labels": 10**9},
    ],
)
def test_a_config_chooses_no_kernel_and_no_labels(folder, fields, monkeypatch):
    import socket

    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: pytest.fail("asked the network"))
    live = load(edit_config(folder, **fields))
    assert live.model.config._attn_implementation == "sdpa"
    assert live.model.config.num_labels == 2


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"num_hidden_layers": 10**9}, "weights of at most 3 layers are there"),
        ({"hidden_size": 4 * 10**6}, "config asks for"),
        ({"vocab_size": 10**9}, "config asks for"),
        ({"intermediate_size": -32}, "nothing in a config is negative"),
        ({"rms_norm_eps": 1e300}, "beyond every number"),
        ({"per_layer_config": {"0": {"intermediate_size": 64}}}, "per_layer_config"),
    ],
)
def test_a_config_asks_for_no_more_than_the_weights_hold(folder, fields, reason):
    with pytest.raises(ModelError, match=reason):
        load(edit_config(folder, **fields))


def test_a_config_that_only_a_pass_shows_to_be_wrong(tmp_path):
    folder = make_model("gpt2", tmp_path / "heads")
    with pytest.raises(ModelError, match="cannot load the model of heads"):
        load(edit_config(folder, num_attention_heads=0.5))


def test_a_gpt2_of_many_positions_takes_no_table_of_their_square(tmp_path):
    folder = make_model("gpt2", tmp_path / "long")
    with pytest.raises(ModelError, match="config asks for"):
        load(edit_config(folder, n_positions=10**6))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.bool, torch.int32])
def test_weights_that_are_no_floating_point_numbers(folder, dtype):
    state = load_file(folder / "model.safetensors")
    save_file({name: tensor.to(dtype) for name, tensor in state.items()}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="is of dtype"):
        load(str(folder))


def test_a_tokenizer_that_multiplies_text(folder):
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text())
    twice = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    value["normalizer"] = {"type": "Sequence", "normalizers": [twice] * 40}
    path.write_text(json.dumps(value))
    with pytest.raises(ModelError, match="many times longer"):
        load(str(folder))


def test_a_tokenizer_that_chokes_on_pairs(folder):
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text())
    pattern = {"Regex": "(?:ab|ab)+c"}  # 2^n ways to read n times "ab"
    value["pre_tokenizer"] = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
    path.write_text(json.dumps(value))
    with pytest.raises(ModelError, match="it cannot read a text"):
        load(str(folder))


def test_a_tokenizer_that_fails_at_a_text_of_the_corpus(folder, monkeypatch):
    monkeypatch.setattr("atlas.live.tokenizer.check_tokenizer", lambda *args: None)
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text())
    pattern = {"Regex": "(?:ab|ab)+c"}
    value["pre_tokenizer"] = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
    path.write_text(json.dumps(value))
    live = load(str(folder))
    assert encode(live, ["the dog"], "{text}", 9).input_ids
    with pytest.raises(ModelError, match="the tokenizer of tiny cannot read a text"):
        encode(live, ["ab" * 500], "{text}", 9)


def test_a_tokenizer_that_draws_its_tokens_at_random(folder):
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text())
    value["model"] = {"type": "BPE", "dropout": 0.5, "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}
    path.write_text(json.dumps(value))
    with pytest.raises(ModelError, match="leaves out merges at random"):
        load(str(folder))


def test_the_end_tokens_are_those_of_the_generation_config(folder):
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [3, 7], "custom_generate": "evil/repo"}))
    assert load(str(folder)).model.generation_config.eos_token_id == [3, 7]


def test_a_model_without_its_head_is_called_so(tmp_path):
    from transformers import CONFIG_MAPPING, AutoModel

    folder = make_model("llama", tmp_path / "bare", tie_word_embeddings=False)
    config = CONFIG_MAPPING["llama"].from_pretrained(folder)
    AutoModel.from_config(config).save_pretrained(folder)
    with pytest.raises(ModelError, match=r"is a model without its LM head \(LlamaModel\)") as error:
        load(str(folder))
    assert "damaged" not in str(error.value) and "ForCausalLM" in error.value.hint


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2"])
def test_a_classifier_is_called_so(tmp_path, family):
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = make_model(family, tmp_path / "judge")
    AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    with pytest.raises(ModelError, match=r"is a classifier \(\w+ForSequenceClassification\)") as error:
        load(str(folder))
    assert "damaged" not in str(error.value) and "language model" in error.value.hint


def test_the_tokenizer_file_is_taken_as_it_stands(tmp_path):
    """transformers registers a class of its own splitting rules for Qwen2; not so here."""
    live = load(str(make_model("qwen2", tmp_path)))
    assert live.tokenizer.convert_ids_to_tokens(live.tokenizer("The dog runs.")["input_ids"]) == [
        "The",
        "▁dog",
        "▁runs",
        ".",
    ]


def test_names_that_lead_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURON_ATLAS_DATA", str(tmp_path))
    with pytest.raises(ModelError, match="not on this machine yet") as error:
        load("smollm2-135m")
    assert error.value.hint == "Run: neuron-atlas fetch smollm2-135m"
    (tmp_path / "empty").mkdir()
    (tmp_path / "page.gguf").write_text("<html>")
    (tmp_path / "weights.bin").write_text("x")
    (tmp_path / "lora").mkdir()
    for name in ("config.json", "adapter_config.json"):
        (tmp_path / "lora" / name).write_text("{}")
    for name, reason in {
        str(tmp_path / "missing"): "there is no model at",
        "": "there is no model at",
        "~nobodyofthatname/model": "there is no model at",
        "a" * 5000: "File name too long",
        "missing.gguf": "there is no model at",
        "a/b/c": "there is no model at",
        "two words": "there is no model at",
        str(tmp_path / "empty"): "has no config.json",
        str(tmp_path / "page.gguf"): "is not a GGUF file",
        str(tmp_path / "weights.bin"): "is a .bin file",
        str(tmp_path / "lora"): "holds a LoRA adapter",
    }.items():
        with pytest.raises(ModelError, match=reason) as error:
            load(name)
        assert len(str(error.value)) < 1000


def test_names_that_lead_somewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURON_ATLAS_DATA", str(tmp_path))
    gguf = tmp_path / "models" / "smollm2-135m" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    gguf.parent.mkdir(parents=True)
    gguf.write_bytes(b"GGUF")
    assert sources.resolve("smollm2-135m") == sources.Source("smollm2-135m", str(gguf.parent), gguf.name, packaged=True)
    by_path = sources.resolve(str(gguf))
    assert (by_path.model_id, by_path.gguf_file) == ("SmolLM2-135M-Instruct.Q4_1", gguf.name)
    for name in ("gpt2", "meta-llama/Llama-3.1-8B", "Qwen/Qwen2.5-0.5B"):
        assert sources.resolve(name) == sources.Source(name, name, is_local=False)
    assert sources.suggestion("smollm2-135") == "Did you mean smollm2-135m?"
    assert sources.suggestion("gpt2") == ""


def in_a_new_process(code: str, **environment: str) -> types.SimpleNamespace:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )


def test_loading_says_nothing(folder):
    done = in_a_new_process(f"from atlas.live.loading import load; load({str(folder)!r})")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("bars", [True, False])
@pytest.mark.parametrize("of_hub", [True, False])
def test_bars_are_off_while_it_loads_and_as_before_afterwards(bars, of_hub):
    """A notebook shows them elsewhere than on standard error."""
    ours, hub = transformers_logging, hub_bars
    try:
        (ours.enable_progress_bar if bars else ours.disable_progress_bar)()
        (hub.enable_progress_bars if of_hub else hub.disable_progress_bars)()
        with quiet():
            assert not ours.is_progress_bar_enabled() and hub.are_progress_bars_disabled()
        assert (ours.is_progress_bar_enabled(), not hub.are_progress_bars_disabled()) == (bars, of_hub)
    finally:
        ours.enable_progress_bar()
        hub.enable_progress_bars()


def test_attention_keeps_its_softcap(tmp_path):
    """Some versions of transformers take an attention for Gemma-2 that leaves it out."""
    folder = make_model("gemma2", tmp_path / "gemma2", attn_logit_softcapping=0.05)
    live = load(str(folder), device="cpu")
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    ids = torch.tensor([[5, 9, 30, 41, 22]])
    with torch.no_grad():
        assert torch.allclose(live.model(input_ids=ids).logits, plain(input_ids=ids).logits, atol=1e-5, rtol=0)
