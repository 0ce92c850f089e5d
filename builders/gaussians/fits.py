"""The Gaussian builder: a corpus in, the rows of its fits (one per site) out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from atlas.store.staging import Staging
from builders.config import BuildConfig, ConceptSource, layers_of
from builders.corpora.text_hash import text_hash
from builders.gaussians.activations import Rows, record
from builders.gaussians.layer import separate_and_fit, tiles
from builders.gaussians.rows import statistics_rows
from builders.gaussians.scratch import DeviceScratch, Scratch, scratch_for
from builders.gaussians.threads import in_order, threads_of
from builders.progress import Silent

if TYPE_CHECKING:
    from atlas.live.model import LiveModel
    from builders.corpora.base import Corpus
    from builders.preparation import Examples


def fit_corpus(
    live: LiveModel,
    staging: Staging,
    corpus: Corpus,
    examples: Examples,
    source: ConceptSource,
    config: BuildConfig,
    run_id: int,
    progress: Silent,
) -> list[str]:
    """Fit every concept of one corpus at every wanted site, layer and neuron. Returns notes for the user.

    `examples`: the corpus's texts in their template, as the model's tokens.

    Raises BuildError when an activation is not finite or the disk is too small.
    """
    layers = layers_of(config, live.n_layers)
    (encoded, n_cut), counted = examples
    longest = min(config.max_tokens, live.max_positions or config.max_tokens)
    notes = [f"{n_cut} texts of {corpus.family} were cut to {longest} tokens"] if n_cut else []
    units = [f"{corpus.family}/{site}/{layer}" for site in config.sites for layer in layers]
    done = staging.done("gaussians")
    todo = [unit for unit in units if unit not in done]
    if not todo:
        return notes
    n_tokens = sum(map(len, encoded) if counted is None else map(sum, counted))
    n_rows = n_tokens if config.position == "all" else len(encoded)
    n_values = n_rows * len(layers) * sum(live.width(site) for site in config.sites)
    scratch = scratch_for(staging.scratch / corpus.family, live.device, n_values)
    with progress.task(f"activations of {corpus.family}", len(encoded)) as advance:
        rows = record(
            live,
            staging,
            scratch,
            f"activations/{corpus.family}",
            encoded,
            corpus.labels,
            sites=config.sites,
            layers=layers,
            position=config.position,
            batch_tokens=config.batch_tokens,
            counted=counted,
            advance=advance,
        )
    fit_ids = _register(live, staging, corpus, source, config, run_id, rows)

    def tables(unit: str) -> dict[str, pa.Table]:
        _, site, layer = unit.rsplit("/", 2)
        return _one_layer(scratch, rows, site, int(layer), live, config, fit_ids)

    # Several layers at once rather than several tiles of one: no thread waits at the end of a layer. Where this would
    # hold too much, or on a GPU, it is one, and its rows are written while the next is worked on.
    n_threads, widest = threads_of(live.device), max(map(live.width, config.sites))
    n_concepts, n_taus = len(fit_ids.concepts), len(config.taus)
    if n_threads > tiles(widest, len(rows.labels_R), n_concepts, n_taus, config.bins, live.device)[1]:
        n_threads = 1
    with progress.task(f"statistics of {corpus.family}", len(units)) as advance:
        advance(len(units) - len(todo))
        for unit, found in zip(todo, in_order(tables, todo, n_threads), strict=True):
            staging.commit("gaussians", unit, found)
            advance(1)
    scratch.remove()
    return notes


@dataclass(frozen=True)
class _Ids:
    """Where the rows of one corpus go."""

    fit_of_site: dict[str, int]
    concepts: list[int]


def _register(
    live: LiveModel,
    staging: Staging,
    corpus: Corpus,
    source: ConceptSource,
    config: BuildConfig,
    run_id: int,
    rows: Rows,
) -> _Ids:
    """Rows of concept, fit and fit_concept, written once; returns their ids."""
    step = f"register/{corpus.family}"
    counts = np.bincount(rows.labels_R, minlength=len(corpus.concepts)).tolist()
    if not staging.done(step):
        known = staging.rows("SELECT concept_id FROM concept WHERE family = ? ORDER BY concept_id", [corpus.family])
        next_concept = staging.rows("SELECT coalesce(max(concept_id) + 1, 0) FROM concept")[0][0]
        next_fit = staging.rows("SELECT coalesce(max(fit_id) + 1, 0) FROM fit")[0][0]
        examples = np.bincount(corpus.labels, minlength=len(corpus.concepts)).tolist()
        # A family that is there already (another site of the same corpus) keeps its ids.
        concept_ids = [concept_id for (concept_id,) in known] or [next_concept + i for i in range(len(counts))]
        concepts = [
            {"concept_id": concept_ids[i], "family": corpus.family, "concept": name, "n_examples": examples[i]}
            for i, name in enumerate(corpus.concepts)
        ]
        fits = [
            {
                "fit_id": next_fit + i,
                "run_id": run_id,
                "family": corpus.family,
                "site": site,
                "position": config.position,
                "template": source.template,
                "width": live.width(site),
                "n": len(rows.labels_R),
                "taus": list(config.taus),
                "corpus_sha256": corpus.sha256,
            }
            for i, site in enumerate(config.sites)
        ]
        members = [
            {"fit_id": fit["fit_id"], "concept_id": concept_id, "n": counts[i]}
            for fit in fits
            for i, concept_id in enumerate(concept_ids)
        ]
        tables = {
            "fit": pa.Table.from_pylist(fits),
            "fit_concept": pa.Table.from_pylist(members),
            "_fit_example": _example_rows(corpus, [fit["fit_id"] for fit in fits]),
        }
        if not known:
            tables["concept"] = pa.Table.from_pylist(concepts)
        staging.commit(step, "all", tables)
    fits = staging.rows("SELECT site, fit_id FROM fit WHERE family = ? AND run_id = ?", [corpus.family, run_id])
    known = staging.rows("SELECT concept_id FROM concept WHERE family = ? ORDER BY concept_id", [corpus.family])
    return _Ids(dict(fits), [concept_id for (concept_id,) in known])


def _example_rows(corpus: Corpus, fit_ids: list[int]) -> pa.Table:
    hashes = sorted({text_hash(text) for text in corpus.texts})
    return pa.table(
        {
            "fit_id": pa.array([fit_id for fit_id in fit_ids for _ in hashes], pa.int32()),
            "text_hash": pa.array(hashes * len(fit_ids), pa.uint64()),
        }
    )


def _one_layer(
    scratch: Scratch | DeviceScratch,
    rows: Rows,
    site: str,
    layer: int,
    live: LiveModel,
    config: BuildConfig,
    ids: _Ids,
) -> dict[str, pa.Table]:
    acts_RN = scratch.read(site, layer, len(rows.labels_R), live.width(site))
    where = f"{site} layer {layer}"
    statistics = separate_and_fit(
        acts_RN, rows.labels_R, len(ids.concepts), config.taus, config.bins, where=where, device=live.device
    )
    return statistics_rows(
        statistics, fit_id=ids.fit_of_site[site], concept_ids=ids.concepts, layer=layer, taus=config.taus
    )
