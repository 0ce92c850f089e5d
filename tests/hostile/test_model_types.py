"""Every model type of transformers' causal language models: measured rightly or refused in one line, never a traceback.

Tiny random models of types that we may never have seen; their configs are guessed from the names of fields.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from atlas.errors import AtlasError
from atlas.live.capture import capture
from atlas.live.loading import load
from atlas.live.probe import mlp_of
from atlas.live.quiet import quiet
from tests.dense_families import DENSE, LOW_RANK, SIZES
from tests.hostile.counts import count, generator
from tests.synthetic import make_tokenizer, randomise

ALL = sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
TYPES = generator("model_types").sample(ALL, min(count(8, len(ALL)), len(ALL)))
GUESSED = {
    **LOW_RANK,
    **SIZES,
    "num_key_value_heads": 4,
    "head_dim": 4,
    "ffn_dim": 32,
    "d_model": 16,
    "n_inner": 32,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "sliding_window": 32,
    "is_decoder": True,
}
MOST_PARAMETERS = 5_000_000
IDS = torch.tensor([[14, 21, 49, 4, 26]])


def make(model_type: str, folder: Path) -> None:
    """Write a tiny model of the type, or only its bare config where no small one can be guessed."""
    made = CONFIG_MAPPING[model_type]
    known = next((fields for other, fields in DENSE.values() if other == model_type), None)
    fields = {field.name for field in dataclasses.fields(made)} | set(made.attribute_map)
    guessed = {name: value for name, value in (known or GUESSED).items() if known or name in fields}
    try:
        config = made(**{made.attribute_map.get(name, name): value for name, value in guessed.items()})
        model_class = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
        with torch.device("meta"):
            if sum(parameter.numel() for parameter in model_class(config).parameters()) > MOST_PARAMETERS:
                raise ValueError("too large")
        model = model_class(config)
        randomise(model, 0)
        model.eval().save_pretrained(folder)
    except Exception:  # transformers says in as many ways that a config is not possible
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
        save_file({"a.b": torch.ones(2)}, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("model_type", TYPES)
def test_right_or_refused_in_one_line(model_type: str, tmp_path: Path) -> None:
    with quiet():
        make(model_type, tmp_path / "m")
        make_tokenizer().save_pretrained(tmp_path / "m")
    try:
        live = load(str(tmp_path / "m"), device="cpu")
    except AtlasError as error:
        assert error.message and "\n" not in error.message and "\n" not in error.hint
        return
    # What is in a neuron's place reaches the stream by its writing weight, on the model as transformers loads it.
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "m", dtype=torch.float32).eval()
    if live.has_experts:  # whose neurons tests/atlas/live/test_experts.py looks at
        with torch.no_grad():
            given, expected = (each(IDS, use_cache=False).logits for each in (live.model, model))
        torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-4)
        return
    found = {}
    capture(live, IDS, torch.ones_like(IDS), ["mlp_post"], [1], lambda site, layer, acts: found.update(acts=acts * 1))
    written = {}
    end = model.get_submodule(mlp_of(live, 1)[1])
    with torch.no_grad():
        handle = end.register_forward_hook(lambda module, args, output: written.update(out=output.clone()))
        expected = model(IDS, use_cache=False).logits
        handle.remove()
        torch.testing.assert_close(live.model(IDS, use_cache=False).logits, expected, rtol=1e-4, atol=1e-4)
    bias_D = live.bias("down_proj", 1)
    due = found["acts"] @ live.weight("down_proj", 1) + (0 if bias_D is None else bias_D)
    torch.testing.assert_close(
        due.reshape(-1, live.d_model), written["out"].reshape(-1, live.d_model), rtol=1e-4, atol=1e-4
    )
