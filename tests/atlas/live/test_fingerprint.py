"""One identity per set of weights."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import nn

from atlas.live.fingerprint import fingerprint, fingerprints
from atlas.live.loading import load
from tests.synthetic import make_model


def model_of(*tensors: torch.Tensor, prefix: str = "p") -> nn.Module:
    module = nn.Module()
    for i, tensor in enumerate(tensors):
        module.register_parameter(f"{prefix}{i}", nn.Parameter(tensor, requires_grad=False))
    return module


A, B = torch.arange(6.0).reshape(2, 3), torch.tensor([1.5, -2.25])


def test_the_definition():
    digests = sorted(
        hashlib.sha256(shape.encode() + np.asarray(values, "<f4").tobytes()).hexdigest()
        for shape, values in (("(2, 3)", range(6)), ("(2,)", [1.5, -2.25]))
    )
    expected = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    assert fingerprint(model_of(A, B)) == f"sha256:{expected}"


def test_names_order_dtype_ties_and_layout_do_not_matter():
    same = fingerprint(model_of(A, B))
    assert fingerprint(model_of(B, A, prefix="other")) == same
    assert fingerprint(model_of(A.bfloat16(), B.bfloat16())) == same  # these values are exact in bfloat16
    assert fingerprint(model_of(A, B, A.clone())) == same
    assert fingerprint(model_of(A.T.contiguous().T, B)) == same


def test_values_and_shapes_do_matter():
    changed = A.clone()
    changed[1, 2] += 1e-6 * 5
    all_of_them = {fingerprint(model_of(t, B)) for t in (A, changed, A.reshape(3, 2), A.reshape(6), -A)}
    assert len(all_of_them) == 5


def test_a_checkpoint_in_bfloat16_is_the_same_model_in_float32(tmp_path):
    half = make_model("llama", tmp_path / "half", dtype=torch.bfloat16)
    full, native = load(str(half), device="cpu"), load(str(half), device="cpu", dtype="bfloat16")
    assert full.dtype == torch.float32 and native.dtype == torch.bfloat16
    assert full.fingerprint == native.fingerprint and full.weights_fingerprint == native.weights_fingerprint
    other = load(str(make_model("llama", tmp_path / "other", seed=1)), device="cpu")
    assert other.fingerprint != full.fingerprint


def test_tying_is_a_matter_of_storage(tmp_path):
    tied = load(str(make_model("qwen3", tmp_path / "tied", tie_word_embeddings=True)), device="cpu")
    assert tied.model.lm_head.weight is tied.model.model.embed_tokens.weight
    before = fingerprint(tied.model)
    tied.model.lm_head.weight = nn.Parameter(tied.model.lm_head.weight.clone(), requires_grad=False)
    assert len(list(tied.model.parameters())) > 0 and fingerprint(tied.model) == before == tied.weights_fingerprint
    assert fingerprints(tied) == (tied.fingerprint, before)
