"""Arms, their specs and their effects, against references written out here."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.ranges.arms import GAUSSIAN, MEAN_ABS, PUSH, TAU, TOLD, WHOLE, Arm, Joint, choose, spec_of
from benchmarks.ranges.best_interval import inside, interval_of
from benchmarks.ranges.effects import effect
from benchmarks.ranges.evidence import AGAINST_TEXT, INTERVAL, Evidence, evidence_of, gathered
from benchmarks.ranges.halves import cross_chosen, half
from benchmarks.ranges.masking import Outcome

LAYERS, WIDTH, CLASSES = 3, 8, 2
LIVE = SimpleNamespace(
    model_id="made-up",
    fingerprint="sha256:" + "0" * 64,
    n_layers=LAYERS,
    d_model=4,
    d_mlp=WIDTH,
    gated=True,
    add_bos=False,
)
ARM = Arm((1, 2), TOLD, 3)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(8)
    labels_E = np.repeat([0, 1], 15)
    acts_ELN = draw.normal(size=(30, LAYERS, WIDTH)).astype(np.float32)
    acts_ELN[labels_E == 1, 1, 4] += 2
    acts_ELN[labels_E == 1, 2, 6] -= 3
    return acts_ELN, labels_E, draw.normal(size=(20, LAYERS, WIDTH)).astype(np.float32)


@pytest.fixture(scope="module")
def evidence(data: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Evidence:
    acts_ELN, labels_E, text_BLN = data
    return evidence_of(gathered(acts_ELN, labels_E, CLASSES, text_BLN))


def test_evidence_is_of_the_class_and_of_tokens_that_had_no_part(data: tuple, evidence: Evidence) -> None:
    acts_ELN, labels_E, text_BLN = data
    np.testing.assert_allclose(evidence.rest_mean[1], acts_ELN[labels_E == 0].mean(axis=0), rtol=1e-4, atol=1e-6)
    rows = {INTERVAL: acts_ELN[:, 2], AGAINST_TEXT: np.concatenate([acts_ELN[:, 2], text_BLN[::2, 2]])}
    for kind, rows_RN in rows.items():
        own_R = np.r_[labels_E == 1, np.zeros(len(rows_RN) - 30, bool)]
        bounds = interval_of(rows_RN, own_R)
        found = evidence.intervals[kind]
        np.testing.assert_array_equal((found.lower[1, 2], found.upper[1, 2]), bounds)
        np.testing.assert_allclose(found.text[1, 2], inside(text_BLN[1::2, 2], *bounds).mean(axis=0))


def test_the_best_of_the_layers_are_chosen_if_running_text_seldom_meets_them(evidence: Evidence) -> None:
    told_F = evidence.intervals[INTERVAL].told[1].reshape(-1)
    text_F = evidence.intervals[INTERVAL].text[1].reshape(-1)
    inner = range(WIDTH, 3 * WIDTH)
    for limit in (1.0, 0.5):
        allowed = [place for place in inner if text_F[place] <= limit]
        best = sorted(allowed, key=lambda place: -told_F[place])[:3]
        assert choose(replace(ARM, text=limit), evidence, 1).tolist() == best
    assert len(choose(replace(ARM, top=0.5, rule=MEAN_ABS), evidence, 1)) == WIDTH
    writes_LN = np.zeros((LAYERS, WIDTH))
    writes_LN[2, 6] = -1  # lower on the class and writing against its label: lifted, it would write less for it
    assert choose(replace(ARM, rule=PUSH, top=1), evidence, 1, writes_LN=writes_LN) == [2 * WIDTH + 6]


def test_a_spec_holds_the_numbers_of_its_arm(evidence: Evidence) -> None:
    chosen = np.array([WIDTH + 4, 2 * WIDTH + 6])
    mean, rest = evidence.mean[1, 1, 4], evidence.rest_mean[1, 1, 4]
    for arm, value in ((ARM, rest), (replace(ARM, op="zero"), 0), (replace(ARM, op=3.0), mean + 3 * (rest - mean))):
        edit = spec_of(LIVE, arm, evidence, chosen, 1).edits[0]
        assert (edit.layer, edit.neuron, edit.op) == (1, 4, "set")
        assert edit.value == pytest.approx(value, rel=1e-5)
    found = evidence.intervals[INTERVAL]
    low, high = spec_of(LIVE, ARM, evidence, chosen, 1).edits
    assert np.isposinf(found.upper[1, 1, 4])
    assert np.isneginf(found.lower[1, 2, 6])
    assert low.when.upper == pytest.approx(np.finfo(np.float32).max)
    assert low.when.lower == pytest.approx(found.lower[1, 1, 4])
    assert high.when.lower == pytest.approx(-np.finfo(np.float32).max)
    ranged = spec_of(LIVE, replace(ARM, bounds=GAUSSIAN), evidence, chosen, 1).edits[0].when
    assert ranged.upper == pytest.approx(mean + TAU * evidence.std[1, 1, 4])
    assert all(edit.when is None for edit in spec_of(LIVE, replace(ARM, bounds=WHOLE), evidence, chosen, 1).edits)


def test_joint_leakage_stays_within_its_limit_and_goes_for_coverage() -> None:
    draw = np.random.default_rng(3)
    pool = Joint(np.arange(100, 140), draw.random(40), draw.random((50, 40)) < 0.1)
    allowed = np.ones(200, bool)
    allowed[120:] = False
    sizes = []
    for limit in (0.1, 0.3, 1.0):
        chosen = pool.choose(allowed, 15, limit)
        assert len(set(chosen.tolist())) == len(chosen) <= 15
        assert chosen.max(initial=0) < 120
        assert pool.inside_RP[:, chosen - 100].any(axis=1).mean() <= limit
        sizes.append(len(chosen))
    assert sizes == sorted(sizes)
    assert sizes[-1] == 15
    first = pool.choose(allowed, 1, 1.0)[0] - 100
    worth = pool.own_P / (1 + pool.inside_RP.sum(axis=0))
    assert worth[first] == worth[:20].max()


def test_effects_are_plain_means_and_ratios() -> None:
    draw = np.random.default_rng(5)
    concepts = ["a", "b", "c"]
    gold_E = np.repeat([0, 1, 2], [9, 12, 20])
    logprob_AEC = np.log(draw.dirichlet(np.ones(5), (4, 41))[..., :3])
    logprob_AEC[0, np.arange(41), gold_E] += 1
    tokens_O = draw.integers(3, 9, 7)
    outcome = Outcome(
        [(name, "arm") for name in concepts], logprob_AEC, gold_E, draw.uniform(1, 3, (4, 7)) * tokens_O, tokens_O
    )
    right_AE = logprob_AEC.argmax(axis=2) == gold_E
    for correct_only in (True, False):
        found = effect(outcome, concepts, correct_only, 20, 0)
        kept = [e for e in range(41) if right_AE[0, e] or not correct_only]
        target, complement = [], []
        for c in range(3):
            lost = {e: float(right_AE[0, e]) - float(right_AE[1 + c, e]) for e in kept}
            target.append(np.mean([lost[e] for e in kept if gold_E[e] == c]))
            complement.append(np.mean([lost[e] for e in kept if gold_E[e] != c]))
        assert found.target[0] == pytest.approx(np.mean(target))
        assert found.complement[0] == pytest.approx(np.mean(complement))
        assert found.target.shape == found.perplexity.shape == (21,)
    losses = outcome.nll_AE.sum(axis=1) / tokens_O.sum()
    assert found.perplexity[0] == pytest.approx(np.exp(losses[1:] - losses[0]).prod() ** (1 / 3))


def test_halves_share_no_text_and_each_is_measured_with_what_the_other_chose() -> None:
    gold_E = np.repeat([0, 1], [6, 5])
    marks_AEC = np.arange(3 * 11 * 2.0).reshape(3, 11, 2)
    outcome = Outcome([("a", "arm"), ("b", "arm")], marks_AEC, gold_E, np.arange(15.0).reshape(3, 5), np.arange(1, 6))
    parts = [half(outcome, which) for which in (0, 1)]
    assert [np.bincount(part.gold_E).tolist() for part in parts] == [[3, 3], [3, 2]]
    assert sorted(value for part in parts for value in part.logprob_AEC[0, :, 0]) == marks_AEC[0, :, 0].tolist()
    assert [part.tokens_E.tolist() for part in parts] == [[1, 3, 5], [2, 4]]
    seen = []

    def choose(found: dict) -> str:
        seen.append(len(found["only"].gold_E))
        return "only"

    measured = [len(there["only"].gold_E) for _, there in cross_chosen({"only": outcome}, choose)]
    assert (seen, measured) == ([5, 6], [6, 5])
