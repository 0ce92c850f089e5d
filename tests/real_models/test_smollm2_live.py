"""The live side on the packaged model, against numbers known from running it in plain transformers."""

from __future__ import annotations

import pytest
import torch

from atlas.live.batching import batches, encode
from atlas.live.capture import capture
from atlas.live.loading import load
from atlas.live.pooling import pool
from atlas.live.vocabulary import vocabulary
from atlas.packaged import model_file

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(model_file("smollm2-135m") is None, reason="not fetched; run: neuron-atlas fetch smollm2-135m"),
]
PROMPT = "My favourite animal is the"


@pytest.fixture(scope="module")
def live():
    return load("smollm2-135m", device="cpu")


@pytest.fixture(scope="module")
def words(live):
    return dict(vocabulary(live.tokenizer, live.d_vocab))


def token(words: dict[int, str], text: str) -> int:
    return next(token_id for token_id, word in words.items() if word == text)


def test_what_it_is(live):
    assert (live.n_layers, live.d_model, live.d_mlp, live.d_vocab) == (30, 576, 1536, 49152)
    assert (live.model_id, live.gated, live.hidden_act, live.add_bos) == ("smollm2-135m", True, "silu", False)
    assert live.fingerprint.startswith("sha256:")


def test_the_next_token(live, words):
    [ids] = encode(live, [PROMPT], "{text}", 64).input_ids
    assert len(ids) == 5
    logits = live.model(input_ids=torch.tensor([ids])).logits[0, -1]
    assert logits.softmax(-1)[token(words, " dog")].item() == pytest.approx(0.02016, abs=2e-5)


def test_a_known_neuron(live, words):
    """L29N808: its activations on the prompt, and what its weights read."""
    seen = {}
    [batch] = batches(encode(live, [PROMPT], "{text}", 64).input_ids, 64)
    capture(
        live,
        batch.input_ids,
        batch.attention_mask,
        ["mlp_post"],
        [29],
        lambda site, layer, acts: seen.update(acts=pool(acts, batch.attention_mask, "all")),
    )
    expected = torch.tensor([-1.004, -0.045, 0.197, -0.172, 1.798])
    torch.testing.assert_close(seen["acts"][:, 808], expected, rtol=0, atol=1e-3)
    for neuron, text in ((808, " dog"), (812, " science")):
        logits = live.unembedding() @ live.weight("gate_proj", 29)[neuron]
        assert words[int(logits.argmax())] == text


def test_the_vocabulary(live, words):
    assert len(words) == len(live.tokenizer) <= live.d_vocab
    assert {" dog", "dog", " Paris", "\n", "<|im_start|>"} <= set(words.values())
    # Only tokens that hold part of a character keep the tokenizer's own spelling.
    raw = [token_id for token_id, text in words.items() if "Ġ" in text]
    assert len(raw) < 100
    assert all("�" in live.tokenizer.decode([token_id]) for token_id in raw)
