"""Candidates and rules -> the Arrow tables that the staging area takes. Column names are the schema's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from atlas.schema.detector_tables import DETECTOR_TABLES
from builders.arrow import rows_of
from builders.build.product import Tables
from builders.detectors.candidates import Candidates
from builders.detectors.fitted import Made

_TABLES = {table.name: table for table in DETECTOR_TABLES}


def candidate_rows(found: Candidates, form: str, *, fit_id: int, layer: int) -> pa.Table:
    """Rows of the passing table, of one form and place."""
    n_folds, n_concepts, n_candidates = found.neuron.shape
    n = found.neuron.size
    return pa.table(
        {
            "fit_id": np.full(n, fit_id, np.int32),
            "layer": np.full(n, layer, np.int32),
            "form": pa.array([form] * n),
            "fold": np.repeat(np.arange(n_folds, dtype=np.int32), n_concepts * n_candidates),
            "concept": np.tile(np.repeat(np.arange(n_concepts, dtype=np.int32), n_candidates), n_folds),
            "neuron": found.neuron.reshape(-1).astype(np.int32),
            "value": found.value.reshape(-1).astype(np.float64),
            "lower": found.lower.reshape(-1).astype(np.float32),
            "upper": found.upper.reshape(-1).astype(np.float32),
        }
    )


def rule_rows(made: Sequence[Made], *, fit_id: int, concept_id: int) -> Tables:
    """Rows of `_detector` and `_detector_neuron`, of one concept. What is not defined (NaN) becomes NULL."""
    detectors, members = [], []
    for rule in made:
        key = {"fit_id": fit_id, "concept_id": concept_id, "form": rule.form, "neurons": rule.neurons}
        reached = rule.figures
        measured = {name: getattr(reached, name) for name in ("auc", "auc_low", "auc_high", "f1_low", "f1_high")}
        detectors.append(
            {
                **key,
                "layer": rule.layer,
                "bias": rule.bias,
                "threshold": rule.threshold,
                "held_inside": reached.inside,
                "held_others": reached.others,
                **{name: None if np.isnan(value) else value for name, value in measured.items()},
            }
        )
        members += [{**key, "place": i + 1, **member._asdict()} for i, member in enumerate(rule.members)]
    rows = {"_detector": detectors, "_detector_neuron": members}
    return {name: rows_of(_TABLES[name], found) for name, found in rows.items()}
