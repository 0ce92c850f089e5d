"""Do the held-out numbers of an atlas hold on texts that no build saw, and does luck pass its test?

Run: python -m benchmarks.intervals.main --datasets FOLDER [--work FOLDER] [--shuffles 100] [--report]

Writes docs/results/held_out.md from held_out.json beside it. Of each set a part is built (SmolLM2-135M, mlp_post, last
token, all layers) and the rest is fresh: intervals of the atlas are read by SQL and counted on the fresh activations by
plain comparison. Then the labels of the built part are shuffled and tested for significance, again and again.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.packaged import data_folder
from atlas.store.reader import open_atlas
from benchmarks.common.labelled_text import ag_news, balanced, datasets_folder
from benchmarks.intervals.report import page
from benchmarks.ranges.activations import last_token
from builders.build.pipeline import build
from builders.config import BuildConfig, ConceptSource
from builders.corpora.registry import load_corpus
from builders.intervals.ordered import ordered
from builders.intervals.permutations import Chance, joined, labellings_of

MODEL, SITE, BEST, LEVEL, PERMUTATIONS = "smollm2-135m", "mlp_post", 20, 0.05, 200
FRESH = 3  # every third text
PAGE = Path(__file__).parents[2] / "docs" / "results" / "held_out.md"
Examples = list[tuple[str, str]]
log = logging.getLogger("held_out")

_INTERVALS = """
SELECT concept, layer, neuron, interval_lower, interval_upper, interval_coverage - interval_leakage AS training,
       held_out_coverage - held_out_leakage AS held_out, auc_p, interval_p
FROM concept_interval JOIN concept_significance USING (fit_id, concept_id, concept)
QUALIFY row_number() OVER (PARTITION BY concept ORDER BY held_out_coverage - held_out_leakage DESC, layer, neuron) <= ?
ORDER BY concept, held_out DESC, layer, neuron"""


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
    task = ag_news(datasets_folder(chosen.datasets))
    sets["ag_news"] = balanced(task, 450, seed=3), task.template
    return {name: of_set(name, *given, live, chosen) for name, given in sets.items()}


OWN = {"topics": "{text}\nThis text is about", "emotions": "{text}\nThe feeling here is"}


def own_set(name: str) -> Examples:
    """One of the project's own sets."""
    corpus = load_corpus(
        str(data_folder() / "concepts" / f"{name}.jsonl"), family=None, limit_per_concept=None, holdout=0.0
    )
    return [(text, corpus.concepts[label]) for text, label in zip(corpus.texts, corpus.labels, strict=True)]


def of_set(
    name: str, examples: Examples, template: str, live: Callable[[], LiveModel], chosen: argparse.Namespace
) -> dict:
    """Build a part, measure on the rest."""
    shuffled = list(examples)
    random.Random(0).shuffle(shuffled)
    fresh, seen = shuffled[::FRESH], [each for i, each in enumerate(shuffled) if i % FRESH]
    log.info("%s: %d texts to build, %d fresh", name, len(seen), len(fresh))
    rows, columns = built_rows(seen, template)
    acts_ELN = last_token(live, chosen.work, MODEL, f"{name}-fresh", [text for text, _ in fresh], template)[SITE]
    concepts = sorted({concept for _, concept in examples})
    labels_E = np.array([concepts.index(concept) for _, concept in fresh])
    found = []
    for row in rows:
        each = dict(zip(columns, row, strict=True))
        values_E = acts_ELN[:, each["layer"], each["neuron"]]
        inside_E = (values_E >= each["interval_lower"]) & (values_E <= each["interval_upper"])
        own_E = labels_E == concepts.index(each["concept"])
        fresh_told = inside_E[own_E].mean() - inside_E[~own_E].mean()
        found.append({key: each[key] for key in ("concept", "training", "held_out", "auc_p", "interval_p")})
        found[-1] |= {"fresh": float(fresh_told), "coverage": float(inside_E[own_E].mean())}
        found[-1] |= {"leakage": float(inside_E[~own_E].mean())}
    seen_acts_ELN = last_token(live, chosen.work, MODEL, f"{name}-seen", [text for text, _ in seen], template)[SITE]
    labels = np.array([concepts.index(concept) for _, concept in seen])
    return {
        "template": template,
        "concepts": concepts,
        "seen": len(seen),
        "fresh": len(fresh),
        "neurons": int(acts_ELN.shape[1] * acts_ELN.shape[2]),
        "rows": found,
        "shuffles": chosen.shuffles,
        "shuffled_p": shuffled_p(seen_acts_ELN, labels, chosen.shuffles),
    }


def built_rows(examples: Sequence[tuple[str, str]], template: str) -> tuple[list[tuple], list[str]]:
    """(rows, columns) of the best neurons of each concept, from an atlas of these texts."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "seen.jsonl"
        lines = [json.dumps({"text": text, "concept": concept}) for text, concept in examples]
        corpus.write_text("\n".join(lines), encoding="utf-8")
        source = ConceptSource(str(corpus), template=template)
        config = BuildConfig(MODEL, Path(folder) / "a.duckdb", (source,), decode=False, dtype="float32")
        with open_atlas(build(config).path) as atlas:
            columns, rows = atlas.query(_INTERVALS, [BEST])
    return rows, columns


def shuffled_p(acts_ELN: np.ndarray, labels_E: np.ndarray, shuffles: int) -> dict[str, list[float]]:
    """Family-wise p of the best neuron of the first concept, by AUC and by interval; of that many shufflings."""
    n_texts, device = len(labels_E), torch.device("cpu")
    layers = [
        ordered(torch.from_numpy(np.ascontiguousarray(acts_ELN[:, layer].T))) for layer in range(acts_ELN.shape[1])
    ]
    ranks = [row.twice_ranks_NE() for row in layers]
    draw, found = np.random.default_rng(1), {"auc": [], "interval": []}
    for shuffle in range(shuffles):
        own_E = draw.permutation(labels_E == 0)
        drawn = labellings_of((~own_E).astype(np.int64), np.arange(n_texts), PERMUTATIONS, seed=1000 + shuffle)
        chance = Chance(drawn, device)
        maxima = joined([chance.maxima(row, rank) for row, rank in zip(layers, ranks, strict=True)])
        for kind in found:
            best, null = getattr(maxima, kind)[0], getattr(maxima, f"null_{kind}")[0]
            found[kind].append(float((1 + (null >= best).sum()) / (1 + PERMUTATIONS)))
        log.info("shuffle %d: p %.3f by AUC, %.3f by interval", shuffle, found["auc"][-1], found["interval"][-1])
    return found


if __name__ == "__main__":
    main()
