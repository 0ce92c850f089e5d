"""What a corpus's Gaussians are about: its fits, one at each site, and its concepts, with the ids that rows name."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from atlas.schema.table import FAMILY, FIT
from builders.build.product import Ask, Replaced, Tables

if TYPE_CHECKING:
    from builders.build.plan import Plan, Reading
    from builders.config import BuildConfig
    from builders.corpora.base import Corpus

_CONCEPTS = "SELECT concept_id FROM concept WHERE family = ? ORDER BY concept_id"


def replaced(config: BuildConfig, corpus: Corpus, ask: Ask) -> list[Replaced]:
    """The fits at the same site and position go, and all of an older text of the family with their concepts."""
    fits = ask("SELECT fit_id, site, position, corpus_sha256 FROM fit WHERE family = ?", [corpus.family])
    changed = any(sha256 != corpus.sha256 for *_, sha256 in fits)
    gone = [fit for fit, site, at, _ in fits if changed or (site in config.sites and at == config.position)]
    found = [Replaced(FIT, gone, whole=True)]
    if len(gone) == len(fits):
        found.append(Replaced(FAMILY, [corpus.family], whole=True))
    return found


def fit_rows(plan: Plan, reading: Reading, run_id: int, ask: Ask) -> Tables:
    """Rows of fit, fit_concept and _fit_example, and of concept unless the family is there already."""
    config, corpus = plan.config, reading.corpus
    known = ask(_CONCEPTS, [corpus.family])
    next_concept = ask("SELECT coalesce(max(concept_id) + 1, 0) FROM concept")[0][0]
    next_fit = ask("SELECT coalesce(max(fit_id) + 1, 0) FROM fit")[0][0]
    # A family that is there already (another site of the same corpus) keeps its ids.
    ids = [concept_id for (concept_id,) in known] or [next_concept + i for i in range(len(corpus.concepts))]
    n_examples = Counter(corpus.labels)
    concepts = [
        {"concept_id": ids[i], "family": corpus.family, "concept": name, "n_examples": n_examples[i]}
        for i, name in enumerate(corpus.concepts)
    ]
    fits = [
        {
            "fit_id": next_fit + i,
            "run_id": run_id,
            "family": corpus.family,
            "site": site,
            "position": config.position,
            "template": reading.source.template,
            "width": plan.live.width(site),
            "n": sum(reading.values_of_concepts),
            "taus": list(config.taus),
            "corpus_sha256": corpus.sha256,
        }
        for i, site in enumerate(config.sites)
    ]
    members = [
        {"fit_id": fit["fit_id"], "concept_id": concept_id, "n": reading.values_of_concepts[i]}
        for fit in fits
        for i, concept_id in enumerate(ids)
    ]
    tables = {
        "fit": pa.Table.from_pylist(fits),
        "fit_concept": pa.Table.from_pylist(members),
        "_fit_example": _example_rows(reading, [fit["fit_id"] for fit in fits]),
    }
    return tables if known else {**tables, "concept": pa.Table.from_pylist(concepts)}


def ids_of(family: str, run_id: int, ask: Ask) -> dict[str, Any]:
    """The ids that the statistics of a family name, once its rows are there."""
    fits = ask("SELECT site, fit_id FROM fit WHERE family = ? AND run_id = ?", [family, run_id])
    return {"fits": dict(fits), "concepts": concept_ids(family, ask)}


def concept_ids(family: str, ask: Ask) -> list[int]:
    """The ids of a family's concepts, in the order of its corpus."""
    return [concept_id for (concept_id,) in ask(_CONCEPTS, [family])]


def _example_rows(reading: Reading, fit_ids: list[int]) -> pa.Table:
    hashes = np.unique(reading.text_hashes)  # ascending
    fit_column = np.repeat(np.array(fit_ids, np.int32), len(hashes))
    return pa.table({"fit_id": fit_column, "text_hash": np.tile(hashes, len(fit_ids))})
