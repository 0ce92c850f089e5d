"""A whole build of a tiny model on a GPU: the same atlas as the processor's, to the rounding of a forward pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from atlas.store.reader import open_atlas
from builders.build.pipeline import build
from builders.config import BuildConfig, ConceptSource
from tests.gpu.device import DEVICE, MARKS
from tests.synthetic import BARE, WORDS, make_model

pytestmark = MARKS
QUESTIONS = {
    "decoding": "SELECT weight, layer, neuron, sign, rank, token_id, logit FROM token_decoding ORDER BY ALL",
    "gaussian": "SELECT layer, neuron, concept, n, mean, std FROM concept_gaussian ORDER BY layer, neuron, concept",
    "firing": "SELECT layer, neuron, n, mean, std FROM firing ORDER BY layer, neuron",
    "neuron_fact": "SELECT layer, neuron, cos_in_out, frequency_correlation FROM neuron_fact ORDER BY layer, neuron",
}


@pytest.fixture(scope="module")
def atlases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("gpu")
    model = make_model("llama", folder / "model")
    said = [f"{BARE[i % 11]} {WORDS[i % 40]} {WORDS[(7 * i + 3) % 40]}" for i in range(60)]
    corpus = folder / "corpus.csv"
    corpus.write_text("text,concept\n" + "".join(f"{text},{i % 2}\n" for i, text in enumerate(said)))
    texts = folder / "running.txt"
    texts.write_text("\n\n".join(said))
    found = {}
    for name, device in (("cpu", "cpu"), ("gpu", str(DEVICE))):
        found[name] = folder / f"{name}.duckdb"
        source = ConceptSource(str(corpus))
        build(
            BuildConfig(str(model), found[name], (source,), texts=(str(texts),), detectors=True, device=device, top=8)
        )
    return found


@pytest.mark.parametrize("question", QUESTIONS)
def test_rows(atlases: dict[str, Path], question: str) -> None:
    with open_atlas(atlases["cpu"]) as one, open_atlas(atlases["gpu"]) as other:
        (names, due), (_, found) = (atlas.query(QUESTIONS[question]) for atlas in (one, other))
    assert len(found) == len(due) > 0
    for ours, theirs in zip(found, due, strict=True):
        for name, value, expected in zip(names, ours, theirs, strict=True):
            assert value == (
                pytest.approx(expected, rel=2e-4, abs=2e-5) if isinstance(expected, float) else expected
            ), name
