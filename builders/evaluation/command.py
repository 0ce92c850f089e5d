"""The command `evaluate` without its flags: read, plan, load, measure, keep, and say what came out."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from atlas.answers.picture import require_target
from atlas.answers.result import Result
from atlas.errors import UsageError
from atlas.fingerprint_kinds import may_be_of_one_model
from atlas.fit_choice import FitChoice
from atlas.live.model import LiveModel
from atlas.model_place import places
from atlas.spec.document import InterventionSpec
from atlas.spec.text import read_spec
from atlas.store.evaluations import check_sidecar, sidecar_of
from atlas.store.reader import Atlas, open_atlas
from atlas.whole_file import require_apart, require_output
from builders.evaluation.config import EvaluateConfig, SweepRequest
from builders.evaluation.edited import Budget
from builders.evaluation.evaluate import evaluate
from builders.evaluation.harness.tasks import HarnessTasks, load_tasks
from builders.evaluation.output import frontier_table, score_table
from builders.evaluation.picture import draw_frontier
from builders.evaluation.records import store
from builders.evaluation.report import EvaluationReport
from builders.evaluation.sweep import frontier, make_specs
from builders.evaluation.task import Task, origin_of, plan_task
from builders.progress import Silent
from builders.spec_model import load_for, model_files


def run(config: EvaluateConfig, progress: Silent | None = None) -> Result:
    """What the config asks for: the scores of its specs, or the frontier of its sweep; a picture is then drawn.

    Raises as plan_task, make_specs, load_for and evaluate, and UsageError for an output that must not be written;
    nearly all of it before minutes of work.
    """
    for output in (config.output, config.plot):
        if output is not None:
            require_output(output, inputs=config.inputs())
    require_apart(config.output, config.plot)
    evaluation = _Evaluation(config, progress or Silent())
    return evaluation.of_specs() if config.sweep is None else evaluation.of_sweep(config.sweep)


def measure(
    config: EvaluateConfig,
    live: LiveModel,
    specs: Sequence[InterventionSpec],
    task: Task,
    progress: Silent,
    harness: HarnessTasks | None = None,
) -> EvaluationReport:
    """`evaluate` as the config says, by a model that is loaded. Raises as it does; keeps nothing."""
    return evaluate(
        live,
        specs,
        task.examples,
        labels=task.labels,
        template=task.template,
        targets=task.targets,
        shots=task.shots,
        other_texts=task.other_texts,
        harness=harness,
        whole_neuron=config.whole_neuron,
        bootstrap=config.bootstrap,
        seed=config.task.seed,
        max_tokens=config.max_tokens,
        budget=Budget(config.batch_tokens, config.memory),
        override_model=config.override_model,
        progress=progress,
    )


class _Evaluation:
    """One evaluation as its config says; the model is loaded once and only after everything is planned."""

    def __init__(self, config: EvaluateConfig, progress: Silent) -> None:
        self.wanted = config
        self.progress = progress

    def of_specs(self) -> Result:
        """Evaluate spec files. Specs of different families or templates are planned by themselves."""
        specs = [read_spec(path) for path in self.wanted.specs]
        groups: dict[FitChoice, list[InterventionSpec]] = {}
        for spec in specs:
            groups.setdefault(origin_of(spec), []).append(spec)
        reports, notes = [], []
        with open_atlas(self.wanted.atlas) as atlas:
            tasks = [(group, plan_task(atlas, group, self.wanted.task)) for group in groups.values()]
            harness = load_tasks(self.wanted.harness) if self.wanted.harness is not None else None
            live = self._load(atlas, specs)
            for group, task in tasks:
                reports.append(self._measure(atlas, live, group, task, harness=harness))
                notes += task.notes + reports[-1].notes
        return score_table(reports, [*dict.fromkeys(notes), *self._kept()])

    def of_sweep(self, request: SweepRequest) -> Result:
        """Make and evaluate the specs of a sweep; the rows are its frontier of accuracy."""
        plot = self.wanted.plot
        if plot is not None:
            require_target(plot)
        sweep_id = uuid.uuid4().hex
        with open_atlas(self.wanted.atlas) as atlas:
            specs = make_specs(atlas, request)
            task = plan_task(atlas, specs, self.wanted.task)
            report = self._measure(atlas, self._load(atlas, specs), specs, task, sweep_id)
        points = frontier(report)
        n_best = sum(point.best for point in points)
        notes = [*task.notes, *report.notes, f"{n_best} of {len(points)} points are best"]
        if plot is not None:
            draw_frontier(points, f"{request.concept}: {report.n_used} texts of {task.corpus}", "accuracy", plot)
            notes.append(f"picture written to {plot}")
        return frontier_table(points, [*notes, *self._kept(f" --sweep {sweep_id}")])

    def _load(self, atlas: Atlas, specs: Sequence[InterventionSpec]) -> LiveModel:
        config = self.wanted
        if not all(may_be_of_one_model(spec.model.fingerprint, specs[0].model.fingerprint) for spec in specs):
            raise UsageError("the specs are for different models", "Evaluate them one by one.")
        if config.store:
            check_sidecar(sidecar_of(config.atlas))  # before minutes of work
        known = may_be_of_one_model(atlas.manifest.fingerprint, specs[0].model.fingerprint)
        beside = places(atlas.manifest, atlas.path) if known else []
        if config.output is not None:
            require_output(config.output, inputs=model_files(specs[0], config.model, beside))
        return load_for(specs[0], config.model, beside, device=config.device, dtype=config.dtype)

    def _measure(
        self,
        atlas: Atlas,
        live: LiveModel,
        specs: Sequence[InterventionSpec],
        task: Task,
        sweep_id: str | None = None,
        harness: HarnessTasks | None = None,
    ) -> EvaluationReport:
        config = self.wanted
        report = measure(config, live, specs, task, self.progress, harness)
        if config.store:
            store(sidecar_of(config.atlas), report, live, atlas.manifest.atlas_id, task, sweep_id)
        return report

    def _kept(self, how: str = "") -> list[str]:
        if not self.wanted.store:
            return []
        return [f"kept in {sidecar_of(self.wanted.atlas)}; `neuron-atlas evaluations{how}` shows it"]
