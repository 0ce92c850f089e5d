"""Do the held-out numbers of an atlas hold on texts that no build saw, and does luck pass its test?

Run: python -m benchmarks.intervals.main [--datasets FOLDER] [--work FOLDER] [--shuffles 100] [--report]

Writes docs/results/held_out.md from held_out.json beside it. On two thirds of each set intervals are found as a build
finds them (SmolLM2-135M, mlp_post, last token, all layers), and the other third is fresh: counted by plain comparison;
so for each third. Then the labels of the set are shuffled and tested for significance, again and again.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.packaged import data_folder
from atlas.store.shrinkage import expected_shares
from benchmarks.common.labelled_text import ag_news, balanced, datasets_folder, emotion
from benchmarks.intervals.report import page
from benchmarks.ranges.activations import last_token
from builders.corpora.registry import load_corpus
from builders.corpora.text_hash import text_hash
from builders.intervals.folds import folds_of
from builders.intervals.layer import Examples, find_intervals
from builders.intervals.ordered import ordered
from builders.intervals.permutations import Chance, joined, labellings_of

MODEL, SITE, BEST, FOLDS, PERMUTATIONS = "smollm2-135m", "mlp_post", 20, 5, 200
PARTS = 3  # each is fresh once
RANKINGS = ("held_out", "expected", "training")
KEY = ("concept", "part", "by")
PAGE = Path(__file__).parents[2] / "docs" / "results" / "held_out.md"
Labelled = list[tuple[str, str]]
log = logging.getLogger("held_out")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "neuron-atlas-held-out")
    parser.add_argument("--shuffles", type=int, default=100)
    parser.add_argument("--report", action="store_true", help="only write the page")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stored = PAGE.with_suffix(".json")
    if not chosen.report:
        stored.write_text(json.dumps(measured(chosen), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(json.loads(stored.read_text(encoding="utf-8"))), encoding="utf-8")


def measured(chosen: argparse.Namespace) -> dict:
    """Everything that the page shows."""
    live = functools.cache(lambda: load(MODEL, dtype="float32"))
    sets = {name: (own_set(name), template) for name, template in OWN.items()}
    if chosen.datasets:
        folder = datasets_folder(chosen.datasets)
        for task, per_concept, seed in ((ag_news(folder), 450, 3), (emotion(folder), 150, 0)):
            sets[task.name] = balanced(task, per_concept, seed), task.template
    return {name: of_set(name, *given, live, chosen) for name, given in sets.items()}


OWN = {"topics": "{text}\nThis text is about", "emotions": "{text}\nThe feeling here is"}


def own_set(name: str) -> Labelled:
    """One of the project's own sets."""
    corpus = load_corpus(
        str(data_folder() / "concepts" / f"{name}.jsonl"), family=None, limit_per_concept=None, holdout=0.0
    )
    return [(text, corpus.concepts[label]) for text, label in zip(corpus.texts, corpus.labels, strict=True)]


def of_set(
    name: str, examples: Labelled, template: str, live: Callable[[], LiveModel], chosen: argparse.Namespace
) -> dict:
    """Find on two thirds of the texts, measure on the third, three times."""
    concepts = sorted({concept for _, concept in examples})
    labels_E = np.array([concepts.index(concept) for _, concept in examples])
    texts = [text for text, _ in examples]
    acts_ELN = last_token(live, chosen.work, MODEL, name, texts, template)[SITE]
    part_E = np.random.default_rng(5).permutation(len(texts)) % PARTS
    found = []
    for part in range(PARTS):
        log.info("%s: part %d is fresh", name, part)
        fresh_E = part_E == part
        fresh_ELN, own_EC = acts_ELN[fresh_E], labels_E[fresh_E][:, None] == np.arange(len(concepts))
        seen = [text for text, out in zip(texts, fresh_E, strict=True) if not out]
        for concept, layer, neuron, each in best_rows(acts_ELN[~fresh_E], labels_E[~fresh_E], seen):
            inside_E = (fresh_ELN[:, layer, neuron] >= each["lower"]) & (fresh_ELN[:, layer, neuron] <= each["upper"])
            own_E = own_EC[:, concept]
            shares = {"coverage": float(inside_E[own_E].mean()), "leakage": float(inside_E[~own_E].mean())}
            told = {key: each[key] for key in ("by", "training", "held_out", "expected", "expected_coverage")}
            found.append({"concept": concepts[concept], "part": part, **told, **shares})
            found[-1]["fresh"] = shares["coverage"] - shares["leakage"]
    return {
        "template": template,
        "concepts": concepts,
        "texts": len(texts),
        "neurons": int(acts_ELN.shape[1] * acts_ELN.shape[2]),
        "rows": summarised(found),
        "shuffles": chosen.shuffles,
        "shuffled_p": shuffled_p(acts_ELN, labels_E, chosen.shuffles),
    }


def summarised(found: list[dict]) -> list[dict]:
    """For each concept, part and ranking the means over its neurons, and the numbers of its first neuron."""
    rows = []
    for key, group in itertools.groupby(found, key=lambda row: [row[name] for name in KEY]):
        neurons = list(group)
        numbers = [name for name in neurons[0] if name not in KEY]
        means = {name: round(float(np.mean([row[name] for row in neurons])), 6) for name in numbers}
        first = {name: round(neurons[0][name], 6) for name in numbers}
        rows.append({**dict(zip(KEY, key, strict=True)), "mean": means, "first": first})
    return rows


def best_rows(acts_ELN: np.ndarray, labels_E: np.ndarray, texts: Sequence[str]) -> Iterator[tuple[int, int, int, dict]]:
    """(concept, layer, neuron, its interval and shares) of the best neurons, as a build finds them.

    By what they are the best: each of RANKINGS.
    """
    hashes_E = np.fromiter(map(text_hash, texts), np.uint64, len(texts))
    folds_E, nothing_E = folds_of(hashes_E, labels_E, FOLDS), np.zeros(len(texts), np.int64)
    examples = Examples(labels_E, folds_E, np.arange(len(texts)), nothing_E)
    chance = Chance(labellings_of(labels_E, np.arange(len(texts)), 1, 0), torch.device("cpu"))
    found = [
        find_intervals(acts_ELN[:, layer], examples, chance, torch.device("cpu")) for layer in range(acts_ELN.shape[1])
    ]
    n_C = np.bincount(labels_E)[:, None]
    rest_C = len(labels_E) - n_C

    def told(own: str, others: str) -> np.ndarray:
        """[C, L, N]"""
        return np.stack([getattr(each, own) / n_C - getattr(each, others) / rest_C for each in found], axis=1)

    j = {"training": told("inside", "others_inside"), "held_out": told("held_inside", "held_others_inside")}
    counts = [
        np.stack([getattr(each, name) for each in found], axis=1) for name in ("held_inside", "held_others_inside")
    ]
    shares = [expected(*each) for each in zip(*counts, n_C[:, 0].tolist(), rest_C[:, 0].tolist(), strict=True)]
    coverage = np.stack([coverage for coverage, _ in shares])
    j["expected"] = coverage - np.stack([leakage for _, leakage in shares])
    for concept, by in itertools.product(range(len(n_C)), RANKINGS):
        order = np.argsort(-j[by][concept], axis=None, kind="stable")[:BEST]
        for layer, neuron in zip(*np.unravel_index(order, j[by][concept].shape), strict=True):
            each, place = found[layer], (concept, layer, neuron)
            numbers = {"by": by, "lower": each.lower[concept, neuron], "upper": each.upper[concept, neuron]}
            numbers |= {name: float(values[place]) for name, values in j.items()}
            yield concept, int(layer), int(neuron), numbers | {"expected_coverage": float(coverage[place])}


def expected(inside_LN: np.ndarray, others_LN: np.ndarray, n: int, n_others: int) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and leakage to expect of each neuron of a concept, as on publishing; [L, N] each."""
    pairs = np.stack([inside_LN.ravel(), others_LN.ravel()])
    (inside_P, others_P), place, neurons_P = np.unique(pairs, axis=1, return_inverse=True, return_counts=True)
    coverage_P, leakage_P = expected_shares(inside_P, others_P, neurons_P, n, n_others)
    return coverage_P[place].reshape(inside_LN.shape), leakage_P[place].reshape(inside_LN.shape)


def shuffled_p(acts_ELN: np.ndarray, labels_E: np.ndarray, shuffles: int) -> dict[str, list[float]]:
    """Family-wise p of the best neuron of the first concept, by AUC and by interval; of that many shufflings.

    A shuffling and a permutation are drawn alike, so all are looked at in one pass: each shuffling is tested by the
    same permutations.
    """
    drawn = labellings_of((labels_E != 0).astype(np.int64), np.arange(len(labels_E)), shuffles + PERMUTATIONS, seed=1)
    chance, parts = Chance(drawn, torch.device("cpu")), []
    for layer in range(acts_ELN.shape[1]):
        row = ordered(torch.from_numpy(np.ascontiguousarray(acts_ELN[:, layer].T)))
        parts.append(chance.maxima(row, row.twice_ranks_NE()))
    found, maxima = {}, joined(parts)
    for kind in ("auc", "interval"):
        best, null = np.split(getattr(maxima, f"null_{kind}")[0], [shuffles])
        found[kind] = [float((1 + (null >= each).sum()) / (1 + PERMUTATIONS)) for each in best]
    return found


if __name__ == "__main__":
    main()
