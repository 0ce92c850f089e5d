"""How a build, its file and its questions grow with neurons, concepts, texts and corpora.

Run: python -m benchmarks.speed.growth [--axis neurons ...] [--texts 1000 10000 100000 ...]

A random Llama, labelled texts drawn from words of the project's own; one axis grows, the others stay. Times of builds
are of the processor, all threads. The exponent is that of a power law through the last two points: 1 is linear.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from atlas.store.reader import open_atlas
from benchmarks.common.claim import Claim, Goal, Table
from benchmarks.common.measure import machine
from benchmarks.common.phases import Phases, memory_added
from benchmarks.common.random_model import SHAPES, sentences, write_model
from builders.build.pipeline import build
from builders.config import BuildConfig, ConceptSource
from queries.card import neuron_card
from queries.neurons import neurons_for_concept

N_LAYERS, QUESTIONS = 4, 20
MOST = 1.2
"""Exponents beyond this are no longer about linear."""
DEFAULTS = {
    "neurons": [256, 1024, 4096],
    "concepts": [10, 100, 1000],
    "texts": [1000, 10_000, 100_000],
    "corpora": [1, 10, 50],
}
"""Of each axis the sizes; of neurons, the widths of a layer."""
MORE = {
    "neurons": ", the decodings of three weights into 4,096 tokens. Facts of the weights grow with the square of the "
    "neurons, as each is compared with all for its nearest ones, exactly; `--neighbours 0` leaves these out.",
}


@dataclass(frozen=True)
class Size:
    """What is built: neurons of a layer, corpora, concepts of each, texts of each of these."""

    width: int
    corpora: int
    concepts: int
    texts: int
    decode: bool = False

    def of(self, axis: str) -> int:
        """How much there is of it in all."""
        concepts = self.corpora * self.concepts
        return {
            "neurons": N_LAYERS * self.width,
            "corpora": self.corpora,
            "concepts": concepts,
            "texts": concepts * self.texts,
        }[axis]


@dataclass(frozen=True)
class Point:
    """What one size took: seconds by phase, peak MB, bytes, milliseconds of a card and of a concept."""

    size: Size
    phases: dict[str, float]
    memory: float
    n_bytes: int
    card: float
    concept: float

    @property
    def seconds(self) -> float:
        """Of the whole build."""
        return sum(self.phases.values())


def main() -> None:
    options = _options()
    axes = {
        "neurons": [Size(width, 1, 10, 20, decode=True) for width in options.widths],
        "concepts": [Size(128, 1, concepts, 10) for concepts in options.concepts],
        "texts": [Size(64, 1, 10, texts // 10) for texts in options.texts],
        "corpora": [Size(128, corpora, 4, 10) for corpora in options.corpora],
    }
    for axis in options.axis:
        _claim(axis, [_point(size) for size in axes[axis]]).write()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--axis", nargs="+", default=list(DEFAULTS), choices=DEFAULTS)
    parser.add_argument("--widths", nargs="+", type=int, default=DEFAULTS["neurons"], help="neurons of a layer")
    parser.add_argument("--concepts", nargs="+", type=int, default=DEFAULTS["concepts"])
    parser.add_argument("--texts", nargs="+", type=int, default=DEFAULTS["texts"], help="a million: half an hour")
    parser.add_argument("--corpora", nargs="+", type=int, default=DEFAULTS["corpora"])
    return parser.parse_args()


def _point(size: Size) -> Point:
    sys.stderr.write(f"{size}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shape = {**SHAPES["tiny"], "intermediate_size": size.width, "num_hidden_layers": N_LAYERS}
        write_model(shape, folder / "model", "cpu", torch.float32)
        config = BuildConfig(
            str(folder / "model"),
            folder / "a.duckdb",
            concepts=tuple(ConceptSource(str(_corpus(folder, size, each))) for each in range(size.corpora)),
            decode=size.decode,
        )
        phases = Phases(clock=time.process_time)
        memory = memory_added(lambda: build(replace(config), progress=phases))
        with open_atlas(config.target) as atlas:
            concepts = [name for (name,) in atlas.query("SELECT concept FROM concept ORDER BY concept_id")[1]]
            card = _median(lambda i: neuron_card(atlas, f"L{i % N_LAYERS}N{i % size.width}"))
            concept = _median(lambda i: neurons_for_concept(atlas, concepts[i * 7 % len(concepts)]))
        point = Point(size, phases.seconds, memory, config.target.stat().st_size, card, concept)
        shutil.rmtree(folder / "model")
    return point


def _corpus(folder: Path, size: Size, index: int) -> Path:
    """Texts of about twelve words, those of a concept mostly of its own twenty."""
    draw, words = random.Random(index), sorted({word for text, _ in sentences() for word in text.split()})
    path = folder / f"corpus{index}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for concept in range(size.concepts):
            own = draw.sample(words, 20)
            for _ in range(size.texts):
                text = " ".join(draw.choices(own, k=8) + draw.choices(words, k=4))
                file.write(json.dumps({"text": text, "concept": f"c{index} {concept}"}) + "\n")
    return path


def _median(ask: Callable[[int], object]) -> float:
    """Milliseconds of a question by the clock, after as many that do not count."""
    for i in range(QUESTIONS):
        ask(i)
    taken = []
    for i in range(QUESTIONS):
        start = time.perf_counter()
        ask(i)
        taken.append(time.perf_counter() - start)
    return 1e3 * float(np.median(taken))


def _claim(axis: str, found: list[Point]) -> Claim:
    rows, goals = [], []
    for point in found:
        phases = sorted(point.phases.items(), key=lambda item: -item[1])[:2]
        rows.append(
            [
                f"{point.size.of(axis):,}",
                f"{point.seconds:.1f}",
                "; ".join(f"{label} {taken:.1f}" for label, taken in phases),
                f"{point.memory:.0f}",
                f"{point.n_bytes / 1e6:.1f}",
                f"{point.card:.1f}",
                f"{point.concept:.1f}",
            ]
        )
    last = found[-2:]
    if len(last) == 2:
        exponents = {
            "build": _exponent(axis, last, [each.seconds for each in last]),
            "file": _exponent(axis, last, [each.n_bytes for each in last]),
            "card": _exponent(axis, last, [each.card for each in last]),
            "concept": _exponent(axis, last, [each.concept for each in last]),
        }
        shown = [f"{exponents[name]:.2f}" for name in ("build", "file", "card", "concept")]
        rows.append(["exponent", shown[0], "", "", *shown[1:]])
        worst = max(exponents, key=lambda name: exponents[name])
        what = f"exponent with {axis}, the largest ({worst})"
        goals.append(Goal(what, f"<= {MOST}", f"{exponents[worst]:.2f}", exponents[worst] <= MOST))
    columns = [axis, "build, s", "most of it in", "memory added, MB", "file, MB", "card, ms", "concept, ms"]
    return Claim(
        name=f"growth-{axis}",
        title=f"How everything grows: {axis}",
        command=f"python -m benchmarks.speed.growth --axis {axis}{_option(axis, found)}",
        text=f"A random Llama of {N_LAYERS} layers and d_model 64, {_rest(axis, found[0].size)}; statistics, "
        f"intervals, chance by 200 permutations{MORE.get(axis, '.')} Seconds are of the processor, all threads, "
        "milliseconds of the clock; memory beside what the process had. The exponent is of the last two points.",
        machine=machine(packages=("torch", "duckdb")),
        tables=[Table(columns, rows)],
        goals=goals,
    )


def _option(axis: str, found: list[Point]) -> str:
    """The sizes, where others were asked for than those of a run without options."""
    sizes = [point.size.width if axis == "neurons" else point.size.of(axis) for point in found]
    if sizes == DEFAULTS[axis]:
        return ""
    return f" --{'widths' if axis == 'neurons' else axis} {' '.join(map(str, sizes))}"


def _exponent(axis: str, points: list[Point], values: list[float]) -> float:
    sizes = [point.size.of(axis) for point in points]
    return math.log(values[1] / values[0]) / math.log(sizes[1] / sizes[0])


def _rest(axis: str, size: Size) -> str:
    said = {
        "neurons": f"{N_LAYERS * size.width:,} neurons",
        "corpora": f"{size.corpora} corpora" if size.corpora > 1 else "one corpus",
        "concepts": f"{size.concepts} concepts a corpus",
        "texts": f"{size.texts} texts a concept",
    }
    return ", ".join(text for name, text in said.items() if name != axis)


if __name__ == "__main__":
    main()
