"""The live side on the packaged model, against numbers known from running it in plain transformers."""

from __future__ import annotations

import math

import pytest
import torch

from atlas.live.batching import batches, encode
from atlas.live.capture import capture
from atlas.live.check import with_check
from atlas.live.intervene import intervene
from atlas.live.loading import load
from atlas.live.pooling import pool
from atlas.live.vocabulary import vocabulary
from atlas.packaged import model_file
from atlas.spec.document import Edit, Range
from builders.evaluation.scoring import label_log_probs
from tests.atlas.live.plain_edits import a_spec
from tests.builders.evaluation.reference import make_spec, plain_log_probs

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
    assert live.fingerprint.startswith("sha256v2:") and live.weights_fingerprint.startswith("sha256:")


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


def test_evaluation_equals_plain_passes(live, words):
    """Shared prefix, kept layers and a batch, against one full pass per text."""
    texts = ["The match was lost in the last minute", "Parliament votes on Monday", "My dog sleeps"]
    prompts = encode(live, texts, "Topics are sports, politics and animals.\n{text}\nThis text is about", 64).input_ids
    labels = [token(words, text) for text in (" sports", " politics", " animals")]
    when = (-1.0, 1.0)
    middle = [("mlp_post", layer, neuron, "set", 0.5, when) for layer in (10, 20) for neuron in range(0, 1500, 3)]
    for positions in ("all", "last"):
        spec = make_spec(live, middle, positions)
        found_AEC = label_log_probs(live, prompts, labels, [None, spec])
        for edits, found_EC in zip((None, spec), found_AEC, strict=True):
            expected_EC = [plain_log_probs(live, ids, edits, len(ids))[-1, labels] for ids in prompts]
            torch.testing.assert_close(torch.tensor(found_EC).float(), torch.stack(expected_EC), rtol=0, atol=1e-4)


def test_the_vocabulary(live, words):
    assert len(words) == len(live.tokenizer) <= live.d_vocab
    assert {" dog", "dog", " Paris", "\n", "<|im_start|>"} <= set(words.values())
    # Only tokens that hold part of a character keep the tokenizer's own spelling.
    raw = [token_id for token_id, text in words.items() if "Ġ" in text]
    assert len(raw) < 100
    assert all("�" in live.tokenizer.decode([token_id]) for token_id in raw)


@pytest.mark.parametrize(
    ("value", "share"), [(0.0, 0.01528), (10.0, 0.05776), (20.0, 0.11963), (-10.0, 0.00272), (-20.0, 0.00040)]
)
def test_a_clamped_neuron_moves_its_word(live, words, value, share):
    """L29N808 at every position, in plain transformers with one hook."""
    spec = a_spec(live, Edit("mlp_post", 29, 808, "set", value))
    after = with_check(live, spec, PROMPT, tokens=[token(words, " dog")]).check.logprob_after[0]
    assert math.exp(after) == pytest.approx(share, abs=2e-5)


def test_two_thousand_ranges_in_a_generation(live):
    """Against one full-width hook a layer, on passes that read everything again."""
    edits = [Edit("mlp_post", n % 30, 7 * (n // 30), "scale", -1.0, Range(-0.3, 0.2)) for n in range(2000)]
    spec = a_spec(live, *edits, positions="last")
    ids = torch.tensor([live.tokenizer(PROMPT)["input_ids"]])
    options = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False, "pad_token_id": 0}
    with intervene(live, spec):
        out = live.model.generate(ids, return_dict_in_generate=True, output_logits=True, **options)
    edited = torch.zeros(30, 1536, dtype=torch.bool)
    for edit in edits:
        edited[edit.layer, edit.neuron] = True

    def flip(module, args, layer):
        acts = args[0]
        chosen = edited[layer] & (acts >= -0.3) & (acts <= 0.2)
        chosen[:, :4] = False
        return (torch.where(chosen, -acts, acts),)

    hooks = [
        block.mlp.down_proj.register_forward_pre_hook(lambda module, args, layer=layer: flip(module, args, layer))
        for layer, block in enumerate(live.model.model.layers)
    ]
    with torch.no_grad():
        expected = live.model(input_ids=out.sequences[:, :-1], use_cache=False).logits[0, 4:]
    for hook in hooks:
        hook.remove()
    torch.testing.assert_close(torch.cat(out.logits).log_softmax(-1), expected.log_softmax(-1), rtol=0, atol=1e-4)
    assert out.sequences[0, 5:].tolist() == expected.argmax(-1).tolist()
