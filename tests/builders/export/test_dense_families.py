"""Exports of what the dense families bring: scales on the way into the stream, flat blocks, no name in llama.cpp."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from atlas.errors import SpecError
from atlas.live.loading import load
from atlas.spec.document import Edit
from builders.export.model_limits import check_model_fits
from builders.export.registry import TARGETS
from builders.export.weights import control_vector, weights
from tests.atlas.live.plain_edits import a_spec
from tests.synthetic import make_model

IDS = torch.tensor([[14, 21, 49, 4, 26]])


def fits(live):
    """The targets that are not ruled out."""
    found = set()
    for name, row in TARGETS.items():
        try:
            check_model_fits(row, live)
            found.add(name)
        except SpecError as error:
            assert live.architecture in error.message
    return found


CODE = {name for name, row in TARGETS.items() if row.output == "code"}
LIMITS = [
    ("granite", set()),
    ("helium", {"control-vector"}),
    ("opt", CODE | {"control-vector"}),
    ("qwen2_vl", set(TARGETS)),
    ("gemma3_seeing", {"control-vector"}),
]


@pytest.mark.parametrize(("variant", "ruled_out"), LIMITS)
def test_what_a_model_rules_out_is_said_by_name(variant, ruled_out, tmp_path):
    live = load(str(make_model(variant, tmp_path / variant)), device="cpu")
    assert fits(live) == TARGETS.keys() - ruled_out


@pytest.mark.parametrize("variant", ["granite", "minicpm3"])
def test_what_is_added_to_the_stream_arrives_unscaled(variant, tmp_path):
    """Into a block whose MLP's output is scaled: by the vector that llama.cpp adds, and by a bias in the weights."""
    live = load(str(make_model(variant, tmp_path / variant)), device="cpu")
    (block, mlp), neuron, value = (live.model.model.layers[1], live.model.model.layers[1].mlp), 5, 0.75
    written = a_spec(live, Edit("mlp_post", 1, neuron, "add", value))
    seen = []
    watch = block.register_forward_hook(lambda module, args, out: seen.append(out))
    with torch.no_grad():
        live.model(IDS)
        add = mlp.down_proj.register_forward_pre_hook(lambda m, a: (a[0] + value * torch.eye(live.d_mlp)[neuron],))
        live.model(IDS)
        add.remove()
    watch.remove()
    vector_D = control_vector.vectors(live, written)[1]
    torch.testing.assert_close(vector_D.expand(1, 5, -1), seen[1] - seen[0], rtol=1e-4, atol=1e-5)
    into_stream = a_spec(live, Edit("resid_post", 1, 3, "add", value))
    (tmp_path / "baked").mkdir()
    weights.write(live, into_stream, tmp_path / "baked")
    baked = AutoModelForCausalLM.from_pretrained(tmp_path / "baked")
    with torch.no_grad():
        found = baked(IDS).logits
        hook = block.register_forward_hook(lambda m, a, out: out + value * torch.eye(live.d_model)[3])
        expected = live.model(IDS).logits
        hook.remove()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
