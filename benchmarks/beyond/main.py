"""Contrastive neurons with measured ranges against the paper's rule: how much less do they hurt other classes?

Run: python -m benchmarks.beyond.main --datasets FOLDER [--work FOLDER] [--out docs/results/beyond.md]

For AG News and Emotion: statistics on one part of the corpus (an atlas), every method's setting chosen on a second
(dev), everything reported on a third (test). A method is a list of settings; the one taken is that with the least
complement drop on dev among those with a target drop of at least `--target-drop` there. Each class is the target
once; drops are means over classes. Protocol `answered` keeps the texts that the unedited model answers correctly, as
the paper does, `all` keeps all of them. Intervals: 95 %, bootstrap over texts within each class, the same resamples
for all methods.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from atlas.live.batching import encode
from atlas.live.loading import load
from atlas.spec.text import spec_hash
from atlas.store.reader import open_atlas
from benchmarks.beyond.methods import METHODS, specs_of
from benchmarks.beyond.report import write_report
from benchmarks.beyond.scores import Outcome, split_per_concept
from benchmarks.common.dataset_atlas import dataset_atlas
from benchmarks.common.labelled_text import Task, ag_news, datasets_folder, emotion
from builders.evaluation.edited import Budget
from builders.evaluation.prompts import make_prompts
from builders.evaluation.scoring import label_log_probs, text_losses
from builders.progress import for_terminal

ROOT = Path(__file__).parents[2]
CHUNK = 48  # arms between two saves
BUDGET = Budget(batch_tokens=16384)  # many arms of few edited layers each: large batches read the weights less often


def main() -> None:
    """Measure what is not yet in the work folder, then write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", help="folder with ag_news_test.csv and emotion_*.txt")
    parser.add_argument("--work", type=Path, default=ROOT / "data" / "work", help="keeps atlases and results")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "beyond.md")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--per-concept", type=int, default=300, help="texts of a concept for the statistics")
    parser.add_argument("--dev", type=int, default=60, help="texts of a concept to choose settings on")
    parser.add_argument("--test", type=int, default=150, help="texts of a concept to report on, or what is left")
    parser.add_argument("--other", type=int, default=150, help="texts of the other corpus for the perplexity")
    parser.add_argument("--perplexity-of", default="ag_news,emotion", help="corpora whose specs to measure it for")
    parser.add_argument("--target-drop", type=float, default=0.5)
    options = parser.parse_args()
    folder = datasets_folder(options.datasets)
    tasks = [ag_news(folder), emotion(folder)]
    live = load(options.model)
    results = {}
    for task, other in zip(tasks, reversed(tasks), strict=True):
        others = [text for text, _ in other.examples[-options.other :]]
        results[task.name] = measure(live, task, others, options)
    write_report(results, options)
    sys.stderr.write(f"written to {options.out}\n")


def measure(live, task: Task, others: list[str], options: argparse.Namespace) -> dict:
    """All numbers of one corpus: dev for every setting, test for the chosen ones."""
    sites = ["mlp_post", "resid_post"]
    path, held_out = dataset_atlas(
        task, options.work, per_concept=options.per_concept, sites=sites, seed=0, model=options.model
    )
    dev, test = split_per_concept(held_out, [options.dev, options.test], seed=0)
    with open_atlas(path) as atlas:
        specs = {
            (method, number): [specs_of(atlas, setting, concept) for concept in task.concepts]
            for method, settings in METHODS.items()
            for number, setting in enumerate(settings)
        }
    on_dev = outcomes(live, task, dev, specs, options, "dev")
    chosen = {}
    for method, settings in METHODS.items():
        dev_drops = [on_dev[method, number].drops("answered") for number in range(len(settings))]
        enough = [n for n, (target, _) in enumerate(dev_drops) if target >= options.target_drop]
        # Without one that drops enough: the one that drops most.
        chosen[method] = (
            min(enough, key=lambda n: dev_drops[n][1])
            if enough
            else max(range(len(settings)), key=lambda n: dev_drops[n][0])
        )
    taken = {key: specs[key] for key in chosen.items()}
    on_test = outcomes(live, task, test, taken, options, "test")
    wanted = task.name in options.perplexity_of.split(",")
    losses = perplexities(live, others, taken, options, task.name) if wanted else None
    return {
        "task": task,
        "sizes": {"statistics": options.per_concept * len(task.concepts), "dev": len(dev), "test": len(test)},
        "chosen": chosen,
        "dev": on_dev,
        "test": on_test,
        "perplexity": losses,
    }


def outcomes(live, task: Task, examples, specs: dict, options: argparse.Namespace, part: str) -> dict:
    """(method, setting) -> Outcome on `examples`; what was measured before is read from the work folder."""
    labels = {concept: f" {concept}" for concept in task.concepts}
    prompts = make_prompts(live, examples, labels, task.template)
    gold_E = np.array(prompts.gold)
    store = Kept(options.work / f"{task.name}-{part}-{len(examples)}.json")
    names = ["baseline", *(spec_hash(spec) for group in specs.values() for spec in group)]
    arms = [None, *(spec for group in specs.values() for spec in group)]
    todo = [(name, arm) for name, arm in dict(zip(names, arms, strict=True)).items() if name not in store.rows]
    # By first layer, so that the layers below are shared; a few at a time, so that little is lost when stopped.
    todo.sort(key=lambda item: 0 if item[1] is None else -min(edit.layer for edit in item[1].edits))
    with for_terminal().task(f"{task.name} {part}", len(todo) * len(examples)) as advance:
        for start in range(0, len(todo), CHUNK):
            some = todo[start : start + CHUNK]
            logprob_AEC = label_log_probs(
                live, prompts.input_ids, prompts.label_tokens, [arm for _, arm in some], advance=advance, budget=BUDGET
            )
            gold_logprob_AE = np.take_along_axis(logprob_AEC, gold_E[None, :, None], 2)[..., 0]
            store.add(
                {
                    name: {"answers": logprob_E.argmax(1).tolist(), "confidence": np.exp(gold).round(6).tolist()}
                    for (name, _), logprob_E, gold in zip(some, logprob_AEC, gold_logprob_AE, strict=True)
                }
            )
    base = store.rows["baseline"]
    return {
        key: Outcome(
            gold_E,
            np.array(base["answers"]),
            np.array([store.rows[spec_hash(spec)]["answers"] for spec in group]),
            np.array(base["confidence"]),
            np.array([store.rows[spec_hash(spec)]["confidence"] for spec in group]),
        )
        for key, group in specs.items()
    }


def perplexities(live, texts: list[str], specs: dict, options: argparse.Namespace, name: str) -> dict:
    """(method, setting) or "baseline" -> perplexity of `texts`, tokens weighted equally, mean over the classes."""
    ids, _ = encode(live, texts, "{text}", 256)
    ids = [row for row in ids if len(row) > 1]
    tokens = sum(len(row) - 1 for row in ids)
    store = Kept(options.work / f"{name}-perplexity-{len(ids)}.json")
    arms = {"baseline": None} | {spec_hash(spec): spec for group in specs.values() for spec in group}
    todo = {key: arm for key, arm in arms.items() if key not in store.rows}
    if todo:
        nll_AE = text_losses(live, ids, list(todo.values()), budget=BUDGET)
        store.add({key: float(np.exp(nll_E.sum() / tokens)) for key, nll_E in zip(todo, nll_AE, strict=True)})
    found = {key: float(np.mean([store.rows[spec_hash(spec)] for spec in group])) for key, group in specs.items()}
    return found | {"baseline": store.rows["baseline"], "texts": len(ids)}


class Kept:
    """Results by spec hash in a JSON file, so that a stopped run goes on where it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: dict = json.loads(path.read_text()) if path.exists() else {}

    def add(self, rows: dict) -> None:
        """Keep `rows`, on disk too."""
        self.rows |= rows
        partial = self._path.with_suffix(".tmp")
        partial.write_text(json.dumps(self.rows))
        partial.replace(self._path)


if __name__ == "__main__":
    main()
