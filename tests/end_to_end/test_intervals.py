"""The intervals of a whole build, against plain hooks and brute force; and what the file derives from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from atlas.errors import UsageError
from atlas.store.reader import open_atlas
from atlas.store.verify import checks_of
from builders.build.pipeline import build
from builders.config import ConceptSource
from builders.corpora.text_hash import text_hash
from tests.builders.intervals.reference import average_precision, best_f1, best_interval
from tests.end_to_end.test_build import TEMPLATE, plain_activations
from tests.end_to_end.workbench import PETS, SPORT, STATE, all_rows, built, config, write_corpus
from tests.synthetic import make_model

NAMES = ("pets", "sport", "state")
LABELS = np.repeat([0, 1, 2], 6)
FOLDS, PERMUTATIONS = 3, 60


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def atlas_file(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("atlas")
    corpus = write_corpus(folder / "words.jsonl")
    source = (ConceptSource(str(corpus), template=TEMPLATE),)
    asked = {"folds": FOLDS, "permutations": PERMUTATIONS, "sites": ("mlp_post", "resid_post")}
    return built(llama, folder / "a.duckdb", corpus, concepts=source, decode=False, **asked)


def rows_of(path: Path, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    with open_atlas(path) as atlas:
        columns, rows = atlas.query(sql, list(parameters))
    return [dict(zip(columns, row, strict=True)) for row in rows]


def folds_by_text(path: Path) -> np.ndarray:
    """The fold of each text, as the file says."""
    folds = {row["text_hash"]: row["fold"] for row in rows_of(path, "SELECT text_hash, fold FROM _fold")}
    return np.array([folds[text_hash(text)] for text in PETS + SPORT + STATE])


@pytest.mark.parametrize("site", ["mlp_post", "resid_post"])
def test_intervals_and_held_out_shares(llama: Path, atlas_file: Path, site: str) -> None:
    acts = plain_activations(llama)[site]
    folds = folds_by_text(atlas_file)
    rows = rows_of(atlas_file, "SELECT * FROM concept_interval WHERE site = ?", site)
    assert len(rows) == 3 * 3 * acts.shape[2]
    for row in rows:
        values, own = acts[:, row["layer"], row["neuron"]], NAMES.index(row["concept"]) == LABELS
        lower, upper, inside, others = best_interval(values, own)
        # The shape of a batch moves the last bits of an activation.
        np.testing.assert_allclose([row["interval_lower"], row["interval_upper"]], [lower, upper], rtol=1e-4, atol=1e-5)
        assert (row["n"], row["interval_coverage"], row["interval_leakage"]) == (6, inside / 6, others / 12)
        held = np.zeros(3, int)
        for fold in range(FOLDS):
            rest = folds != fold
            low, high, *_ = best_interval(values[rest], own[rest])
            held += np.bincount(LABELS[(values >= low) & (values <= high) & ~rest], minlength=3)
        concept = NAMES.index(row["concept"])
        assert row["held_out_coverage"] == held[concept] / 6
        assert row["held_out_leakage"] == (held.sum() - held[concept]) / 12
        held[concept] = -1
        assert row["held_out_worst_concept"] in [NAMES[c] for c in range(3) if held[c] == held.max()]
        assert row["held_out_worst_leakage"] == held.max() / 6
        assert row["ap"] == pytest.approx(average_precision(values, own), rel=1e-6)
        assert row["ap_low"] == pytest.approx(average_precision(-values, own), rel=1e-6)
        assert row["best_f1"] == pytest.approx(best_f1(values, own), rel=1e-6)
        assert row["p"] == pytest.approx(
            stats.mannwhitneyu(values[own], values[~own], method="asymptotic").pvalue, 1e-6
        )
        r = stats.pearsonr(values.astype(np.float64), own).statistic
        assert row["point_biserial"] == pytest.approx(r, abs=1e-4)


def test_q_is_that_of_benjamini_and_hochberg(atlas_file: Path) -> None:
    for site in ("mlp_post", "resid_post"):
        for name in NAMES:
            rows = rows_of(atlas_file, "SELECT p, q FROM concept_interval WHERE site = ? AND concept = ?", site, name)
            p, q = (np.array([row[key] for row in rows]) for key in ("p", "q"))
            np.testing.assert_allclose(q, stats.false_discovery_control(p), rtol=1e-6)


def test_the_best_neuron_against_luck(llama: Path, atlas_file: Path) -> None:
    """Drawn anew here; every stretch of 18 values is one value, so that intervals are the best of all."""
    generator = np.random.default_rng(0)
    order = generator.permuted(np.tile(np.arange(18), (PERMUTATIONS, 1)), axis=1)
    draws = [np.isin(np.arange(18), drawn[:6]) for drawn in order]
    for site, acts in plain_activations(llama).items():
        if site not in ("mlp_post", "resid_post"):
            continue
        values = acts.reshape(18, -1)

        def largest(own: np.ndarray, values: np.ndarray = values) -> tuple[float, float]:
            u = stats.mannwhitneyu(values[own], values[~own], method="asymptotic").statistic / 72
            rises = [best_interval(column, own) for column in values.T]
            return float(np.abs(u - 0.5).max() + 0.5), max(a / 6 - b / 12 for *_, a, b in rises)

        by_luck = np.array([largest(own) for own in draws])
        for row in rows_of(atlas_file, "SELECT * FROM concept_significance WHERE site = ?", site):
            auc, interval = largest(NAMES.index(row["concept"]) == LABELS)
            assert row["best_auc"] == pytest.approx(auc) and row["best_interval"] == pytest.approx(interval)
            assert row["auc_p"] == pytest.approx((1 + (by_luck[:, 0] >= auc - 1e-6).sum()) / (1 + PERMUTATIONS))
            assert row["interval_p"] == pytest.approx(
                (1 + (by_luck[:, 1] >= interval - 1e-6).sum()) / (1 + PERMUTATIONS)
            )
            assert row["null_auc_95"] == pytest.approx(np.quantile(by_luck[:, 0], 0.95), rel=1e-5)
            assert row["null_interval_95"] == pytest.approx(np.quantile(by_luck[:, 1], 0.95), rel=1e-5)
            assert (row["n"], row["folds"], row["permutations"]) == (6, FOLDS, PERMUTATIONS)


def test_the_run_says_how(atlas_file: Path) -> None:
    (row,) = rows_of(atlas_file, "SELECT parameters FROM run WHERE builder = 'intervals'")
    said = json.loads(row["parameters"])
    assert (said["folds"], said["permutations"], said["seed"]) == (FOLDS, PERMUTATIONS, 0)
    assert {check.result for check in checks_of(atlas_file)} == {"ok"}


def test_without_folds_there_are_no_intervals(llama: Path, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "words.jsonl")
    path = built(llama, tmp_path / "a.duckdb", corpus, decode=False, folds=0)
    rows = all_rows(path)
    assert rows["_gaussian"] and not any(rows[table] for table in ("_interval", "_length", "_chance", "_fold"))
    assert {check.result for check in checks_of(path)} == {"ok"}
    with pytest.raises(UsageError, match="--folds 1"):
        config(llama, tmp_path / "b.duckdb", corpus, folds=1)


def test_added_intervals_stand_beside_a_fit_without(llama: Path, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "words.jsonl")
    target = tmp_path / "a.duckdb"
    built(llama, target, corpus, decode=False, folds=0)
    added = config(llama, target, corpus, decode=False, sites=("mlp_pre",))
    build(added, existing="add")
    found = rows_of(target, "SELECT DISTINCT site FROM concept_interval")
    assert found == [{"site": "mlp_pre"}]
    assert {check.result for check in checks_of(target)} == {"ok"}
    # Made anew, the fit gets its intervals.
    build(config(llama, target, corpus, decode=False), existing="add")
    assert len(rows_of(target, "SELECT DISTINCT site FROM concept_interval")) == 2
