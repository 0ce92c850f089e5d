"""Detectors of a real build: what is stored, after a kill too, and what the live model says by it."""

from __future__ import annotations

import json
import random
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from atlas.errors import UsageError
from atlas.fit_choice import FitChoice
from atlas.live.batching import encode
from atlas.live.capture import capture
from atlas.live.loading import load
from atlas.store.reader import open_atlas
from atlas.store.staging import Staging
from builders.build.pipeline import build
from builders.detectors import fitted
from builders.detectors import label as labelling
from builders.detectors.work import FindDetectors
from queries.detectors import detector
from tests.amount import some
from tests.end_to_end.workbench import all_rows, built, config
from tests.synthetic import WORDS, make_model

TOPICS = {
    "pets": "dog cat dogs cats".split(),
    "sport": "football match team goal".split(),
    "state": "vote bank".split(),
}
OPTIONS: dict[str, Any] = {"detectors": True, "decode": False, "permutations": 20, "folds": 2}
TABLES = ("_detector_fit", "_detector", "_detector_neuron")


def texts_of(seed: int = 3, n: int = 20) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    return [
        (" ".join([*draw.choices(WORDS, k=2), *draw.choices(own, k=2)]), concept)
        for concept, own in TOPICS.items()
        for _ in range(n)
    ]


def write(path: Path, examples: list[tuple[str, str]]) -> Path:
    path.write_text("".join(json.dumps({"text": text, "concept": concept}) + "\n" for text, concept in examples))
    return path


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("detectors")


@pytest.fixture(scope="module")
def model(room: Path) -> Path:
    return make_model("llama", room / "model")


@pytest.fixture(scope="module")
def corpus(room: Path) -> Path:
    return write(room / "topics.jsonl", texts_of())


@pytest.fixture(scope="module")
def made(model: Path, corpus: Path, room: Path) -> Path:
    return built(model, room / "made.duckdb", corpus, **OPTIONS)


def test_every_concept_has_its_rules(made: Path) -> None:
    with open_atlas(made) as atlas:
        _, rows = atlas.query("SELECT concept, form, list(neurons ORDER BY neurons) FROM detector GROUP BY ALL")
        assert sorted(rows) == sorted(
            (concept, form, [32] if form == "layer" else [*range(1, 9)])
            for concept in TOPICS
            for form in ("interval", "linear", "layer")
        )
        _, rows = atlas.query("SELECT form, neurons, count(*) FROM detector_neuron GROUP BY ALL")
        assert all(count == neurons * len(TOPICS) for _, neurons, count in rows) and len(rows) == 16
        assert atlas.query("SELECT count(*) FROM run WHERE builder = 'detectors' AND finished_at IS NOT NULL")[1] == [
            (1,)
        ]


def test_one_interval_is_that_of_the_neuron_with_the_largest_coverage_minus_leakage(made: Path) -> None:
    sql = """SELECT d.layer, d.neuron, lower, upper FROM detector_neuron AS d WHERE concept = $concept
             AND form = 'interval' AND neurons = 1"""
    best = """SELECT layer, neuron, interval_lower, interval_upper FROM concept_interval WHERE concept = $concept
              ORDER BY interval_coverage - interval_leakage DESC, layer, neuron LIMIT 1"""
    with open_atlas(made) as atlas:
        for concept in TOPICS:
            assert atlas.query(sql, {"concept": concept})[1] == atlas.query(best, {"concept": concept})[1]


def test_figures_of_the_view_are_those_of_the_counts(made: Path) -> None:
    with open_atlas(made) as atlas:
        columns, rows = atlas.query(
            "SELECT * FROM detector AS v JOIN (SELECT fit_id, concept_id, form, neurons, held_inside, held_others "
            "FROM _detector) USING (fit_id, concept_id, form, neurons)"
        )
    assert rows
    for row in (dict(zip(columns, row, strict=True)) for row in rows):
        n, others, found, wrong = row["n"], row["n_others"], row["held_inside"], row["held_others"]
        assert (n, others) == (20, 40)
        assert (row["coverage"], row["leakage"]) == (found / n, wrong / others)
        assert row["youden_j"] == pytest.approx(found / n - wrong / others)
        assert row["f1"] == pytest.approx(2 * found / (found + wrong + n))
        assert row["precision"] is None if found + wrong == 0 else row["precision"] == found / (found + wrong)
        for name, (hits, of) in {"coverage": (found, n), "leakage": (wrong, others)}.items():
            low, high = wilson(hits, of)
            assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx((low, high), abs=1e-12)
        (c_low, c_high), (l_low, l_high) = wilson(found, n), wilson(wrong, others)
        apart = row["youden_j"]
        assert row["youden_j_low"] == pytest.approx(apart - np.hypot(found / n - c_low, l_high - wrong / others))
        assert row["youden_j_high"] == pytest.approx(apart + np.hypot(c_high - found / n, wrong / others - l_low))


def wilson(hits: int, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return interval.low, interval.high


@pytest.mark.parametrize("form", ["interval", "linear"])
def test_the_live_model_says_of_the_builds_texts_what_the_build_did(
    model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    seen: list[Any] = []
    order: list[np.ndarray] = []
    rules, run = fitted.rules, FindDetectors.run

    def kept_rules(propose, label_E, kept_E, *arguments, **options):
        found = rules(propose, label_E, kept_E, *arguments, **options)
        if kept_E.all():
            seen.append((label_E.numpy(), found))
        return found

    def kept_run(self, unit, activations):
        order.append(activations.examples_E)
        return run(self, unit, activations)

    monkeypatch.setattr(fitted, "rules", kept_rules)
    monkeypatch.setattr(FindDetectors, "run", kept_run)
    made = built(model, tmp_path / "a.duckdb", corpus, **OPTIONS)
    assert len(seen) == 6
    live = load(str(model), device="cpu")
    examples = texts_of()
    for at, concept in enumerate(TOPICS):
        for neurons in (1, 3, 8):
            label_E, found = seen[2 * at + (form == "linear")]
            with open_atlas(made) as atlas:
                rule = detector(atlas, concept, form=form, neurons=neurons)
            labelled, n_cut = labelling.label(live, rule, [text for text, _ in examples], batch_tokens=64)
            assert n_cut == 0
            for row, example in enumerate(order[0]):
                assert (examples[example][1] == concept) == label_E[row]
                assert labelled[example].text == examples[example][0]
                assert labelled[example].score == pytest.approx(float(found[neurons - 1].score_E[row]), abs=1e-5)
                told = bool(found[neurons - 1].score_E[row] >= found[neurons - 1].threshold)
                assert labelled[example].has_concept == told


def test_a_score_is_what_each_neuron_adds(made: Path, model: Path) -> None:
    live = load(str(model), device="cpu")
    sql = """SELECT n.layer, neuron, weight, lower, upper, bias
             FROM detector_neuron AS n JOIN detector AS d USING (concept, form, neurons)
             WHERE concept = 'pets' AND form = 'interval' AND neurons = 3 ORDER BY place"""
    with open_atlas(made) as atlas:
        rule, (_, rows) = detector(atlas, "pets", neurons=3), atlas.query(sql)
    acts: dict[int, np.ndarray] = {}
    tokens = torch.tensor(encode(live, ["my dog runs"], "{text}", 512).input_ids)

    def keep(site: str, layer: int, acts_BTN: torch.Tensor) -> None:
        acts[layer] = acts_BTN[0, -1].numpy().copy()

    capture(live, tokens, torch.ones_like(tokens), ["mlp_post"], [0, 1, 2], keep)
    inside = [low <= acts[layer][neuron] <= high for layer, neuron, _, low, high, _ in rows]
    [answer], _ = labelling.label(live, rule, ["my dog runs"], batch_tokens=64)
    assert answer.score == pytest.approx(
        rows[0][5] + sum(row[2] for row, held in zip(rows, inside, strict=True) if held)
    )
    assert answer.inside == [f"L{row[0]}N{row[1]}" for row, held in zip(rows, inside, strict=True) if held]


def test_labels_that_mean_nothing_are_not_told(model: Path, tmp_path: Path) -> None:
    """Held out, coverage - leakage of shuffled labels is 0 on average; on the texts it was made from it is not."""
    reached = []
    for seed in range(3):
        examples = texts_of(seed, 30)
        concepts = [concept for _, concept in examples]
        random.Random(seed).shuffle(concepts)
        shuffled = [(text, concept) for (text, _), concept in zip(examples, concepts, strict=True)]
        path = built(model, tmp_path / f"{seed}.duckdb", write(tmp_path / f"{seed}.jsonl", shuffled), **OPTIONS)
        with open_atlas(path) as atlas:
            _, rows = atlas.query("SELECT form, neurons, avg(youden_j), avg(auc) FROM detector GROUP BY ALL")
            reached += [(j, auc) for _, _, j, auc in rows]
            held_in = atlas.query("SELECT max(interval_coverage - interval_leakage) FROM concept_interval")[1][0][0]
            assert held_in > 0.35
    # 3 builds of 3 concepts with 30 texts each: one standard error of the mean is about 0.04.
    assert abs(np.mean([j for j, _ in reached])) < 0.12
    assert abs(np.mean([auc for _, auc in reached]) - 0.5) < 0.08


class Killed(BaseException):
    pass


UNITS = ["topics/mlp_post/1", "topics/mlp_post/concept/0", "topics/mlp_post/concept/2"]


@pytest.mark.parametrize(
    ("unit", "when"), some(product(UNITS, ["before", "after"]), zip(UNITS, ["after", "before", "after"], strict=True))
)
def test_a_killed_build_resumes_to_the_same_rows(
    model: Path, corpus: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str, when: str
) -> None:
    commit, done = Staging.commit, []

    def dies(self, step, name, tables):
        at_hand = (step, name) == ("detectors", unit)
        if at_hand and when == "before":
            raise Killed
        commit(self, step, name, tables)
        if step == "detectors":
            done.append(name)
        if at_hand:
            raise Killed

    monkeypatch.setattr(Staging, "commit", dies)
    with pytest.raises(Killed):
        built(model, tmp_path / "a.duckdb", corpus, **OPTIONS)
    before, when = list(done), "never"
    unit = ""
    path = build(config(model, tmp_path / "a.duckdb", corpus, **OPTIONS), interrupted="resume").path
    assert len(set(done)) == len(done) == 6 and done[: len(before)] == before  # none is made twice
    found, whole = all_rows(path), all_rows(made)
    for table in found.keys() - {"atlas"}:  # which says where the model is
        assert found[table] == whole[table], table


def test_without_the_option_there_are_none(model: Path, corpus: Path, tmp_path: Path) -> None:
    path = built(model, tmp_path / "a.duckdb", corpus, decode=False, permutations=20)
    with open_atlas(path) as atlas:
        assert not any(atlas.query(f"SELECT 1 FROM {table}")[1] for table in TABLES)
    build(config(model, path, corpus, **OPTIONS), existing="add")
    with open_atlas(path) as atlas:
        assert atlas.query("SELECT count(DISTINCT fit_id) FROM detector")[1] == [(1,)]
    # Making the fit anew without them forgets them: they were of other texts, perhaps.
    build(config(model, path, corpus, decode=False, permutations=20), existing="add")
    with open_atlas(path) as atlas:
        assert not any(atlas.query(f"SELECT 1 FROM {table}")[1] for table in TABLES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": 0}, "needs folds"),
        ({"position": "all"}, "a value for each token"),
        ({"concepts": ()}, "needs concepts"),
    ],
)
def test_what_cannot_be_detected_is_refused(model: Path, corpus: Path, tmp_path: Path, changes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(model, tmp_path / "a.duckdb", corpus, detectors=True, **changes)


def test_several_sites_and_another_position(model: Path, corpus: Path, tmp_path: Path) -> None:
    options = {**OPTIONS, "sites": ("mlp_post", "resid_post"), "position": "mean", "pool": "text"}
    path = built(model, tmp_path / "a.duckdb", corpus, **options)
    live = load(str(model), device="cpu")
    with open_atlas(path) as atlas:
        _, rows = atlas.query("SELECT site, count(*) FROM detector GROUP BY ALL ORDER BY ALL")
        assert rows == [("mlp_post", 51), ("resid_post", 51)]
        rule = detector(atlas, "sport", neurons=2, fit=FitChoice(site="resid_post"))
    assert (rule.reading.site, rule.reading.position, rule.reading.pool) == ("resid_post", "mean", "text")
    labelled, _ = labelling.label(live, rule, [text for text, _ in texts_of()], batch_tokens=64)
    told = [each.has_concept for each, (_, concept) in zip(labelled, texts_of(), strict=True) if concept == "sport"]
    assert sum(told) > 10
