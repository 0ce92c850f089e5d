"""An evaluation report as rows of the sidecar (atlas/schema/evaluations.sql)."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from atlas.manifest import software_version
from atlas.spec.text import dumps
from atlas.store.evaluations import append_evaluations
from builders.evaluation.report import EvaluationReport, SpecEvaluation
from builders.evaluation.task import Task

if TYPE_CHECKING:
    from atlas.live.model import LiveModel

# Columns that may be NULL in all rows of a table, where pyarrow would infer no type.
_TYPES = {
    "sweep_id": pa.string(),
    "rule": pa.string(),
    "top": pa.int32(),
    "op": pa.string(),
    "bounds": pa.string(),
    "tau": pa.float64(),
    "other_text": pa.string(),
    **dict.fromkeys(("ci_low", "ci_high", "drop_value", "drop_low", "drop_high"), pa.float64()),
}


def store(
    path: Path, report: EvaluationReport, live: LiveModel, atlas_id: str, task: Task, sweep_id: str | None = None
) -> None:
    """Add the report to the sidecar at `path`. Raises AtlasFileError when that cannot be done."""
    common = {
        "sweep_id": sweep_id,
        "atlas_id": atlas_id,
        "model_id": live.model_id,
        "fingerprint": live.fingerprint,
        "corpus": task.corpus,
        "corpus_sha256": task.corpus_sha256,
        "template": report.template,
        "labels": json.dumps(report.labels, ensure_ascii=False),
        "n_shots": report.n_shots,
        "other_text": task.other_name if report.n_other else None,
        "seed": report.seed,
        "bootstrap": report.bootstrap,
        "n_used": report.n_used,
        "n_dropped": task.n_dropped,
        "software": software_version(),
        "device": str(live.device),
        "dtype": str(live.dtype).removeprefix("torch."),
        "started_at": report.started_at,
        "seconds": report.seconds,
    }
    evaluations, scores = [], []
    for evaluation in report:
        evaluation_id = uuid.uuid4().hex
        evaluations.append({"evaluation_id": evaluation_id, **common, **_of_spec(evaluation)})
        scores += [{"evaluation_id": evaluation_id, **row} for row in score_rows(evaluation)]
    specs = {evaluation.spec_hash: dumps(evaluation.spec) for evaluation in report}
    tables = {
        "spec": [{"spec_hash": key, "spec": text} for key, text in specs.items()],
        "evaluation": evaluations,
        "score": scores,
    }
    append_evaluations(path, {name: _table(rows) for name, rows in tables.items()})


def score_rows(evaluation: SpecEvaluation) -> list[dict[str, Any]]:
    """The scores of one spec as rows of table `score`, without the id."""
    return [
        {
            "arm": score.arm,
            "metric": score.metric,
            "text_group": score.group,
            "value": score.value.value,
            "ci_low": score.value.low,
            "ci_high": score.value.high,
            "drop_value": score.drop.value if score.drop else None,
            "drop_low": score.drop.low if score.drop else None,
            "drop_high": score.drop.high if score.drop else None,
            "n": score.n,
        }
        for score in evaluation.scores
    ]


def _of_spec(evaluation: SpecEvaluation) -> dict[str, Any]:
    spec, source = evaluation.spec, evaluation.spec.source
    positions = spec.positions if isinstance(spec.positions, str) else json.dumps(list(spec.positions))
    return {
        "spec_hash": evaluation.spec_hash,
        "target": evaluation.target,
        # A spec from elsewhere may hold anything under these names.
        "rule": _if(str, source.get("rule")),
        "top": _if(int, source.get("top")),
        "op": _if(str, source.get("op")),
        "bounds": _if(str, source.get("bounds")),
        "tau": _if((int, float), source.get("tau")),
        "sites": ",".join(dict.fromkeys(edit.site for edit in spec.edits)),
        "positions": positions,
        "n_edits": len(spec.edits),
    }


def _if(kind: type | tuple[type, ...], value: Any) -> Any:
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows], _TYPES.get(name)) for name in rows[0]})
