"""A whole build, from the model's files to the published atlas, against the sum of the bare work that it needs.

Run: python -m benchmarks.speed.build [--corpus demo] [--dtype float32] [--rounds 2] [--model smollm2-135m]
     python -m benchmarks.speed.build --corpus ag_news --texts 1200 --datasets FOLDER

The demo reads the sets topics and emotions, also as running text; AG News is benchmarks/common/labelled_text.py's.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from atlas.live.loading import load
from atlas.live.model import LiveModel
from benchmarks.common.claim import KEPT, Claim, Goal, Table
from benchmarks.common.labelled_text import ag_news, balanced, datasets_folder
from benchmarks.common.measure import CLOCKS, interleave, machine
from benchmarks.common.phases import Phases, memory_added
from benchmarks.speed.build_floors import FLOORS, floors
from benchmarks.speed.build_picture import draw
from benchmarks.speed.statistics_ways import Lens, Work, bare, lists
from builders.build.fitting import fitted_to_model
from builders.build.inputs import prepare, read_corpora
from builders.build.pipeline import build
from builders.build.plan import Plan
from builders.build.products import wanted
from builders.concept_sets import concept_sources
from builders.config import BuildConfig

GOAL = 1.35


def main() -> None:
    options = _options()
    clock = CLOCKS[options.clock]
    with tempfile.TemporaryDirectory() as name:
        config = _config(options, Path(name))
        live = load(config.model, dtype=config.dtype)
        plan = _plan(config, live)
        bare_rounds, phase_rounds, peaks = [], [], []
        for _ in range(options.rounds):
            bare_rounds.append(floors(plan, clock))
            phases = Phases(clock=clock)
            peaks.append(memory_added(lambda phases=phases: build(config, existing="replace", progress=phases)))
            phase_rounds.append(phases.seconds)
        size = config.target.stat().st_size
        _claim(options, plan, _medians(bare_rounds), _medians(phase_rounds), max(peaks), size).write()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="float32", choices=("bfloat16", "float32"))
    parser.add_argument("--corpus", default="demo", choices=("demo", "ag_news"))
    parser.add_argument("--texts", type=int, default=1200, help="of AG News")
    parser.add_argument("--per-concept", type=int, help="of the demo's sets; without it all")
    parser.add_argument("--datasets", help="folder with AG News")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--clock", default="wall", choices=CLOCKS, help="cpu: of all threads, where others work too")
    return parser.parse_args()


def _config(options: argparse.Namespace, folder: Path) -> BuildConfig:
    """Every product that needs no further model: decodings, facts of weights, statistics, intervals, exemplars,
    gradients."""
    sources: tuple[str, ...] = ("topics", "emotions")
    if options.corpus == "ag_news":
        task = ag_news(datasets_folder(options.datasets))
        path = folder / "ag_news.jsonl"
        examples = balanced(task, options.texts // len(task.concepts), 0)
        path.write_text("".join(json.dumps({"text": text, "concept": concept}) + "\n" for text, concept in examples))
        sources = (str(path),)
    return BuildConfig(
        options.model,
        folder / "a.duckdb",
        concepts=concept_sources(sources),
        texts=sources,
        gradients=True,
        weight_facts=True,
        neighbours=16,
        dtype=options.dtype,
        limit_per_concept=options.per_concept,
    )


def _plan(config: BuildConfig, live: LiveModel) -> Plan:
    """What a build reads, for the bare passes over the same batches."""
    config = fitted_to_model(config, live)
    return prepare(config, live, read_corpora(config), wanted(config))


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.median([each[name] for each in rounds])) for name in rounds[0]}


def _claim(
    options: argparse.Namespace,
    plan: Plan,
    bare_seconds: dict[str, float],
    phases: dict[str, float],
    peak: float,
    size: int,
) -> Claim:
    by_floor = {floor: sum(taken for label, taken in phases.items() if label.startswith(floor)) for floor in FLOORS}
    by_floor["statistics"] += sum(taken for label, taken in phases.items() if label.startswith("activations"))
    rest = {label: taken for label, taken in phases.items() if not label.startswith((*FLOORS, "activations"))}
    total, least = sum(phases.values()), sum(bare_seconds.values())
    rows = [
        [name, f"{by_floor[name]:.1f}", f"{floor:.1f}", f"{by_floor[name] / floor:.2f}"]
        for name, floor in bare_seconds.items()
    ]
    rows += [[label, f"{taken:.1f}", "", ""] for label, taken in rest.items()]
    rows.append(["all", f"{total:.1f}", f"{least:.1f}", f"{total / least:.2f}"])
    name = f"build-{options.corpus}" + ("" if options.dtype == "float32" else f"-{options.dtype}")
    draw(KEPT / f"{name}.svg", by_floor | rest, bare_seconds)
    n_texts = sum(len(reading.encoded) for reading in plan.readings)
    n_tokens = sum(len(ids) for reading in plan.readings for ids in reading.encoded)
    assert plan.running_text is not None
    what = "topics and emotions" if options.corpus == "demo" else "AG News"
    more = f" --texts {options.texts} --datasets FOLDER" if options.corpus == "ag_news" else ""
    more += f" --per-concept {options.per_concept}" if options.per_concept else ""
    return Claim(
        name=name,
        title=f"A whole build of {options.model} with {what}, {options.dtype}",
        command=f"python -m benchmarks.speed.build --corpus {options.corpus}{more} --dtype {options.dtype} "
        f"--rounds {options.rounds} --clock {options.clock}",
        text=f"{n_texts:,} labelled texts of {n_tokens:,} tokens and {len(plan.running_text.tokens_E):,} tokens of "
        "running text; decodings of three weights, facts of the weights with 16 nearest neurons, statistics and "
        "intervals, exemplars, gradients. Bare: loading the model, one product with the unembedding a weight, one of "
        "each pair of layers, the forward passes of the same batches, for gradients a backward pass too; nothing is "
        "kept of them, and what gradients are checked by, thousands of passes under edits, has no bare part. "
        f"Medians of {options.rounds} rounds in turn, seconds of "
        f"{'all threads of the processor' if options.clock == 'cpu' else 'the clock'}.",
        machine=machine(packages=("torch", "transformers", "duckdb", "transformer-lens")),
        tables=[
            Table(["phase", "seconds", "bare", "ratio"], rows),
            _rivals(options, plan),
            Table(
                ["what", "value"],
                [["memory that a build adds to a loaded model", f"{peak:.0f} MB"], ["atlas", f"{size / 1e6:.0f} MB"]],
            ),
        ],
        goals=[Goal("build / bare", f"<= {GOAL}", f"{total / least:.2f}", total / least <= GOAL)],
        picture=f"{name}.svg",
    )


def _rivals(options: argparse.Namespace, plan: Plan) -> Table:
    """Other ways to what a few of the statistics are."""
    reading = plan.readings[0]
    work = Work(plan.live, reading.corpus, reading.encoded)
    some = work.every(max(1, len(work.encoded) // 150))
    lens = Lens(plan.live)
    ways = {"bare": lambda: bare(some), "lists": lambda: lists(some), "lens": lambda: lens(some)}
    taken = interleave(ways, options.rounds, clock=CLOCKS[options.clock])
    names = {
        "lists": "lists of activations, then numpy (NeuronLens's way): mean and std only",
        "lens": "TransformerLens run_with_cache, then the same",
    }
    rows = [[said, f"{taken.ratio(name, 'bare'):.2f}"] for name, said in names.items()]
    return Table([f"another way, {len(some.encoded)} texts", "x bare forward pass"], rows)


if __name__ == "__main__":
    main()
