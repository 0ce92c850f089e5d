"""Do neurons speak in ranges? NeuronLens (arXiv 2502.06809) redone on two corpora. Writes docs/results/ranges.md.

Run: python -m benchmarks.ranges.main --datasets FOLDER

FOLDER holds the files that benchmarks/common/labelled_text.py names. Every class is the target once; every evaluated
text is one that the statistics have not seen. What is slow is kept in --work, so a second run only writes the report.
"""

from __future__ import annotations

import argparse
import functools
import logging
import random
from pathlib import Path

import numpy as np

from atlas.errors import BuildError
from atlas.live.loading import load
from atlas.store.reader import Atlas, open_atlas
from benchmarks.common.cache import cached
from benchmarks.common.dataset_atlas import TAUS, dataset_atlas
from benchmarks.common.labelled_text import Task, ag_news, datasets_folder, emotion
from benchmarks.ranges.firing import firing, prompt_ids
from benchmarks.ranges.found import SettingResult, TaskResult
from benchmarks.ranges.gaussianity import layer_shapes, null_of
from benchmarks.ranges.masking import RANDOM, TOP, Outcome, Setting, run, settings, specs_of
from benchmarks.ranges.overlap import scores_from, scores_of
from benchmarks.ranges.picture import draw
from benchmarks.ranges.report import report
from builders.corpora.text_hash import text_hash
from builders.evaluation.prompts import draw_per_concept
from builders.evaluation.texts import seen_texts

ROOT = Path(__file__).parents[2]
SITES = ("mlp_post", "resid_post")
log = logging.getLogger("ranges")


def main() -> None:
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    folder, work = datasets_folder(options.datasets), Path(options.work)
    live = functools.cache(lambda: load(options.model, device="cpu"))  # only where something is missing
    tasks = {task.name: task for task in (ag_news(folder), emotion(folder))}
    found = [measure(task, tasks["emotion" if name == "ag_news" else "ag_news"], work, options, live)
             for name, task in tasks.items()]  # fmt: skip
    out = Path(options.out)
    picture = out.with_name(f"{out.stem}_masking.png")
    draw(found, options.bootstrap, options.seed, picture)
    out.write_text(report(found, options, picture.name), encoding="utf-8")


def measure(task: Task, other: Task, work: Path, options: argparse.Namespace, live) -> TaskResult:
    """All parts of one corpus. `other` lends the texts whose perplexity is measured."""
    log.info("%s: atlas", task.name)
    path, fresh = dataset_atlas(
        task, work, per_concept=options.per_concept, sites=SITES, seed=options.seed, model=options.model
    )
    others = [text for text, _ in random.Random(options.seed).sample(other.examples, options.other)]
    with open_atlas(path) as atlas:
        plan = []
        for setting in settings(atlas.manifest.n_layers):
            count = options.texts_last if setting.layers[0] == atlas.manifest.n_layers - 1 else options.texts
            plan.append((setting, draw_per_concept(fresh, count, options.seed)))
        _require_fresh(atlas, [text for _, examples in plan for text, _ in examples])
        log.info("%s: shape of the activations", task.name)
        null = null_of(options.per_concept, options.seed)
        return TaskResult(
            task=task,
            model_id=atlas.manifest.model_id,
            per_concept=options.per_concept,
            n_other=len(others),
            other=other.name,
            null=null,
            shapes=layer_shapes(atlas, null),
            settings=[_setting(atlas, setting, task, examples, others, work, live) for setting, examples in plan],
        )


def _require_fresh(atlas: Atlas, texts: list[str]) -> None:
    seen = seen_texts(atlas)
    if used := sum(text_hash(text) in seen for text in texts):
        raise BuildError(f"{used} texts to evaluate were used by the statistics of {atlas.path}")


def _setting(atlas: Atlas, setting: Setting, task: Task, examples, others, work: Path, live) -> SettingResult:
    log.info("%s: %s", task.name, setting.name)
    identity = [atlas.path.stem, examples, others, TOP, TAUS]
    specs = specs_of(atlas, setting, task.concepts)
    name = f"{task.name}-{setting.name.replace(' ', '-')}"

    def masked() -> dict[str, np.ndarray]:
        done = run(live(), specs, examples, task.concepts, task.template, others)
        return {key: value for key, value in vars(done).items() if key != "arms"}

    def opened() -> dict[str, np.ndarray]:
        prompts = prompt_ids(live(), [text for text, _ in examples], task.template)
        found = firing(live(), setting, specs, prompts)
        labels_E = np.array([task.concepts.index(concept) for _, concept in examples])
        scores = scores_from(found.pop("acts_EN"), labels_E, len(task.concepts))
        return found | scores

    outcome = Outcome(arms=list(specs), **cached(work, f"{name}-masking", identity, masked))
    gates = cached(work, f"{name}-firing", identity, opened)
    return SettingResult(
        setting=setting,
        n_neurons=len(specs[RANDOM, RANDOM].edits),
        outcome=outcome,
        gates=[key for key, spec in specs.items() if spec.edits[0].when is not None],
        firing_last_AE=gates.pop("last_AE"),
        firing_all_AE=gates.pop("all_AE"),
        measured={
            key: (spec.source["mean_coverage"], spec.source["mean_leakage"])
            for key, spec in specs.items()
            if spec.edits[0].when is not None
        },
        scores=scores_of(atlas, setting),
        fresh_scores=gates,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", help="folder with the two corpora (benchmarks/common/labelled_text.py)")
    parser.add_argument("--out", default=str(ROOT / "docs" / "results" / "ranges.md"))
    parser.add_argument("--work", default=str(ROOT / "build" / "benchmarks"), help="folder for atlases and results")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--per-concept", type=int, default=300, help="texts of a class for the statistics")
    parser.add_argument("--texts", type=int, default=24, help="texts of a class to evaluate on")
    parser.add_argument("--texts-last", type=int, default=120, help="the same for edits of the last block, cheap ones")
    parser.add_argument("--other", type=int, default=30, help="texts of the other corpus for perplexity")
    parser.add_argument("--bootstrap", type=int, default=2000, help="resamples")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
