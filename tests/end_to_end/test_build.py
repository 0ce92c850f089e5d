"""A whole build of tiny models, compared with plain PyTorch hooks, matrix products and float64 numpy."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import AutoModelForCausalLM, AutoTokenizer

from atlas.store.reader import open_atlas
from builders.config import ConceptSource
from tests.amount import some
from tests.end_to_end.workbench import PETS, SPORT, STATE, built, write_corpus
from tests.synthetic import FAMILIES, make_model

TEMPLATE = "{text}\nthis text is about"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def atlas_file(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("atlas")
    corpus = write_corpus(folder / "words.jsonl")
    source = (ConceptSource(str(corpus), template=TEMPLATE),)
    every_site = ("mlp_pre", "mlp_pre_linear", "mlp_post", "resid_post")
    return built(llama, folder / "a.duckdb", corpus, concepts=source, sites=every_site, taus=(1.0, 2.5))


def plain_activations(folder: Path) -> dict[str, np.ndarray]:
    """site -> acts [examples, layers, width] of the last token, one example at a time, by hooks written here."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    seen: dict[str, list[torch.Tensor]] = {}

    def keep(name: str):
        def output(module, args, out):
            seen.setdefault(name, []).append((out[0] if isinstance(out, tuple) else out)[0, -1])

        return output

    for block in model.model.layers:
        block.mlp.gate_proj.register_forward_hook(keep("mlp_pre"))
        block.mlp.up_proj.register_forward_hook(keep("mlp_pre_linear"))
        block.mlp.down_proj.register_forward_pre_hook(lambda module, args: keep("mlp_post")(module, args, args[0]))
        block.register_forward_hook(keep("resid_post"))
    examples = []
    with torch.no_grad():
        for text in PETS + SPORT + STATE:
            seen.clear()
            model(**tokenizer(TEMPLATE.replace("{text}", text), return_tensors="pt"))
            examples.append({name: torch.stack(values).numpy() for name, values in seen.items()})
    return {name: np.stack([example[name] for example in examples]) for name in examples[0]}


def test_gaussians_equal_two_pass_numpy_on_plain_hooks(llama: Path, atlas_file: Path) -> None:
    labels = np.repeat([0, 1, 2], 6)
    with open_atlas(atlas_file) as atlas:
        for site, acts in plain_activations(llama).items():
            _, rows = atlas.query(
                """SELECT concept, layer, neuron, n, mean, std, skewness, kurtosis, min, max, mean_abs, ks, auc, dprime
                   FROM concept_gaussian WHERE site = ? ORDER BY ALL""",
                [site],
            )
            assert len(rows) == 3 * 3 * acts.shape[2]
            due = {}
            for label, concept in enumerate(("pets", "sport", "state")):
                x = acts.astype(np.float64)
                a, b = x[labels == label], x[labels != label]
                standard = (a - a.mean(axis=0)) / a.std(axis=0)
                due[concept] = [
                    a.mean(axis=0),
                    a.std(axis=0),
                    stats.skew(a, axis=0),
                    stats.kurtosis(a, axis=0),
                    a.min(axis=0),
                    a.max(axis=0),
                    np.abs(a).mean(axis=0),
                    np.apply_along_axis(lambda z: stats.kstest(z, "norm").statistic, 0, standard),
                    stats.mannwhitneyu(a, b, axis=0, method="asymptotic").statistic / (len(a) * len(b)),
                    (a.mean(axis=0) - b.mean(axis=0)) / np.sqrt((a.var(axis=0) + b.var(axis=0)) / 2),
                ]
            for concept, layer, neuron, n, *found in rows:
                expected = [values[layer, neuron] for values in due[concept]]
                assert n == 6
                np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-4)
                np.testing.assert_allclose(found[:2], expected[:2], rtol=1e-5, atol=1e-6)
                assert found[8] == pytest.approx(expected[8], abs=1e-12)


def test_ranges_are_measured_at_every_tau(llama: Path, atlas_file: Path) -> None:
    acts = plain_activations(llama)["mlp_post"]
    labels = np.repeat([0, 1, 2], 6)
    names = ("pets", "sport", "state")
    with open_atlas(atlas_file) as atlas:
        _, rows = atlas.query(
            """SELECT concept, tau, layer, neuron, lower, upper, coverage, leakage, worst_concept, worst_leakage
               FROM concept_range WHERE site = 'mlp_post'"""
        )
    assert len(rows) == 2 * 3 * 3 * 32
    for concept, tau, layer, neuron, lower, upper, coverage, leakage, worst, worst_leakage in rows:
        x, own = acts[:, layer, neuron], names.index(concept)
        a = x[labels == own].astype(np.float64)
        assert lower == pytest.approx(a.mean() - tau * a.std(), rel=1e-4, abs=1e-5)
        assert upper == pytest.approx(a.mean() + tau * a.std(), rel=1e-4, abs=1e-5)
        inside = (x >= lower) & (x <= upper)
        assert coverage == inside[labels == own].mean()
        assert leakage == inside[labels != own].mean()
        others = [inside[labels == other].mean() for other in range(3) if other != own]
        assert worst_leakage == max(others)
        assert worst in [names[o] for o in range(3) if o != own and inside[labels == o].mean() == max(others)]


@pytest.mark.parametrize("mode", ["raw", "folded"])
def test_decodings_equal_the_argsort_of_plain_products(llama: Path, tmp_path: Path, mode: str) -> None:
    path = built(llama, tmp_path / "a.duckdb", None, mode=mode)
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)
    n_tokens = len(AutoTokenizer.from_pretrained(llama))
    u_VD = model.lm_head.weight.detach().double()[:n_tokens]
    gain_D = model.model.norm.weight.detach() if mode == "folded" else torch.ones(model.config.hidden_size)
    with open_atlas(path) as atlas:
        assert atlas.manifest.decoding_mode == mode
        for layer, block in enumerate(model.model.layers):
            vectors = {
                "gate_proj": block.mlp.gate_proj.weight,
                "up_proj": block.mlp.up_proj.weight,
                "down_proj": block.mlp.down_proj.weight.T,
            }
            for weight, w_ND in vectors.items():
                w_ND = (w_ND.detach() * gain_D).double()
                for neuron in range(0, len(w_ND), 5):
                    logits = (u_VD @ w_ND[neuron]).float().numpy()
                    _, rows = atlas.query(
                        """SELECT sign, token_id, logit, probability, cosine FROM token_decoding
                           WHERE weight = ? AND layer = ? AND neuron = ? ORDER BY sign DESC, rank""",
                        [weight, layer, neuron],
                    )
                    for sign, found in ((1, rows[:6]), (-1, rows[6:])):
                        order = np.argsort(-sign * logits, kind="stable")[:6]
                        assert [row[1] for row in found] == order.tolist()
                        assert [row[2] for row in found] == [float(logits[token]) for token in order]
                        softmax = torch.softmax(sign * (u_VD @ w_ND[neuron]), 0)[order.copy()]
                        np.testing.assert_allclose([row[3] for row in found], softmax, rtol=1e-5)
                        cosine = torch.cosine_similarity(u_VD[order.copy()], w_ND[neuron][None])
                        np.testing.assert_allclose([row[4] for row in found], cosine, rtol=1e-5)


# Each way to lay out an MLP: gated, with one matrix for both, without a gate, transposed.
DIFFERENT = [("gemma3", "last"), ("phi3", "all"), ("gpt_neox", "all"), ("gpt2", "last")]


@pytest.mark.parametrize(("family", "position"), some(product(FAMILIES, ["last", "all"]), DIFFERENT))
def test_every_family_builds(family: str, position: str, tmp_path: Path) -> None:
    model = make_model(family, tmp_path / "model")
    corpus = write_corpus(tmp_path / "words.jsonl")
    with open_atlas(built(model, tmp_path / "a.duckdb", corpus, position=position)) as atlas:
        gated = family not in ("gpt2", "gpt_neox")
        assert atlas.query("SELECT count(DISTINCT weight) FROM _decoding")[1] == [(3 if gated else 2,)]
        n = atlas.query("SELECT n FROM fit")[1][0][0]
        assert (n == 18) if position == "last" else (n > 18)


def test_a_planted_neuron_is_found(tmp_path: Path) -> None:
    """L1N7 is made to read what the pets texts have in common: the atlas must rank it first."""
    texts = PETS + SPORT + STATE
    wide = make_model("llama", tmp_path / "wide", hidden_size=32, head_dim=8)  # more dims than texts
    model = AutoModelForCausalLM.from_pretrained(wide, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(wide)
    reads: list[torch.Tensor] = []
    mlp = model.model.layers[1].mlp
    hook = mlp.register_forward_pre_hook(lambda module, args: reads.append(args[0][0, -1]))
    with torch.no_grad():
        for text in texts:
            model(**tokenizer(text, return_tensors="pt"))
        hook.remove()
        residual_ED = torch.stack(reads).double()
        # Solved exactly: about 1 on pets, about -1 elsewhere.
        spread_E = torch.linspace(-0.1, 0.1, 18, dtype=torch.float64)
        wanted_E = torch.tensor([1.0] * 6 + [-1.0] * 12, dtype=torch.float64) + spread_E
        direction = torch.linalg.lstsq(residual_ED, wanted_E[:, None]).solution[:, 0].float()
        mlp.gate_proj.weight[7] = mlp.up_proj.weight[7] = 20 * direction
    model.save_pretrained(tmp_path / "planted")
    tokenizer.save_pretrained(tmp_path / "planted")
    path = built(tmp_path / "planted", tmp_path / "a.duckdb", write_corpus(tmp_path / "words.jsonl"))
    with open_atlas(path) as atlas:
        _, rows = atlas.query(
            """SELECT layer, neuron, coverage, leakage FROM concept_range WHERE concept = 'pets'
               ORDER BY auc DESC, dprime DESC LIMIT 1"""
        )
    layer, neuron, coverage, leakage = rows[0]
    assert (layer, neuron) == (1, 7)
    assert coverage == 1.0
    assert leakage == 0.0
