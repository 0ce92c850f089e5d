"""The planted model: the range edit hurts its concept alone, the whole-neuron edit hurts another one too."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from atlas.errors import SpecError, UnknownNameError, UsageError
from atlas.live.model import LiveModel
from atlas.spec.document import Tokenization
from builders.evaluation.arms import arms_of
from builders.evaluation.edited import Budget
from builders.evaluation.evaluate import evaluate
from tests.builders.evaluation.planted import EXAMPLES, LABELS, OTHERS, TEMPLATE
from tests.builders.evaluation.reference import make_spec, plain_log_probs

POSITIVE = (100.0, 1000.0)
SHOTS = [("my old cat runs", "pets"), ("the football team won", "sport")]


def planted_spec(live: LiveModel, op: str = "set", value: float = 0.0, when=POSITIVE, **options):
    return make_spec(live, [("mlp_post", 1, 7, op, value, when)], **{"positions": "last", "concept": "pets", **options})


def run(live: LiveModel, *specs, **options):
    options = {"labels": LABELS, "template": TEMPLATE, "bootstrap": 50, **options}
    return evaluate(live, specs, EXAMPLES, **options)


def test_the_range_edit_spares_what_the_whole_neuron_edit_hurts(live: LiveModel) -> None:
    [found] = run(live, planted_spec(live), other_texts=OTHERS)
    accuracy = {
        (arm, group): found.score(arm, "accuracy", group).value.value
        for arm in ("baseline", "whole_neuron", "range")
        for group in ("target", "complement")
    }
    assert accuracy == {
        ("baseline", "target"): 1.0,
        ("baseline", "complement"): 1.0,
        ("whole_neuron", "target"): 0.0,
        ("whole_neuron", "complement"): 0.5,  # sport is lost, state stays
        ("range", "target"): 0.0,
        ("range", "complement"): 1.0,
    }
    drop = found.score("whole_neuron", "accuracy", "complement").drop
    assert drop.low < drop.value == 0.5 < drop.high
    assert found.arms() == ["whole_neuron", "range"]
    assert {score.n for score in found.scores if score.group == "complement"} == {36}


@pytest.mark.parametrize("shots", [[], SHOTS])
def test_every_number_equals_a_plain_loop(live: LiveModel, shots: list) -> None:
    spec = planted_spec(live, positions="all")
    [found] = run(live, spec, other_texts=OTHERS, shots=shots)
    before = "".join(TEMPLATE.replace("{text}", text) + LABELS[name] + "\n\n" for text, name in shots)
    ids_of = lambda text: live.tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    tokens = [ids_of(word)[0] for word in LABELS.values()]
    for arm, edits in (
        ("baseline", None),
        ("range", spec),
        ("whole_neuron", planted_spec(live, when=None, positions="all")),
    ):
        confidence: dict[str, list[float]] = {name: [] for name in LABELS}
        for text, name in EXAMPLES:
            ids = ids_of(before + TEMPLATE.replace("{text}", text))
            logprob_C = plain_log_probs(live, ids, edits, len(ids))[-1, tokens]
            confidence[name].append(math.exp(logprob_C[list(LABELS).index(name)]))
        others = confidence["sport"] + confidence["state"]
        assert found.score(arm, "confidence", "target").value.value == pytest.approx(
            sum(confidence["pets"]) / 18, abs=1e-4
        )
        assert found.score(arm, "confidence", "complement").value.value == pytest.approx(sum(others) / 36, abs=1e-4)
        loss, count = 0.0, 0
        for ids in map(ids_of, OTHERS):
            logprob_TV = plain_log_probs(live, ids, edits, 1)
            loss -= sum(logprob_TV[t, ids[t + 1]].item() for t in range(len(ids) - 1))
            count += len(ids) - 1
        perplexity = found.score(arm, "perplexity", "other").value.value
        assert perplexity == pytest.approx(math.exp(loss / count), rel=1e-4)


def test_specs_together_are_as_alone_and_budgets_change_nothing(live: LiveModel) -> None:
    specs = [planted_spec(live), planted_spec(live, "scale", 0.5, positions="all"), planted_spec(live, when=None)]
    together = run(live, *specs, other_texts=OTHERS, targets=["pets", "sport", "pets"], shots=SHOTS)
    small = Budget(batch_tokens=48, memory=0)
    for spec, found in zip(specs, together, strict=True):
        [alone] = run(live, spec, other_texts=OTHERS, targets=found.target, shots=SHOTS, budget=small)
        assert [(s.arm, s.metric, s.group, s.n) for s in alone.scores] == [
            (s.arm, s.metric, s.group, s.n) for s in found.scores
        ]
        for one, other in zip(alone.scores, found.scores, strict=True):
            assert one.value.value == pytest.approx(other.value.value, rel=1e-4, abs=1e-5)
    assert [found.target for found in together] == ["pets", "sport", "pets"]


def test_the_same_seed_gives_the_same_report(live: LiveModel) -> None:
    one, two, other = (run(live, planted_spec(live), seed=seed) for seed in (1, 1, 2))
    assert one.evaluations[0].scores == two.evaluations[0].scores
    assert one.evaluations[0].scores != other.evaluations[0].scores


def test_arms(live: LiveModel) -> None:
    assert [arm.name for arm in arms_of(planted_spec(live, when=None))] == ["spec"]
    assert [arm.name for arm in arms_of(planted_spec(live), whole_neuron=False)] == ["range"]
    whole, ranged = arms_of(planted_spec(live, "damp", 0.125))
    assert (whole.name, ranged.name) == ("whole_neuron", "range")
    [edit] = whole.spec.edits
    assert (edit.op, edit.value, edit.when) == ("set", 0.0, None)
    [edit] = arms_of(planted_spec(live, "add", 2.0))[0].spec.edits
    assert (edit.op, edit.value, edit.when) == ("add", 2.0, None)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels": {**LABELS, "sport": " dog"}}, UsageError, "begin with the same token"),
        ({"labels": {**LABELS, "sport": " qwertz"}}, UsageError, "does not know"),
        ({"labels": {**LABELS, "sport": ""}}, UsageError, "token of its own"),
        ({"labels": {"pets": " dog", "sport": " team"}}, UnknownNameError, "'state'"),
        ({"template": "{text} {text}"}, UsageError, "exactly once"),
        ({"shots": [EXAMPLES[0]]}, UsageError, "also evaluated"),
        ({"shots": [("a {text}", "pets")]}, UsageError, "contains"),
        ({"targets": "poetry"}, UnknownNameError, "'poetry'"),
        ({"targets": ["pets", "sport"]}, UsageError, "2 targets for 1 specs"),
    ],
)
def test_what_is_refused(live: LiveModel, change: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        run(live, planted_spec(live), **change)


def test_specs_that_are_refused(live: LiveModel) -> None:
    nameless, foreign = planted_spec(live, concept=None), planted_spec(live)
    with pytest.raises(UsageError, match="names no concept"):
        run(live, replace(nameless, source={}))
    with pytest.raises(UsageError, match="chat template"):
        run(live, replace(foreign, tokenization=Tokenization(add_bos=False, chat_template=True)))
    foreign = replace(foreign, model=replace(foreign.model, fingerprint="sha256:" + "00" * 32))
    with pytest.raises(SpecError, match="fingerprint"):
        run(live, foreign)
    assert run(live, foreign, override_model=True).evaluations[0].score("range", "accuracy", "target").value.value == 0
