"""Quantised checkpoints are read as the plain ones that they stand for, or refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from atlas.errors import ModelError
from atlas.live.loading import load
from atlas.store.reader import open_atlas
from tests.atlas.live.packing import METHODS, mxfp4
from tests.end_to_end.workbench import built
from tests.synthetic import make_model

SIZES = {"hidden_size": 32, "intermediate_size": 48, "head_dim": 8, "num_hidden_layers": 1}


def checkpoint(folder: Path, tensors: dict[str, torch.Tensor], **fields: Any) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text()) | fields
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def make_both(method: str, folder: Path) -> tuple[Path, Path]:
    """A packed checkpoint, and the plain one of the same matrices; embeddings, norms and the head are in no pack."""
    settings, pack = METHODS[method]
    make_model("llama", folder / "plain", **SIZES)
    shutil.copytree(folder / "plain", folder / "packed")
    draw = np.random.default_rng(3)
    plain, packed = load_file(folder / "plain" / "model.safetensors"), {}
    for name, tensor in sorted(plain.items()):
        if "_proj" not in name:
            packed[name] = tensor
            continue
        parts, matrix = pack(draw, *tensor.shape)
        packed |= {name.removesuffix("weight") + part: values for part, values in parts.items()}
        plain[name] = torch.from_numpy(np.ascontiguousarray(matrix))
    return (
        checkpoint(folder / "packed", packed, quantization_config=settings),
        checkpoint(folder / "plain", plain),
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_weight_is_what_the_format_says(method, tmp_path):
    packed, plain = make_both(method, tmp_path)
    wanted = load(str(plain), device="cpu")
    for weights_only in (False, True):
        live = load(str(packed), device="cpu", weights_only=weights_only)
        assert (live.stored is None) != weights_only
        for name, tensor in load_file(plain / "model.safetensors").items():
            assert torch.equal(live.parameter(name), tensor), name
        assert live.fingerprint == wanted.fingerprint
        assert json.loads(live.quantised)["method"] == METHODS[method][0]["quant_method"]
    assert wanted.quantised is None
    with torch.inference_mode():
        ids = torch.tensor([[9, 17, 23]])
        logits = [model.model(input_ids=ids).logits for model in (load(str(packed), device="cpu"), wanted)]
    assert torch.equal(*logits)


def make_experts(folder: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """A gpt-oss whose experts are packed as published, and its plain tensors."""
    model = make_model("gpt_oss", folder / "model", hidden_size=32, intermediate_size=64, num_hidden_layers=1)
    draw = np.random.default_rng(5)
    plain, packed = load_file(model / "model.safetensors"), {}
    for name, tensor in sorted(plain.items()):
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            packed[name] = tensor
            continue
        parts, matrix = mxfp4(draw, *tensor.shape)
        packed |= {f"{name}_{part}": values for part, values in parts.items()}
        plain[name] = torch.from_numpy(matrix)
    return checkpoint(model, packed, quantization_config={"quant_method": "mxfp4"}), plain


def test_experts_of_mxfp4_are_what_the_format_says(tmp_path):
    packed, plain = make_experts(tmp_path)
    live = load(str(packed), device="cpu")
    assert live.experts(0) is not None and json.loads(live.quantised) == {"method": "mxfp4"}
    assert len(plain) == len(live.tensors())
    for name, tensor in plain.items():
        assert torch.equal(live.parameter(name), tensor), name


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("blocks", lambda tensor: tensor[..., :8]),
        ("blocks", lambda tensor: tensor[:, :-1]),
        ("blocks", lambda tensor: tensor.flatten(2)),
        ("scales", lambda tensor: tensor[..., :1].repeat(1, 1, 3)),
        ("scales", lambda tensor: tensor * 0 + 255),
        ("scales", lambda tensor: tensor.float()),
    ],
)
def test_experts_whose_parts_do_not_belong_together_are_refused(part, change, tmp_path):
    packed, _ = make_experts(tmp_path)
    tensors = load_file(packed / "model.safetensors")
    name = f"model.layers.0.mlp.experts.down_proj_{part}"
    checkpoint(packed, {**tensors, name: change(tensors[name])})
    with pytest.raises(ModelError) as error:
        load(str(packed), device="cpu")
    assert "\n" not in error.value.message


def test_an_atlas_says_how_its_model_was_quantised(tmp_path):
    packed, _ = make_both("awq", tmp_path)
    options = {"weights": ("down_proj",), "weight_facts": False}
    with open_atlas(built(packed, tmp_path / "packed.duckdb", None, **options)) as atlas:
        assert json.loads(atlas.manifest.quantised) == {"method": "awq", "bits": 4, "group_size": 16, "version": "gemm"}


@pytest.mark.parametrize(
    ("settings", "package"),
    [
        (
            {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_storage": "bfloat16"},
            "bitsandbytes",
        ),
        ({"quant_method": "bitsandbytes"}, "bitsandbytes"),
        ({"quant_method": "gptq", "bits": 3}, "gptqmodel"),
        ({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"}, "gptqmodel"),
        ({"quant_method": "awq", "bits": 4, "version": "gemv"}, "gptqmodel"),
        ({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"}, "compressed-tensors"),
        ({"quant_method": "torchao"}, "torchao"),
        ({"quant_method": "quark"}, "its package"),
        ({"quant_method": ["odd"]}, "its package"),
    ],
)
def test_what_is_not_read_is_refused_with_the_package(settings, package, tmp_path):
    folder = make_model("llama", tmp_path / "model")
    checkpoint(folder, load_file(folder / "model.safetensors"), quantization_config=settings)
    with pytest.raises(ModelError, match="are quantised") as error:
        load(str(folder), device="cpu")
    assert "\n" not in error.value.message + error.value.hint
    assert package in error.value.hint


def spoil(parts: dict[str, torch.Tensor], part: str, change: Any) -> dict[str, torch.Tensor]:
    name = next(name for name in sorted(parts) if name.endswith("mlp.up_proj." + part))
    changed = change(parts[name])
    return {**parts, name: changed} if changed is not None else {key: parts[key] for key in parts if key != name}


@pytest.mark.parametrize(
    ("method", "part", "change"),
    [
        ("awq", "scales", lambda tensor: None),
        ("awq", "qzeros", lambda tensor: tensor[:-1]),
        ("awq", "qweight", lambda tensor: tensor.long()),
        ("awq", "scales", lambda tensor: tensor[:, :-8]),
        ("awq", "qweight", lambda tensor: tensor[:-16]),
        ("gptq, 4 bits", "qzeros", lambda tensor: tensor.fill_(-1)),
        ("gptq, 8 bits, in the order of activations", "g_idx", lambda tensor: tensor + 100),
        ("gptq, 8 bits, in the order of activations", "g_idx", lambda tensor: tensor - 100),
        ("gptq, 8 bits, in the order of activations", "g_idx", lambda tensor: tensor[:-1]),
        ("fp8", "weight_scale_inv", lambda tensor: tensor[:, :-1]),
        ("fp8", "weight_scale_inv", lambda tensor: tensor * float("nan")),
        ("compressed integers", "weight_shape", lambda tensor: tensor * 0 - 5),
        ("compressed integers", "weight_shape", lambda tensor: tensor - 1),
        ("compressed float8", "weight_scale", lambda tensor: tensor[:7]),
        ("compressed float8", "weight_scale", lambda tensor: tensor[:32].reshape(1, -1)),
        ("compressed integers", "weight_scale", lambda tensor: tensor[:1]),
        ("compressed integers", "weight_scale", lambda tensor: tensor[:, :1]),
        ("nf4", "weight", lambda tensor: tensor[:-1]),
        ("nf4", "weight.absmax", lambda tensor: tensor[:-1]),
        ("nf4", "weight.absmax", lambda tensor: tensor.double()),
        ("nf4", "weight.quant_map", lambda tensor: tensor[:8]),
        ("nf4", "weight.quant_state.bitsandbytes__nf4", lambda tensor: tensor[:-1]),
        ("nf4", "weight.quant_state.bitsandbytes__nf4", lambda tensor: None),
        ("nf4 with packed scales", "weight.nested_absmax", lambda tensor: tensor[:-1]),
        ("nf4 with packed scales", "weight.nested_quant_map", lambda tensor: None),
        ("int8", "SCB", lambda tensor: tensor[:1]),
        ("int8", "weight_format", lambda tensor: tensor + 1),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(method, part, change, tmp_path):
    packed, _ = make_both(method, tmp_path)
    checkpoint(packed, spoil(load_file(packed / "model.safetensors"), part, change))
    for weights_only in (False, True):
        with pytest.raises(ModelError):
            load(str(packed), device="cpu", weights_only=weights_only)


def test_packed_weights_of_a_config_that_does_not_say_so_are_refused(tmp_path):
    packed, plain = make_both("awq", tmp_path)
    config = json.loads((packed / "config.json").read_text())
    del config["quantization_config"]
    (packed / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError):
        load(str(packed), device="cpu")
    checkpoint(plain, load_file(plain / "model.safetensors"), quantization_config=METHODS["awq"][0])
    with pytest.raises(ModelError, match="no qweight is there"):
        load(str(plain), device="cpu")


def test_packed_weights_of_other_modules_than_linear_ones_are_refused(tmp_path):
    folder = make_model("gpt2", tmp_path / "model", n_embd=64)
    tensors = load_file(folder / "model.safetensors")
    name = "transformer.h.0.attn.c_proj.weight"  # square, so its shape gives nothing away
    parts, _ = METHODS["awq"][1](np.random.default_rng(0), *tensors.pop(name).shape)
    tensors |= {name.removesuffix("weight") + part: values for part, values in parts.items()}
    checkpoint(folder, tensors, quantization_config=METHODS["awq"][0])
    with pytest.raises(ModelError, match="belongs to a Conv1D"):
        load(str(folder), device="cpu")


def test_a_quantised_model_is_not_spread(tmp_path):
    packed, _ = make_both("fp8", tmp_path)
    with pytest.raises(ModelError, match="cannot be spread"):
        load(str(packed), device="map:auto")
