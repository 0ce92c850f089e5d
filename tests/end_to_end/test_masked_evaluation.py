"""`evaluate` of masked language models against transformers alone, a text and a mask at a time."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from atlas.errors import AtlasError
from atlas.live.loading import load
from atlas.spec.document import Edit, InterventionSpec, ModelReference, Range, Tokenization
from builders.evaluation.evaluate import evaluate
from tests.atlas.live import plain_encoders as plain
from tests.encoders import LABELS, make_encoder
from tests.synthetic import WORDS

TEMPLATE = "{text} [MASK] ."
LABEL_WORDS = {name: f" {name}" for name in LABELS}
LAYER, NEURONS = 1, (3, 7, 11)


# RoBERTa counts positions from its padding token, ModernBERT norms its last state, ELECTRA has a narrow decoder.
@pytest.fixture(scope="module", params=["bert", "roberta", "modernbert", "electra"])
def masked(request, tmp_path_factory):
    folder = make_encoder(request.param, "mlm", tmp_path_factory.mktemp("masked") / request.param)
    return load(str(folder), device="cpu"), plain.plain_model(folder, "mlm")


def spec_of(live):
    edits = [
        Edit(layer=LAYER, neuron=neuron, site="mlp_post", op="set", value=4.0, when=Range(0.0, 1e9))
        for neuron in NEURONS
    ]
    dims = {name: getattr(live, name) for name in ("n_layers", "d_model", "d_mlp", "gated")}
    reference = ModelReference(id="x", fingerprint=live.fingerprint, **dims)
    source = {"concept": "sports"}
    return InterventionSpec(model=reference, tokenization=Tokenization(True, False), edits=tuple(edits), source=source)


def examples():
    draw = random.Random(0)
    return [(" ".join(draw.choices(WORDS[5:30], k=draw.randint(1, 9))), LABELS[n % 3]) for n in range(18)]


def at_place(model, ids, place, edit):
    return plain.edited_logits(model, ids, LAYER, edit)[place].double().log_softmax(-1)


def edits(name):
    def apply(acts_TN):
        out = acts_TN.clone()
        for neuron in NEURONS:
            x_T = out[:, neuron]
            out[:, neuron] = torch.where(x_T >= 0, 4.0, x_T) if name == "range" else torch.full_like(x_T, 4.0)
        return out

    return (lambda acts: acts) if name == "baseline" else apply


def scores(live, **options):
    report = evaluate(live, [spec_of(live)], examples(), labels=LABEL_WORDS, template=TEMPLATE, bootstrap=0, **options)
    (evaluation,) = report.evaluations
    return {(each.arm, each.metric, each.group): each.value.value for each in evaluation.scores}, report


def test_the_answer_is_read_at_the_mask_and_texts_have_a_pseudo_perplexity(masked):
    live, model = masked
    tokenizer = live.tokenizer
    tokens = [tokenizer.convert_tokens_to_ids(f"▁{name}") for name in LABELS]
    others = ["The dog won", "a red", "The goal of the election is new"]
    found, report = scores(live, other_texts=others)
    for arm in ("baseline", "whole_neuron", "range"):
        outcomes = {"target": [], "complement": []}
        for text, concept in examples():
            ids = tokenizer(TEMPLATE.replace("{text}", text))["input_ids"]
            logprob_V = at_place(model, ids, ids.index(tokenizer.mask_token_id), edits(arm))
            gold = LABELS.index(concept)
            hit = int(logprob_V[tokens].argmax()) == gold
            outcomes["target" if concept == "sports" else "complement"].append(
                (hit, float(logprob_V[tokens[gold]].exp()))
            )
        for group, rows in outcomes.items():
            accuracy, confidence = np.array(rows, float).mean(0)
            assert found[arm, "accuracy", group] == pytest.approx(accuracy)
            assert found[arm, "confidence", group] == pytest.approx(confidence, abs=1e-6)
        losses = []
        for text in others:
            ids = tokenizer(text)["input_ids"]
            for place in range(1, len(ids) - 1):
                hidden = [*ids[:place], tokenizer.mask_token_id, *ids[place + 1 :]]
                losses.append(-float(at_place(model, hidden, place, edits(arm))[ids[place]]))
        assert found[arm, "pseudo_perplexity", "other"] == pytest.approx(float(np.exp(np.mean(losses))), rel=1e-4)
    assert not any(metric == "perplexity" for _, metric, _ in found)
    assert (
        len({round(found[arm, "pseudo_perplexity", "other"], 3) for arm in ("baseline", "whole_neuron", "range")}) == 3
    )
    assert report.labels == LABEL_WORDS and report.n_other == 3


def test_what_a_mask_cannot_be_asked_is_refused(masked):
    live, _ = masked
    spec, some = spec_of(live), examples()
    for options, message in [
        ({"template": "{text}"}, r"must contain \{text\} and \[MASK\] exactly once"),
        ({"template": "[MASK] {text} [MASK]"}, r"must contain \{text\} and \[MASK\] exactly once"),
        ({"labels": {**LABEL_WORDS, "sports": " the goal"}}, "'the goal' of sports is 2 tokens at the mask"),
        ({"labels": {**LABEL_WORDS, "sports": " "}}, "'' of sports is 0 tokens at the mask"),
        ({"labels": {**LABEL_WORDS, "sports": " qwertyuiop"}}, "does not know the label word 'qwertyuiop'"),
        ({"labels": {**LABEL_WORDS, "politics": "sports"}}, "sports and politics are the same token"),
        ({"labels": {"sports": "sports"}}, "at least 2 labels|no label word"),
        ({"shots": [("The dog", "sports")]}, "a masked language model predicts none"),
    ]:
        with pytest.raises(AtlasError, match=message):
            evaluate(live, [spec], some, **{"labels": LABEL_WORDS, "template": TEMPLATE, "bootstrap": 0, **options})
    with pytest.raises(AtlasError, match=r"text 0 \('a \[MASK\]'\) has 2 \[MASK\]"):
        evaluate(live, [spec], [("a [MASK]", "sports"), ("b", "politics")], labels=LABEL_WORDS, template=TEMPLATE)
