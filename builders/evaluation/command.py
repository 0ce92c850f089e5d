"""The command `evaluate` without its flags: read, plan, load, measure, keep, and say what came out."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from atlas.answers.picture import require_target
from atlas.errors import UsageError
from atlas.fit_choice import FitChoice
from atlas.live.model import LiveModel
from atlas.model_place import places
from atlas.spec.document import InterventionSpec
from atlas.spec.text import read_spec
from atlas.store.evaluations import check_sidecar, sidecar_of
from atlas.store.reader import Atlas, open_atlas
from builders.evaluation.edited import Budget
from builders.evaluation.evaluate import evaluate
from builders.evaluation.output import Row, evaluation_rows, frontier_rows
from builders.evaluation.picture import draw_frontier
from builders.evaluation.records import store
from builders.evaluation.report import EvaluationReport
from builders.evaluation.sweep import SweepRequest, frontier, make_specs
from builders.evaluation.task import Task, origin_of, plan_task
from builders.evaluation.texts import TaskRequest
from builders.spec_model import load_for

Answer = tuple[list[Row], list[str]]
"""Rows to print and notes for the user."""


def run_specs(options: dict[str, Any]) -> Answer:
    """Evaluate spec files. Specs of different families or templates are planned by themselves."""
    specs = [read_spec(path) for path in options["specs"]]
    groups: dict[FitChoice, list[InterventionSpec]] = {}
    for spec in specs:
        groups.setdefault(origin_of(spec), []).append(spec)
    rows: list[Row] = []
    notes: list[str] = []
    with open_atlas(options["atlas_path"]) as atlas:
        tasks = [(group, plan_task(atlas, group, _request(options))) for group in groups.values()]
        live = _load(atlas, specs, options)
        for group, task in tasks:
            report = _measure(atlas, live, group, task, options, None)
            rows += evaluation_rows(report)
            notes += task.notes + report.notes
    return rows, [*dict.fromkeys(notes), *_kept(options)]


def run_sweep(options: dict[str, Any]) -> Answer:
    """Make and evaluate the specs of a sweep; the rows are its frontier of accuracy."""
    if options["plot"] is not None:
        require_target(options["plot"])
    request = SweepRequest(
        concept=options["concept"],
        rules=_listed(options["rules"]),
        tops=_listed(options["tops"]),
        taus=[_number(text) for text in _listed(options["taus"])],
        bounds=_listed(options["bounds"]),
        ops=_listed(options["ops"]),
        fit=FitChoice(family=options["family"], site=options["site"]),
        common={name: options[name] for name in ("layers", "positions") if options[name] is not None},
    )
    sweep_id = uuid.uuid4().hex
    with open_atlas(options["atlas_path"]) as atlas:
        specs = make_specs(atlas, request)
        task = plan_task(atlas, specs, _request(options))
        report = _measure(atlas, _load(atlas, specs, options), specs, task, options, sweep_id)
    points = frontier(report)
    notes = [*task.notes, *report.notes, f"{sum(point.best for point in points)} of {len(points)} points are best (*)"]
    if options["plot"] is not None:
        title = f"{request.concept}: {report.n_used} texts of {task.corpus}"
        draw_frontier(points, title, "accuracy", options["plot"])
        notes.append(f"picture written to {options['plot']}")
    return frontier_rows(points), [*notes, *_kept(options, f" --sweep {sweep_id}")]


def _request(options: dict[str, Any]) -> TaskRequest:
    return TaskRequest(**{field.name: options[field.name] for field in fields(TaskRequest)})


def _load(atlas: Atlas, specs: Sequence[InterventionSpec], options: dict[str, Any]) -> LiveModel:
    models = {spec.model.fingerprint: spec.model.id for spec in specs}
    if len(models) > 1:
        raise UsageError("the specs are for different models", "Evaluate them one by one.")
    if not options["no_store"]:
        check_sidecar(sidecar_of(options["atlas_path"]))  # before minutes of work
    known = atlas.manifest.fingerprint == specs[0].model.fingerprint
    beside = places(atlas.manifest, atlas.path) if known else []
    return load_for(specs[0], options["model"], beside, device=options["device"], dtype=options["dtype"])


def _measure(
    atlas: Atlas,
    live: LiveModel,
    specs: Sequence[InterventionSpec],
    task: Task,
    options: dict[str, Any],
    sweep_id: str | None,
) -> EvaluationReport:
    report = evaluate(
        live,
        specs,
        task.examples,
        labels=task.labels,
        template=task.template,
        targets=task.targets,
        shots=task.shots,
        other_texts=task.other_texts,
        whole_neuron=options["whole_neuron"],
        bootstrap=options["bootstrap"],
        seed=options["seed"],
        max_tokens=options["max_tokens"],
        budget=Budget(options["batch_tokens"], options["memory"]),
        override_model=options["override_model"],
        progress=options["progress"],
    )
    if not options["no_store"]:
        store(sidecar_of(options["atlas_path"]), report, live, atlas.manifest.atlas_id, task, sweep_id)
    return report


def _kept(options: dict[str, Any], how: str = "") -> list[str]:
    if options["no_store"]:
        return []
    path: Path = sidecar_of(options["atlas_path"])
    return [f"kept in {path}; `neuron-atlas evaluations{how}` shows it"]


def _listed(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise UsageError(f"{text!r} is no list", "Separate values by commas, as in 100,1000.")
    return list(dict.fromkeys(parts))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--tau {text!r} is no number", "Write 2,2.5.") from None
