"""The page that the range experiments write: its sentences follow the numbers, its tables are complete."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

from benchmarks.common.dataset_atlas import TAUS
from benchmarks.common.labelled_text import Task
from benchmarks.ranges.found import SettingResult, TaskResult
from benchmarks.ranges.gaussianity import LayerShape, null_of
from benchmarks.ranges.masking import RANDOM, WHOLE, Outcome, Setting, arm_name
from benchmarks.ranges.picture import draw
from benchmarks.ranges.report import report
from benchmarks.ranges.report_masking import open_shares

CONCEPTS = ("a", "b")
OPTIONS = argparse.Namespace(
    per_concept=50, texts=30, texts_last=30, other=6, bootstrap=200, seed=0, model="tiny", work="x"
)


def result(wrong_of_others: dict[str, float], n: int = 30) -> TaskResult:
    """A corpus of two classes. Every arm but random neurons gets all of the target wrong, and that share of others."""
    arms = [(name, arm) for name in CONCEPTS for arm in (WHOLE, *map(arm_name, TAUS))] + [(RANDOM, RANDOM)]
    gold_E = np.repeat([0, 1], n)
    wrong_AE = np.zeros((1 + len(arms), 2 * n), bool)
    for row, (target, arm) in enumerate(arms, start=1):
        if target != RANDOM:
            own = gold_E == CONCEPTS.index(target)
            wrong_AE[row, own] = True
            wrong_AE[row, np.flatnonzero(~own)[: round(wrong_of_others.get(arm, 0.5) * n)]] = True
    answer_AE = np.where(wrong_AE, 1 - gold_E, gold_E)
    logprob_AEC = np.where(answer_AE[..., None] == np.arange(2), -0.1, -3.0)
    gates = [key for key in arms if key[1].startswith("range")]
    draw = np.random.default_rng(0)
    share_AE = np.stack([np.where(gold_E == CONCEPTS.index(target), 0.9, 0.4) for target, _ in gates])
    setting = SettingResult(
        setting=Setting("resid_post", range(2, 3)),
        n_neurons=3,
        outcome=Outcome(arms, logprob_AEC, gold_E, draw.uniform(1, 2, (1 + len(arms), 6)), np.full(6, 4)),
        gates=gates,
        firing_last_AE=share_AE,
        firing_all_AE=share_AE / 2,
        measured=dict.fromkeys(gates, (0.95, 0.85)),
        scores={"mean_abs": draw.random((2, 10)), "auc": draw.random((2, 10))},
        fresh_scores={"mean_abs": draw.random((2, 10)), "auc": draw.random((2, 10))},
    )
    shares = dict.fromkeys(("skewness", "kurtosis", "ks"), (0.6, 0.5, 0.7))
    quantiles = dict.fromkeys(shares, (0.1, 0.2, 0.3))
    return TaskResult(
        task=Task("tiny", "{text}\nIt is about", CONCEPTS, ()),
        model_id="tiny",
        per_concept=50,
        n_other=6,
        other="other",
        null=null_of(50),
        shapes=[LayerShape("mlp_post", 0, 40, quantiles, shares, 0.2)],
        settings=[setting],
    )


@pytest.mark.parametrize(
    ("others", "number", "words"),
    [
        ({WHOLE: 1.0, arm_name(2.5): 0.2}, "| 0.80 [0.7", "| spares the others; target: no difference shown |"),
        ({WHOLE: 0.2, arm_name(2.5): 0.8}, "| -0.60 [-0.7", "| harms the others more; target: no difference shown |"),
        (
            {WHOLE: 0.5, arm_name(2.5): 0.5},
            "| 0.00 [0.00, 0.00] |",
            "| others: no difference shown; target: no difference shown |",
        ),
    ],
)
def test_the_verdict_follows_the_numbers(others: dict[str, float], number: str, words: str) -> None:
    page = report([result(others)], OPTIONS, "p.png")
    assert number in page
    assert words in page
    assert "far from normal" in page
    assert "`{text}\\nIt is about`" in page
    assert "nan" not in page


def test_tables_hold_every_arm_with_interval_and_n() -> None:
    page = report([result({})], OPTIONS, "p.png")
    for arm in ("baseline", WHOLE, RANDOM, *map(arm_name, TAUS)):
        assert page.count(f"\n| {arm} |") == 3  # two protocols, and confidence
    assert "n = 60 (a 30, b 30)" in page
    widths = {
        line.count("|") for line in page.split("### tiny, 50 texts a class")[1].split("##")[0].splitlines() if line
    }
    assert len(widths) == 1


def test_gates_are_counted_on_own_and_on_other_texts() -> None:
    task = result({})
    own, others = open_shares(task.settings[0], task.settings[0].firing_last_AE, arm_name(2.5), task, 20, 0)
    assert (own.value, others.value) == pytest.approx((0.9, 0.4))


def test_the_picture_is_written(tmp_path) -> None:
    draw([result({WHOLE: 0.7})], 100, 0, tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
