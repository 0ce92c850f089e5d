"""Builds at the positions mean, max and all, against plain hooks and tokens that are told apart by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from atlas.errors import BuildError, CorpusError, UsageError
from atlas.store.reader import open_atlas
from atlas.store.staging import Staging
from builders.build.pipeline import build
from builders.config import ConceptSource
from tests.end_to_end.workbench import PETS, SPORT, STATE, built, config, write_corpus
from tests.synthetic import make_model

TEMPLATE = "The {text}</s> is about"
AFTER = ["</s>", "▁is", "▁about"]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("llama", tmp_path_factory.mktemp("llama"), add_bos=True)


def plain(folder: Path, pool: str) -> list[np.ndarray]:
    """For each text mlp_post of layer 1 [tokens that count, width], one example at a time."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found: list[torch.Tensor] = []
    model.model.layers[1].mlp.down_proj.register_forward_pre_hook(lambda module, args: found.append(args[0][0]))
    examples = []
    for text in PETS + SPORT + STATE:
        encoding = tokenizer(TEMPLATE.replace("{text}", text), return_tensors="pt")
        tokens = tokenizer.convert_ids_to_tokens(encoding["input_ids"][0].tolist())
        assert tokens[:2] == ["<s>", "The"] and tokens[-3:] == AFTER
        found.clear()
        with torch.no_grad():
            model(**encoding)
        keep = [number for number, token in enumerate(tokens) if token not in ("<s>", "</s>")]
        if pool == "text":
            keep = [number for number in keep if 2 <= number < len(tokens) - 3]
        examples.append(found[0][keep].double().numpy())
    return examples


@pytest.mark.parametrize("pool", ["prompt", "text"])
@pytest.mark.parametrize("position", ["mean", "max", "all"])
def test_what_is_pooled(llama: Path, tmp_path: Path, position: str, pool: str) -> None:
    corpus = write_corpus(tmp_path / "words.jsonl")
    source = (ConceptSource(str(corpus), template=TEMPLATE),)
    path = built(llama, tmp_path / "a.duckdb", corpus, concepts=source, position=position, pool=pool)
    reduced = {
        "mean": lambda acts_TN: acts_TN.mean(0, keepdims=True),
        "max": lambda acts_TN: acts_TN.max(0, keepdims=True),
        "all": lambda acts_TN: acts_TN,
    }[position]
    parts = [reduced(acts_TN) for acts_TN in plain(llama, pool)]
    with open_atlas(path) as atlas:
        for number, concept in enumerate(("pets", "sport", "state")):
            own = np.concatenate(parts[6 * number : 6 * number + 6])
            _, rows = atlas.query(
                "SELECT n, mean, std, min, max FROM concept_gaussian WHERE concept = ? AND layer = 1 ORDER BY neuron",
                [concept],
            )
            assert {row[0] for row in rows} == {len(own)}
            expected = np.stack([own.mean(0), own.std(0), own.min(0), own.max(0)], axis=1)
            np.testing.assert_allclose([row[1:] for row in rows], expected, rtol=1e-4, atol=1e-5)
        [(parameters,)] = atlas.query("SELECT parameters FROM run WHERE builder = 'gaussians'")[1]
    assert json.loads(parameters)["pool"] == pool


def test_the_last_token_has_no_pool(llama: Path, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "words.jsonl")
    with open_atlas(built(llama, tmp_path / "a.duckdb", corpus)) as atlas:
        [(parameters,)] = atlas.query("SELECT parameters FROM run WHERE builder = 'gaussians'")[1]
    assert json.loads(parameters)["pool"] is None
    with pytest.raises(UsageError, match="--pool goes with --position"):
        config(llama, tmp_path / "b.duckdb", corpus, pool="text")


def test_a_build_is_not_resumed_with_another_pool(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = write_corpus(tmp_path / "words.jsonl")

    def stop(self, *arguments, **options):
        raise KeyboardInterrupt

    options = {"decode": False, "position": "mean"}
    with monkeypatch.context() as patch:
        patch.setattr(Staging, "commit", stop)
        with pytest.raises(KeyboardInterrupt):
            build(config(llama, tmp_path / "a.duckdb", corpus, **options))
    with pytest.raises(BuildError, match="pool = 'prompt', this one has 'text'"):
        build(config(llama, tmp_path / "a.duckdb", corpus, pool="text", **options), interrupted="resume")
    build(config(llama, tmp_path / "a.duckdb", corpus, **options), interrupted="resume")


def test_a_text_of_special_tokens_is_refused_before_anything_is_written(llama: Path, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "words.jsonl")
    with corpus.open("a") as file:
        file.write(json.dumps({"text": "</s>", "concept": "pets"}) + "\n")
    with pytest.raises(CorpusError, match=r"'</s>'.*has no token that counts"):
        build(config(llama, tmp_path / "a.duckdb", corpus, position="mean"))
    assert [path.name for path in tmp_path.iterdir()] == ["words.jsonl"]
