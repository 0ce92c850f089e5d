"""The atlas that `make demo` builds, against the model itself: plain hooks, plain products, float64 numpy."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from atlas.fit_choice import FitChoice
from atlas.packaged import data_folder, model_file
from atlas.store.reader import Atlas, open_atlas
from queries.neurons import Only, neurons_for_concept, neurons_for_token

pytestmark = pytest.mark.slow

ATLAS = Path(__file__).parents[2] / "data" / "atlases" / "smollm2-135m.duckdb"


@pytest.fixture(scope="module")
def atlas():
    if not ATLAS.exists():
        pytest.skip("the demo atlas is not built: run `make demo`")
    with open_atlas(ATLAS) as opened:
        yield opened


@pytest.fixture(scope="module")
def model_and_tokenizer():
    """Loaded with transformers alone."""
    transformers = pytest.importorskip("transformers")
    path = model_file("smollm2-135m")
    assert path is not None, "run `neuron-atlas fetch smollm2-135m`"
    names = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    model = transformers.AutoModelForCausalLM.from_pretrained(**names, dtype=torch.float32).eval()
    return model, transformers.AutoTokenizer.from_pretrained(**names)


@pytest.mark.parametrize(("word", "neuron"), [("dog", "L29N808"), ("science", "L29N812"), ("France", "L29N864")])
def test_known_neurons_are_found_by_their_word(atlas: Atlas, word: str, neuron: str) -> None:
    assert neuron in neurons_for_token(atlas, word, limit=5).column("address")


def test_the_dog_neuron_reads_dog(atlas: Atlas) -> None:
    _, rows = atlas.query("SELECT token FROM neuron_tokens(29, 808) WHERE weight = 'gate_proj' AND sign = 1 LIMIT 1")
    assert rows == [(" dog",)]


@pytest.mark.parametrize("weight", ["up_proj", "gate_proj", "down_proj"])
def test_decodings_of_200_random_neurons(atlas: Atlas, model_and_tokenizer, weight: str) -> None:
    model, _ = model_and_tokenizer
    u_VD = model.lm_head.weight.detach()
    rng = np.random.default_rng(20)
    for layer, neuron in zip(rng.integers(0, 30, 200).tolist(), rng.integers(0, 1536, 200).tolist(), strict=True):
        matrix = getattr(model.model.layers[layer].mlp, weight).weight.detach()
        logits_V = (u_VD @ (matrix[:, neuron] if weight == "down_proj" else matrix[neuron])).numpy()
        _, rows = atlas.query(
            f"SELECT sign, token_id, logit FROM neuron_tokens({layer}, {neuron}) WHERE weight = ?", [weight]
        )
        for sign in (1, -1):
            tokens = [token for at, token, _ in rows if at == sign]
            stored = np.array([logit for at, _, logit in rows if at == sign])
            order = np.argsort(-sign * logits_V, kind="stable")[:32]
            # Where float32 argsort and ours differ, their logits must be equal to the product's own error.
            np.testing.assert_allclose(stored, logits_V[order], rtol=1e-4)
            swapped = order != tokens
            np.testing.assert_allclose(logits_V[order[swapped]], logits_V[np.array(tokens)[swapped]], rtol=1e-5)


def plain_hash(text: str) -> int:
    """docs/schema.md, fit_example: the first 8 bytes of SHA-256 over the casefolded text with single spaces."""
    return int(hashlib.sha256(" ".join(text.casefold().split()).encode()).hexdigest()[:16], 16)


def test_gaussians_of_500_random_neurons(atlas: Atlas, model_and_tokenizer) -> None:
    model, tokenizer = model_and_tokenizer
    rows = [json.loads(line) for line in (data_folder() / "concepts" / "emotions.jsonl").open(encoding="utf-8")]
    _, [(template, fit_id)] = atlas.query("SELECT template, fit_id FROM fit WHERE family = 'emotions'")
    used = {number for (number,) in atlas.query("SELECT text_hash FROM fit_example WHERE fit_id = ?", [fit_id])[1]}
    held_out = [row for row in rows if plain_hash(row["text"]) not in used]
    assert 0.1 < len(held_out) / len(rows) < 0.4  # the demo holds out a quarter
    rows = [row for row in rows if plain_hash(row["text"]) in used]
    seen: list[torch.Tensor] = []
    for block in model.model.layers:
        block.mlp.down_proj.register_forward_pre_hook(lambda module, args: seen.append(args[0][0, -1]))
    acts_ELN = np.empty((len(rows), 30, 1536), np.float32)
    with torch.inference_mode():
        for index, row in enumerate(rows):
            seen.clear()
            model.model(**tokenizer(template.replace("{text}", row["text"]), return_tensors="pt"))
            acts_ELN[index] = torch.stack(seen).numpy()
    concepts = np.array([row["concept"] for row in rows])
    rng = np.random.default_rng(21)
    for layer, neuron in zip(rng.integers(0, 30, 500).tolist(), rng.integers(0, 1536, 500).tolist(), strict=True):
        x = acts_ELN[:, layer, neuron].astype(np.float64)
        _, found = atlas.query(
            """SELECT concept, mean, std, lower, upper, coverage, leakage, auc FROM concept_range
               WHERE fit_id = ? AND layer = ? AND neuron = ?""",
            [fit_id, layer, neuron],
        )
        assert len(found) == 6
        scale = np.abs(x).max()
        for concept, mean, std, lower, upper, coverage, leakage, auc in found:
            own = concepts == concept
            a, b = x[own], x[~own]
            # 1e-5 of the neuron's scale: where a mean is near zero, nothing can be relative to it.
            assert mean == pytest.approx(a.mean(), rel=1e-5, abs=1e-5 * scale)
            assert std == pytest.approx(a.std(), rel=1e-5, abs=1e-5 * scale)
            wins = (a[:, None] > b).mean() + 0.5 * (a[:, None] == b).mean()
            # Another batch shape moves an activation by about 1e-6, which may turn a pair that is as close.
            close = (np.abs(a[:, None] - b) <= 2e-5 * scale).mean()
            assert abs(auc - wins) <= close + 1e-12
            for share, values in ((coverage, a), (leakage, b)):
                inside = ((values >= lower) & (values <= upper)).mean()
                edge = (np.minimum(np.abs(values - lower), np.abs(values - upper)) <= 2e-5 * scale).mean()
                assert abs(share - inside) <= edge + 1e-12


def test_the_best_neurons_of_a_concept_make_sense(atlas: Atlas) -> None:
    """They separate well, and some of them read or write words of their own concept."""
    topics = FitChoice(family="topics")
    for concept, words in (("sports", ("team", "game")), ("food", ("food", "cook")), ("music", ("music", "song"))):
        best = neurons_for_concept(atlas, concept, fit=topics, limit=10)
        assert min(abs(auc - 0.5) for auc in best.column("auc")) > 0.3
        assert len(neurons_for_concept(atlas, concept, fit=topics, only=Only(words=list(words)), limit=5)) == 5
