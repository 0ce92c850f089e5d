"""The statistics of a build against the bare forward pass, and against collecting activations into lists first.

Run: python -m benchmarks.speed.statistics_speed [--dtype bfloat16] [--rounds 3] [--model smollm2-135m]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from atlas.live.batching import encode
from atlas.live.capture import capture
from atlas.live.loading import load
from atlas.live.pooling import pool
from atlas.store import waiting
from atlas.store.staging import Staging
from benchmarks.common.claim import Claim, Goal, Table
from benchmarks.common.measure import Timings, interleave, machine
from benchmarks.common.phases import memory_added
from benchmarks.speed.statistics_ways import SITE, Lens, Work, bare, lists, options, ours, staging
from builders.activations.record import record
from builders.activations.routed import RoutedScratch
from builders.activations.scratch import Scratch
from builders.config import BuildConfig
from builders.corpora.registry import load_corpus
from builders.gaussians.layer import LayerStatistics, separate_and_fit
from builders.gaussians.rows import statistics_rows
from builders.intervals.folds import folds_of
from builders.intervals.layer import Examples, find_intervals
from builders.intervals.permutations import Chance, labellings_of
from builders.intervals.texts import strata_of

TOPICS = Path(__file__).parents[2] / "data" / "concepts" / "topics.jsonl"
TEMPLATE = "{text}\nThis text is about"
GOAL = 1.25
PER_CONCEPT = 60  # sentences
LONG = 128  # tokens


def main() -> None:
    chosen = _options()
    live = load(chosen.model, dtype=chosen.dtype)
    corpus = load_corpus(str(TOPICS), family=None, limit_per_concept=PER_CONCEPT, holdout=0.0)
    work = Work(live, corpus, encode(live, corpus.texts, TEMPLATE, 512).input_ids)
    lens, some, long = Lens(live), work.every(4), work.every(3).lengthened(LONG)
    main_ways = {
        "bare": lambda: bare(work),
        "ours": lambda: ours(work),
        "gaussians": lambda: ours(work, products=("gaussians",)),
        "lists": lambda: lists(work),
    }
    peaks = {name: memory_added(way) for name, way in main_ways.items()}  # which also warms up
    peaks["lens"] = memory_added(lambda: lens(some))
    taken = interleave(main_ways, chosen.rounds, warm=0)
    of_lens = interleave({"bare": lambda: bare(some), "lens": lambda: lens(some)}, chosen.rounds, warm=0)
    bare(long)  # the shapes of its batches are new
    of_long = interleave({"bare": lambda: bare(long), "ours": lambda: ours(long)}, 2, warm=0)
    phases, errors = _phases(work), _errors(work)
    ways = [
        ["bare forward pass, stopped at the last layer's site", *_cells(taken, "bare", peaks), "-"],
        ["ours: every statistic, rows written", *_cells(taken, "ours", peaks), errors["ours"]],
        ["of it the Gaussians, ranges and histograms alone", *_cells(taken, "gaussians", peaks), errors["ours"]],
        ["lists, then numpy: mean and std only", *_cells(taken, "lists", peaks), errors["lists"]],
        [
            f"run_with_cache, then the same ({len(some.encoded)} texts)",
            *_cells(of_lens, "lens", peaks),
            errors["lists"],
        ],
    ]
    by_length = [
        [f"{len(each.encoded)} texts of {np.mean([len(ids) for ids in each.encoded]):.0f} tokens", f"{ratio:.2f}"]
        for each, ratio in ((work, taken.ratio("ours", "bare")), (long, of_long.ratio("ours", "bare")))
    ]
    ratio = taken.ratio("ours", "bare")
    Claim(
        name="statistics" if chosen.dtype == "bfloat16" else f"statistics-{chosen.dtype}",
        title=f"Statistics at the speed of the forward pass, {chosen.dtype}",
        command=f"python -m benchmarks.speed.statistics_speed --dtype {chosen.dtype} --rounds {chosen.rounds}",
        text=_text(work, chosen.rounds),
        machine=machine(packages=("torch", "transformers", "numpy", "duckdb", "transformer-lens")),
        tables=[
            Table(["way", "seconds", "x bare", "peak MB", "error of mean, std"], ways),
            Table(["texts", "ours / bare"], by_length, "How it depends on the length of the texts"),
            Table(["phase of ours", "seconds", "share of forward"], phases, "One after the other, without overlap"),
        ],
        goals=[Goal("builder / bare forward pass", f"<= {GOAL}", f"{ratio:.2f}", ratio <= GOAL)],
    ).write()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _text(work: Work, rounds: int) -> str:
    return (
        f"{len(work.encoded)} sentences under {len(work.corpus.concepts)} topics, {work.live.n_layers} layers of "
        f"{work.live.d_mlp} neurons at {SITE}, the same batches for every way, in {work.live.dtype}; medians of "
        f"{rounds} rounds and of the ratios within a round. The floor is the bare pass. Ours stores moments, extremes, "
        "Kolmogorov-Smirnov distances, exact AUC, d', overlap, counts in ranges with the worst concept, histograms, "
        "and for every concept the best interval, found anew for each of 5 folds and counted held out, average "
        "precision, F1, p, AUC within strata of length, and the maxima of 200 permutations; the others only fit mean "
        "and std. The forward pass grows with the tokens, the statistics with the texts, the rows with neither. Errors "
        "are the largest relative ones against float64 (storing as float32 costs 6e-08); peaks count what a way adds "
        "to the loaded model."
    )


def _cells(taken: Timings, way: str, peaks: dict[str, float]) -> list[str]:
    return [f"{taken.median(way):.2f}", f"{taken.ratio(way, 'bare'):.2f}", f"{peaks[way]:.0f}"]


def drawn(labels_X: np.ndarray, texts_R: np.ndarray, config: BuildConfig, device: torch.device) -> Chance:
    """The permutations of a build by default."""
    return Chance(labellings_of(labels_X, texts_R, config.permutations, config.seed), device)


def _phases(work: Work) -> list[list[str]]:
    live, n_concepts, seconds = work.live, len(work.corpus.concepts), {}

    def timed(name: str, call: Callable[[], object]) -> object:
        start = time.perf_counter()
        result = call()
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
        return result

    timed("bare forward pass", lambda: bare(work))
    with staging(live) as area:
        scratch, routed = Scratch(area.scratch), RoutedScratch(area.scratch / "routed")
        config, _ = options(area.target)
        where = {"sites": config.sites, "layers": work.layers(), "position": "last"}
        batch_tokens = config.batch_tokens
        rows = timed(
            "forward pass, pooled and kept on disk",
            lambda: record(
                live, area, scratch, routed, "a", work.encoded, work.corpus.labels, batch_tokens=batch_tokens, **where
            ),
        )
        texts_R, labels_X = rows.examples_R, np.asarray(work.corpus.labels)
        tokens_X = np.array(list(map(len, work.encoded)))
        folds_X = folds_of(np.arange(len(labels_X), dtype=np.uint64), labels_X, config.folds)
        examples = Examples(rows.labels_R, *(each[texts_R] for each in (folds_X, tokens_X, strata_of(tokens_X))))
        chance = timed("permutations drawn", lambda: drawn(labels_X, texts_R, config, live.device))
        for layer in work.layers():
            acts_RN = scratch.read(SITE, layer, len(rows.labels_R), live.width(SITE))
            found = timed(
                "statistics",
                lambda acts=acts_RN: separate_and_fit(acts, rows.labels_R, n_concepts, config.taus, config.bins),
            )

            timed("intervals", lambda acts=acts_RN: find_intervals(acts, examples, chance, live.device))

            def write(found: LayerStatistics = found, layer: int = layer) -> None:
                ids = list(range(n_concepts))
                tables = statistics_rows(found, fit_id=0, concept_ids=ids, layer=layer, taus=config.taus)
                area.commit("gaussians", str(layer), tables)

            timed("rows of the Gaussians written", write)
    forward = seconds["bare forward pass"]
    return [[name, f"{taken:.2f}", f"{taken / forward:.1%}"] for name, taken in seconds.items()]


def _errors(work: Work) -> dict[str, str]:
    """The largest relative errors of mean and std against float64, of ours and of numpy on float32."""
    parts: dict[int, list[np.ndarray]] = {layer: [] for layer in work.layers()}
    rows: list[int] = []
    for batch in work.plan():
        mask = batch.attention_mask

        def keep(_site: str, layer: int, acts_BTN, mask=mask) -> None:
            parts[layer].append(pool(acts_BTN, mask, "last").numpy())

        capture(work.live, batch.input_ids, mask, [SITE], work.layers(), keep)
        rows += batch.indices
    labels_R = np.asarray(work.corpus.labels)[rows]
    exact = _class_fits([np.concatenate(each).astype(np.float64) for each in parts.values()], labels_R)
    single = _class_fits([np.concatenate(each) for each in parts.values()], labels_R)
    stored: dict[str, np.ndarray] = {}

    def look(area: Staging) -> None:
        rows = waiting.read(area.waiting("_gaussian")).read_all()  # by layer, concept and neuron
        stored["ours"] = np.array([rows["mean"], rows["std"]], dtype=np.float64).reshape(exact.shape)

    ours(work, look)
    found = {"ours": stored["ours"], "lists": single}
    scale = np.maximum(np.abs(exact), 1e-30)
    errors = {way: np.abs(fits - exact) / scale for way, fits in found.items()}
    return {way: f"{each[0].max():.0e}, {each[1].max():.0e}" for way, each in errors.items()}


def _class_fits(layers: list[np.ndarray], labels_R: np.ndarray) -> np.ndarray:
    """[mean and std, layers, C, N] in the type of the activations."""
    concepts = range(labels_R.max() + 1)
    parts = [[acts_RN[labels_R == concept] for concept in concepts] for acts_RN in layers]
    return np.array(
        [[[own.mean(0) for own in each] for each in parts], [[own.std(0) for own in each] for each in parts]]
    )


if __name__ == "__main__":
    main()
