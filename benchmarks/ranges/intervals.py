"""Best intervals against the paper's range masking: less harm elsewhere? Writes docs/results/intervals.md.

Run: python -m benchmarks.ranges.intervals --datasets FOLDER [--work FOLDER] [--tasks ag_news,emotion] [--report]

For AG News and Emotion: neurons and intervals from the texts of the statistics, arms compared on a few other texts
(dev), the best of them and what it is compared with measured on texts that nothing has seen (fresh). The numbers go
into intervals.json beside the page, corpus by corpus; --report only writes the page.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from atlas.errors import BuildError
from atlas.live.loading import load
from benchmarks.beyond.scores import split_per_concept
from benchmarks.common.labelled_text import Task, ag_news, datasets_folder, emotion
from benchmarks.ranges.arms import PUSH, Arm
from benchmarks.ranges.compared import EXPLORED, PAPER, compared, shortfall
from benchmarks.ranges.effects import Texts, effect, outcomes
from benchmarks.ranges.halves import cross_chosen
from benchmarks.ranges.masking import Outcome, accuracy, is_right
from benchmarks.ranges.report_intervals import BLIND, page
from benchmarks.ranges.setting_up import Statistics
from builders.evaluation.bootstrap import interval

ROOT = Path(__file__).parents[2]
DEV = {"ag_news": 24, "emotion": 40}
FRESH = {"ag_news": 40, "emotion": 50}
"""Texts of a class to compare arms on, and fresh ones: more of Emotion, because fewer are answered right."""
OTHER = {"ag_news": (16, 12), "emotion": (8, 8)}
"""Texts of the other corpus for the perplexity, on dev and afterwards: those that Emotion is lent are longer."""
PROTOCOLS = {"answered": True, "all": False}
log = logging.getLogger("intervals")


def measure(task: Task, other: Task, options: argparse.Namespace, live) -> dict:
    """All numbers of one corpus; `other` lends the texts whose perplexity is measured."""
    work = Path(options.work)
    statistics = Statistics(live, work, options.model, task, options.per_concept, options.seed)
    dev, fresh = split_per_concept(statistics.fresh(), [DEV[task.name], FRESH[task.name]], options.seed)
    few, more = OTHER[task.name]
    lent = [text for text, _ in random.Random(options.seed).sample(other.examples, 46)]
    on_dev = Texts(task, dev, lent[:few])
    log.info("%s: %d arms on dev", task.name, len(EXPLORED[task.name]))
    tried = _tried(statistics, EXPLORED[task.name], on_dev, work, "dev", live)
    chosen, blind = (_best(task, tried, options, knows) for knows in (True, False))
    log.info("%s: chosen on dev: %s; without label words: %s", task.name, chosen.name, blind.name)
    found = {
        "concepts": list(task.concepts),
        "template": task.template,
        "other": other.name,
        "sizes": {"statistics": len(statistics.examples), "dev": len(dev), "fresh": len(fresh)},
        "dev": _on_dev(task, tried, options),
        "halves": {
            role: _on_halves(task, tried, options, knows) for role, knows in (("any rule", True), (BLIND, False))
        },
        "fresh": [],
    }
    if options.dev_only:
        return found | {"baseline": _baseline(task, tried[PAPER])}
    roles = compared(chosen, blind)
    arms = list(dict.fromkeys(roles.values()))
    confirmed = _tried(statistics, arms, Texts(task, fresh, lent[few : few + more]), work, "fresh", live)
    found["fresh"] = [
        {
            "role": role,
            "arm": arm.name,
            "protocols": {
                name: _with_intervals(task, confirmed[arm], confirmed[PAPER], right, options)
                for name, right in PROTOCOLS.items()
            },
        }
        for role, arm in roles.items()
    ]
    return found | {"baseline": _baseline(task, confirmed[PAPER])}


def _best(task: Task, found: Mapping[Arm, Outcome], options: argparse.Namespace, knows_labels: bool) -> Arm:
    """The arm with the least shortfall on texts answered right; without `knows_labels` none of the rule PUSH."""
    effects = {arm: effect(outcome, task.concepts, True, 0, options.seed) for arm, outcome in found.items()}
    allowed = [arm for arm in effects if knows_labels or arm.rule != PUSH]
    return min(allowed, key=lambda arm: shortfall(effects[arm], effects[PAPER]))


def _on_dev(task: Task, tried: Mapping[Arm, Outcome], options: argparse.Namespace) -> list[dict]:
    """Every arm that was tried, point estimates."""
    rows = []
    paper = effect(tried[PAPER], task.concepts, True, 0, options.seed)
    for arm, outcome in tried.items():
        effects = {name: effect(outcome, task.concepts, right, 0, options.seed) for name, right in PROTOCOLS.items()}
        rows.append(
            {
                "arm": arm.name,
                "shortfall": shortfall(effects["answered"], paper),
                "protocols": {
                    name: {key: float(values[0]) for key, values in vars(each).items()}
                    for name, each in effects.items()
                },
            }
        )
    return rows


def _on_halves(task: Task, tried: Mapping[Arm, Outcome], options: argparse.Namespace, knows_labels: bool) -> list[dict]:
    """For each half of dev what the arm that the other half chooses does there."""
    return [
        {"arm": arm.name}
        | {name: _with_intervals(task, there[arm], there[PAPER], right, options) for name, right in PROTOCOLS.items()}
        for arm, there in cross_chosen(tried, lambda found: _best(task, found, options, knows_labels))
    ]


def _tried(statistics: Statistics, arms: list[Arm], texts: Texts, work: Path, part: str, live) -> dict[Arm, Outcome]:
    specs = {arm.name: statistics.specs(arm) for arm in arms}
    found = outcomes(live, specs, texts, work, f"{texts.task.name}-{part}")
    return {arm: found[arm.name] for arm in arms}


def _with_intervals(task: Task, outcome: Outcome, paper: Outcome, right: bool, options: argparse.Namespace) -> dict:
    found, ref = (effect(each, task.concepts, right, options.bootstrap, options.seed) for each in (outcome, paper))
    numbers = dict(vars(found)) | {"of paper": found.complement / ref.complement}
    return {name: list(vars(interval(values)).values()) for name, values in numbers.items()}


def _baseline(task: Task, outcome: Outcome) -> dict:
    right_E = is_right(outcome, True)
    counts = {name: int((outcome.gold_E == c).sum()) for c, name in enumerate(task.concepts)}
    answered = {name: int(right_E[outcome.gold_E == c].sum()) for c, name in enumerate(task.concepts)}
    return {
        "accuracy": float(accuracy(outcome)[0].mean()),
        "texts": counts,
        "answered": answered,
        "other texts": len(outcome.tokens_E),
        "perplexity": float(np.exp(outcome.nll_AE[0].sum() / outcome.tokens_E.sum())),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", help="folder with the two corpora (benchmarks/common/labelled_text.py)")
    parser.add_argument("--work", default=str(ROOT / "build" / "benchmarks"), help="folder for what is slow to make")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "intervals.md")
    parser.add_argument("--tasks", default="ag_news,emotion", help="corpora to measure now; others stay as kept")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--per-concept", type=int, default=150, help="texts of a class for the statistics")
    parser.add_argument("--bootstrap", type=int, default=2000, help="resamples")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dev-only", action="store_true", help="only choose: leave the fresh texts alone")
    parser.add_argument("--report", action="store_true", help="write the page from the numbers that are kept")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    path = options.out.with_suffix(".json")
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"tasks": {}}
    if not options.report:
        folder = datasets_folder(options.datasets)
        tasks = {task.name: task for task in (ag_news(folder), emotion(folder))}
        live = functools.cache(lambda: load(options.model, device="cpu"))
        kept["options"] = {name: getattr(options, name) for name in ("model", "per_concept", "bootstrap", "seed")}
        for name in options.tasks.split(","):
            other = tasks["emotion" if name == "ag_news" else "ag_news"]
            kept["tasks"][name] = measure(tasks[name], other, options, live)
            path.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    if not kept["tasks"]:
        raise BuildError(f"there is no {path}", "Run without --report first.")
    options.out.write_text(page(kept), encoding="utf-8")


if __name__ == "__main__":
    main()
