"""Atlases of encoders from build to evaluation, against transformers alone and loops over single texts."""

from __future__ import annotations

import json
import random
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from atlas.errors import AtlasError
from atlas.live.check import with_check
from atlas.live.head import mean_state
from atlas.live.loading import load
from atlas.store.reader import open_atlas
from builders.before_after import compare
from builders.build.pipeline import build
from builders.config import BuildConfig, ConceptSource
from builders.corpora.text_hash import text_hash
from builders.evaluation.arms import without_ranges
from builders.evaluation.command import run
from builders.evaluation.config import EvaluateConfig, TaskRequest
from builders.evaluation.texts import seen_texts
from builders.export.export import export
from queries.info import info
from queries.neurons import neurons_for_concept, neurons_for_token
from queries.specs.make_spec import make_spec
from tests.atlas.live import plain_encoders as plain
from tests.encoders import LABELS, make_encoder
from tests.synthetic import WORDS

WORDS_OF = {"sports": WORDS[11:16], "politics": WORDS[16:20], "science": WORDS[5:8]}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    draw, rows = random.Random(0), []
    for concept, words in WORDS_OF.items():
        for _ in range(20):
            text = "The " + " ".join(draw.choice([*words, *WORDS[25:30]]) for _ in range(draw.randint(3, 7)))
            rows.append(json.dumps({"concept": concept, "text": text}))
    path = tmp_path_factory.mktemp("corpus") / "words.jsonl"
    path.write_text("\n".join(rows))
    return path


def built(folder: Path, corpus: Path, head: str, **options):
    model = folder / head
    if not model.exists():
        make_encoder("bert", head, model)
    target = folder / f"{head}-{'-'.join(map(str, options.values()))}.duckdb"
    concepts = (ConceptSource(str(corpus)),)
    build(BuildConfig(str(model), target, concepts=concepts, folds=0, device="cpu", **options))
    return model, target


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("encoders")


@pytest.fixture(scope="module")
def classifier(folder, corpus):
    return built(folder, corpus, "classifier", position="cls", holdout=0.4)


def decodings(atlas, weight="down_proj", layer=1):
    _, rows = atlas.query(
        "SELECT raised_token, raised_logit, lowered_token FROM _decoding WHERE weight = $w AND layer = $l "
        "ORDER BY neuron",
        {"w": weight, "l": layer},
    )
    return rows


def test_neurons_of_a_classifier_are_decoded_to_its_labels(classifier):
    model_folder, path = classifier
    live, model = load(str(model_folder), device="cpu"), plain.plain_model(model_folder, "classifier").double()
    jacobian_CD = torch.autograd.functional.jacobian(plain.head_of(model), mean_state(live))
    logits_NC = plain.weights(model, 1)["down_proj"] @ jacobian_CD.T
    with open_atlas(path) as atlas:
        manifest = atlas.manifest
        assert (manifest.head, manifest.decoding_mode, manifest.top) == ("classifier", "linearised", 3)
        assert atlas.query("SELECT token FROM vocab ORDER BY token_id")[1] == [(label,) for label in LABELS]
        rows = decodings(atlas)
        writes = neurons_for_token(atlas, "sports", exact=True, weight="down_proj", sign=1, layer=1, limit=1).rows
        fields = info(atlas).fields
    assert fields["head"] == "classifier" and fields["decoding_mode"] == "linearised"
    map_ED = torch.autograd.functional.jacobian(lambda state: model.bert.pooler(state[None, None])[0], mean_state(live))
    norm_N = (plain.weights(model, 1)["down_proj"] @ map_ED.T).norm(dim=1)
    assert writes[0][0] == f"L1N{int((logits_NC[:, 0] / norm_N).square().argmax())}"  # by squared cosine
    for (raised, logits, lowered), expected_C in zip(rows, logits_NC, strict=True):
        order = expected_C.argsort(descending=True).tolist()
        assert list(raised) == order and list(lowered) == order[::-1]
        assert np.allclose(logits, expected_C[order].numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", ["raw", "linearised"])
def test_neurons_of_a_masked_language_model_are_decoded_to_tokens(mode, folder, corpus):
    model_folder, path = built(folder, corpus, "mlm", position="mask", mode=mode, top=5)
    live, model = load(str(model_folder), device="cpu"), plain.plain_model(model_folder, "mlm").double()
    if mode == "raw":
        map_CD = plain.decoder_of(model)
    else:
        map_CD = torch.autograd.functional.jacobian(plain.head_of(model), mean_state(live))
    with open_atlas(path) as atlas:
        known = [number for (number,) in atlas.query("SELECT token_id FROM vocab ORDER BY 1")[1]]
        rows, template = decodings(atlas), atlas.query("SELECT template FROM fit")[1]
    logits_NC = (plain.weights(model, 1)["down_proj"] @ map_CD.T)[:, known]
    assert template == [("{text} [MASK]",)]
    for (raised, logits, _), expected_C in zip(rows, logits_NC, strict=True):
        best = expected_C.topk(5)
        assert list(raised) == [known[place] for place in best.indices.tolist()]
        assert np.allclose(logits, best.values.numpy(), rtol=1e-4, atol=1e-6)


def test_statistics_are_of_the_first_token_or_the_mask(classifier, folder, corpus):
    cases = [(classifier, "classifier", lambda ids: 0)]
    cases.append((built(folder, corpus, "mlm", position="mask", decode=False), "mlm", lambda ids: ids.index(4)))
    for (model_folder, path), head, place in cases:
        live, model = load(str(model_folder), device="cpu"), plain.plain_model(model_folder, head)
        with open_atlas(path) as atlas:
            seen = seen_texts(atlas)
            _, rows = atlas.query(
                "SELECT neuron, mean FROM _gaussian JOIN concept USING (concept_id) "
                "WHERE layer = 2 AND concept = 'sports' ORDER BY neuron"
            )
        texts = [json.loads(line) for line in corpus.read_text().splitlines()]
        chosen = [each["text"] for each in texts if each["concept"] == "sports" and text_hash(each["text"]) in seen]
        template = "{text} [MASK]" if head == "mlm" else "{text}"
        ids = [live.tokenizer(template.replace("{text}", text))["input_ids"] for text in chosen]
        values = [plain.activations(model, each)["mlp_post", 2][place(each)] for each in ids]
        assert np.allclose([mean for _, mean in rows], torch.stack(values).double().mean(0), atol=1e-5)


@pytest.fixture(scope="module")
def spec(classifier):
    with open_atlas(classifier[1]) as atlas:
        return make_spec(atlas, concept="sports", top="6", op="set=0", layers="1", tau=1.0)


def plain_log_probs(model, ids, spec, ranged=True):
    """[labels] under the edits of one layer, by a plain hook."""

    def edit(acts_TN):
        edited = acts_TN.clone()
        for each in spec.edits:
            x_T = acts_TN[:, each.neuron]
            inside = (x_T >= each.when.lower) & (x_T <= each.when.upper) if ranged else torch.ones_like(x_T, dtype=bool)
            edited[inside, each.neuron] = each.value
        return edited

    return plain.edited_logits(model, ids, 1, edit if spec.edits else lambda acts: acts).log_softmax(-1)


def test_evaluation_is_that_of_a_loop_over_texts(classifier, spec, corpus, tmp_path):
    model_folder, path = classifier
    (tmp_path / "s.json").write_text(json.dumps(spec_json(spec)))
    found = run(EvaluateConfig(path, specs=(tmp_path / "s.json",), bootstrap=0, store=False, device="cpu"))
    rows = {(row[2], row[3], row[4]): (row[5], row[-1]) for row in found.rows}
    live, model = load(str(model_folder), device="cpu"), plain.plain_model(model_folder, "classifier")
    with open_atlas(path) as atlas:
        seen = seen_texts(atlas)
    texts = [json.loads(line) for line in corpus.read_text().splitlines()]
    fresh = [each for each in texts if text_hash(each["text"]) not in seen]
    for arm, options in (("baseline", None), ("whole_neuron", {"ranged": False}), ("range", {})):
        by_group = {"target": [], "complement": []}
        for each in fresh:
            ids = live.tokenizer(each["text"])["input_ids"]
            if options is None:
                logprob_C = plain.edited_logits(model, ids, 1, lambda acts: acts).log_softmax(-1)
            else:
                logprob_C = plain_log_probs(model, ids, spec, **options)
            gold = LABELS.index(each["concept"])
            by_group["target" if each["concept"] == "sports" else "complement"].append(
                (int(logprob_C.argmax()) == gold, float(logprob_C[gold].exp()))
            )
        for group, outcomes in by_group.items():
            accuracy, confidence = np.array(outcomes, float).mean(0)
            assert rows[arm, "accuracy", group] == (pytest.approx(accuracy), len(outcomes))
            assert rows[arm, "confidence", group][0] == pytest.approx(confidence, abs=1e-5)
    assert not any(metric == "perplexity" for _, metric, _ in rows)
    assert rows["range", "confidence", "target"] != rows["whole_neuron", "confidence", "target"]


def spec_json(spec):
    from atlas.spec.text import dumps

    return json.loads(dumps(spec))


def test_run_shows_labels_and_the_token_at_the_mask(classifier, spec, folder, corpus):
    model_folder, _ = classifier
    live, model = load(str(model_folder), device="cpu"), plain.plain_model(model_folder, "classifier")
    found = compare(live, spec, "The team won")
    ids = live.tokenizer("The team won")["input_ids"]
    before = plain.edited_logits(model, ids, 1, lambda acts: acts).softmax(-1)
    after = plain_log_probs(model, ids, spec).exp()
    assert {each.token for each in found.tokens} == set(LABELS) and found.text_before == ""
    for each in found.tokens:
        assert each.probability_before == pytest.approx(float(before[each.token_id]), abs=1e-5)
        assert each.probability_after == pytest.approx(float(after[each.token_id]), abs=1e-5)
    model_folder, path = built(folder, corpus, "mlm", position="mask", decode=False, layers=(1,))
    live, model = load(str(model_folder), device="cpu"), plain.plain_model(model_folder, "mlm")
    with open_atlas(path) as atlas:
        made = make_spec(atlas, concept="sports", top="3", op="set=0", tau=1.0)
    (best, *_) = sorted(compare(live, made, "The [MASK] won", top=1).tokens, key=lambda each: each.rank_before)
    ids = live.tokenizer("The [MASK] won")["input_ids"]
    expected = plain.edited_logits(model, ids, 1, lambda acts: acts)[ids.index(4)].softmax(-1)
    assert best.token_id == int(expected.argmax())
    assert best.probability_before == pytest.approx(float(expected.max()), abs=1e-5)
    with pytest.raises(AtlasError, match=r"the prompt has 0 \[MASK\]"):
        compare(live, made, "The dog won")


@pytest.mark.parametrize(
    ("head", "options", "message"),
    [
        ("none", {}, "no head, so its neurons decode to neither"),
        ("mlm", {"mode": "folded"}, "folded is of LM heads"),
        ("mlm", {"gradients": True}, "--gradients is about the next token"),
        ("mlm", {"graphs": ("L0N1",)}, "an encoder reads those after it too"),
        ("classifier", {"texts": ("topics",)}, "labels for a vocabulary"),
    ],
)
def test_refused_builds(head, options, message, folder, corpus, tmp_path):
    with pytest.raises(AtlasError, match=message):
        built(folder, corpus, head, position="cls", **options)
    assert not list(tmp_path.iterdir())


def test_what_needs_next_tokens_is_refused_by_name(classifier, spec, tmp_path):
    from builders.attribution.explain import explain
    from builders.evaluation.evaluate import evaluate

    model_folder, path = classifier
    live = load(str(model_folder), device="cpu")
    with pytest.raises(AtlasError, match="explain is about the next token"):
        explain(live, [])
    with pytest.raises(AtlasError, match=r"phase: .* generates nothing"):
        compare(live, replace(spec, phase="generated"), "The dog")
    (tmp_path / "s.json").write_text(json.dumps(spec_json(spec)))
    shots = EvaluateConfig(path, specs=(tmp_path / "s.json",), task=TaskRequest(shots=1), store=False)
    with pytest.raises(AtlasError, match="a classifier predicts none"):
        run(shots)
    labels = dict(zip(("sports", "politics", "science"), ("sports", "politics", "cooking"), strict=True))
    with pytest.raises(AtlasError, match="no label 'cooking'"):
        evaluate(live, [spec], [("a", "sports")], labels=labels, template="{text}")


@pytest.mark.usefixtures("exports_start_at_once")
def test_hooks_for_plain_transformers(classifier, spec, tmp_path):
    """The export checks itself in a process of its own; here its hooks run on the model by transformers alone."""
    model_folder, _ = classifier
    live, model = load(str(model_folder), device="cpu"), plain.plain_model(model_folder, "classifier")
    checked = with_check(live, spec, "The team won", n_tokens=3)
    report = export(checked, "hooks", tmp_path / "edit.py", model=str(model_folder))
    assert report.difference is not None and report.difference < 1e-4
    made = runpy.run_path(str(tmp_path / "edit.py"))
    rows = [live.tokenizer(text)["input_ids"] for text in ("The team won", "The goal of the election is new")]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    with torch.no_grad(), made["apply"](model):
        found = model(input_ids=ids, attention_mask=mask).logits.log_softmax(-1)
    for row, text in enumerate(rows):
        assert torch.allclose(found[row], plain_log_probs(model, text, spec), atol=1e-4)
    for target, name in (("nnsight", "n.py"), ("lora", "lora")):
        whole = without_ranges(checked)
        with pytest.raises(AtlasError, match=f"export --to {target} is about the next token"):
            export(replace(whole, check=checked.check), target, tmp_path / name, model=str(model_folder))


def test_an_encoder_without_a_head_has_statistics(folder, corpus):
    _, path = built(folder, corpus, "none", position="mean", decode=False)
    with open_atlas(path) as atlas:
        assert (atlas.manifest.head, atlas.manifest.decoding_mode) == ("none", None)
        assert atlas.query("SELECT count(*) FROM _gaussian")[1] == [(3 * 3 * 24,)]
        assert neurons_for_concept(atlas, "sports", rule="auc").rows
