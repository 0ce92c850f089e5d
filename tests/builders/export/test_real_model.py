"""The packaged model through every target: one late layer and one early enough that positions matter."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import AutoModelForCausalLM

from atlas.live.loading import load
from atlas.packaged import model_file
from atlas.spec.document import Edit, Range
from builders.export.registry import TARGETS
from builders.export.weights import control_vector, lora, weights
from tests.builders.export.specs import spec_of

pytestmark = pytest.mark.slow
PROMPT = "My favourite animal is the"
CODE = (
    Edit("mlp_pre", 10, 5, "set", 3.0),
    Edit("mlp_pre_linear", 10, 5, "set", 5.0),
    Edit("mlp_post", 10, 808, "set", 10.0, Range(-0.5, 0.5)),
    Edit("mlp_post", 10, 100, "scale", 3.0),
    Edit("mlp_post", 10, 101, "damp", 0.125, Range(-2.0, 2.0)),
    Edit("resid_post", 10, 100, "add", 3.0),
    Edit("mlp_post", 29, 808, "set", 20.0),
)


@pytest.fixture(scope="module")
def live():
    if model_file("smollm2-135m") is None:
        pytest.skip("the packaged model is not here (neuron-atlas fetch smollm2-135m)")
    return load("smollm2-135m", device="cpu")


def test_emitted_files(live, emitted):
    spec = spec_of(live, CODE, positions=(0, 2, 4), prompt=PROMPT)
    assert max(abs(a - b) for a, b in zip(spec.check.logprob_before, spec.check.logprob_after, strict=True)) > 0.1
    for target in ("hooks", "nnsight", "pyvene", "transformer_lens"):
        row = TARGETS[target.replace("_", "-")]
        if row.package:
            pytest.importorskip(row.package, reason=f"{row.package} is not installed (make test installs it)")
        module = emitted(target, live, spec)
        model = module.wrapped(copy.deepcopy(live.model), str(model_file("smollm2-135m")))
        assert module.verify(model)["ok"], target


def test_weights(live, tmp_path):
    edits = [Edit("mlp_post", 29, 808, "set", 20.0), Edit("mlp_pre", 10, 5, "set", 3.0)]
    spec = spec_of(live, [*edits, Edit("mlp_post", 10, 100, "add", 10.0)], prompt=PROMPT)
    weights.write(live, spec, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    check = spec.check
    with torch.no_grad():
        found = model(input_ids=torch.tensor([check.prompt_ids])).logits[0, -1].log_softmax(-1)[list(check.tokens)]
    assert torch.allclose(found, torch.tensor(check.logprob_after), atol=1e-4, rtol=0)


def test_adapter_and_vector(live, tmp_path):
    pytest.importorskip("peft", reason="peft is not installed (make test installs it)")
    spec = spec_of(live, [Edit("mlp_post", 29, 808, "set", 0.0), Edit("mlp_post", 10, 5, "scale", 3.0)], prompt=PROMPT)
    lora.write(live, spec, tmp_path)
    assert lora.verify(live, spec, tmp_path) < 1e-4
    spec = spec_of(live, [Edit("mlp_post", 29, 808, "add", 10.0), Edit("mlp_post", 10, 5, "add", 3.0)], prompt=PROMPT)
    control_vector.write(live, spec, tmp_path / "v.gguf")
    assert control_vector.verify(live, spec, tmp_path / "v.gguf") < 1e-4
