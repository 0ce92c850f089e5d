"""Clamp the neurons of a word and ask questions, for benchmarks/flash/main.py: development, test and control."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from atlas.live.intervene import intervene
from atlas.live.model import LiveModel
from atlas.sites import format_neuron
from atlas.spec.document import InterventionSpec
from atlas.store.reader import Atlas
from benchmarks.flash.concepts import Concept
from benchmarks.flash.sampling import losses, sample
from benchmarks.flash.statistics import distinct_share, speaks_of
from queries.neurons import neurons_for_token
from queries.specs.make_spec import make_spec

TOP = 5
VALUES = {"down_proj": (5, 6, 7, 8, 10, 20, 40), "up_proj": (3, 10, 30)}
MAX_PERPLEXITY = 2.0  # times the unedited model's, on the development questions
MIN_DISTINCT = 0.8  # times the unedited model's
DEVELOPMENT_SEEDS = range(1000, 1004)
CONTROL_DRAWS = 4


def candidates(atlas: Atlas, concept: Concept) -> dict[str, InterventionSpec]:
    """The clamps to choose from: name -> spec."""
    return {
        f"{weight} {value}": make_spec(atlas, token=list(concept.query), weight=weight, op=f"set={value}", top=TOP)
        for weight, values in VALUES.items()
        for value in values
    }


def random_neurons(atlas: Atlas, concept: Concept, spec: InterventionSpec, draw: int) -> InterventionSpec:
    """The spec with every neuron replaced by a random one of its layer that holds no form of the word."""
    found = neurons_for_token(atlas, list(concept.query), limit=2**31 - 2)
    taken = {(row["layer"], row["neuron"]) for row in found}
    generator = random.Random(f"{concept.name} {draw}")
    edits = []
    for edit in spec.edits:
        free = [n for n in range(atlas.manifest.d_mlp) if (edit.layer, n) not in taken]
        neuron = generator.choice(free)
        taken.add((edit.layer, neuron))
        edits.append(replace(edit, neuron=neuron))
    return replace(spec, edits=tuple(edits), source={})


def choose(development: dict[str, dict[str, Any]]) -> str:
    """The clamp with the largest share among those within both fluency bounds; ties go to the lower perplexity.

    Where none is within them, the one with the lowest perplexity.
    """
    base = development["none"]
    arms = {name: arm for name, arm in development.items() if name != "none"}
    fluent = {
        name: arm
        for name, arm in arms.items()
        if arm["perplexity"] <= MAX_PERPLEXITY * base["perplexity"]
        and arm["distinct"] >= MIN_DISTINCT * base["distinct"]
    }
    if not fluent:
        return min(arms, key=lambda name: arms[name]["perplexity"])
    return max(fluent, key=lambda name: (fluent[name]["share"], -fluent[name]["perplexity"]))


def run_concept(
    live: LiveModel, atlas: Atlas, concept: Concept, folder: Path, *, n_seeds: int, scored: int, n_new: int
) -> None:
    """Every arm of a concept into `folder`, one JSON file an arm; arms already there are kept."""
    specs = candidates(atlas, concept)

    def arm(name: str, questions: tuple[str, ...], seeds: range, spec: InterventionSpec | None, n_scored: int):
        return _cached(folder / f"{name}.json", lambda: _arm(live, concept, questions, seeds, spec, n_scored, n_new))

    development = {}
    for name, spec in {"none": None, **specs}.items():
        raw = arm(f"development {name}", concept.development, DEVELOPMENT_SEEDS, spec, len(DEVELOPMENT_SEEDS))
        development[name] = summary(raw)
    chosen = choose(development)
    spec = specs[chosen]
    _cached(folder / "chosen.json", lambda: {"name": chosen, "edits": described(spec)})
    for name, of_arm in (("before", None), ("after", spec)):
        arm(f"test {name}", concept.test, range(n_seeds), of_arm, scored)
    for draw in range(CONTROL_DRAWS):
        part = range(draw * n_seeds // CONTROL_DRAWS, (draw + 1) * n_seeds // CONTROL_DRAWS)
        control = random_neurons(atlas, concept, spec, draw)
        arm(f"test control {draw}", concept.test, part, control, -(-scored // CONTROL_DRAWS))


def described(spec: InterventionSpec) -> list[str]:
    """Site, address and value of every edit."""
    return [f"{edit.site} {format_neuron(edit.layer, edit.neuron)} = {edit.value:g}" for edit in spec.edits]


def summary(raw: dict[str, Any]) -> dict[str, float]:
    """Share, near share, perplexity and distinct share of a raw arm."""
    texts = [answer["text"] for answer in raw["answers"]]
    measured = [answer for answer in raw["answers"] if answer["loss"] is not None]
    return {
        "share": float(np.mean([answer["hit"] for answer in raw["answers"]])),
        "near": float(np.mean([answer["near"] for answer in raw["answers"]])),
        "perplexity": float(
            np.exp(sum(answer["loss"] for answer in measured) / sum(answer["tokens"] for answer in measured))
        ),
        "distinct": distinct_share(texts),
    }


def _arm(
    live: LiveModel,
    concept: Concept,
    questions: tuple[str, ...],
    seeds: range,
    spec: InterventionSpec | None,
    n_scored: int,
    n_new: int,
) -> dict[str, Any]:
    """Raw answers of one arm; the first `n_scored` seeds of every question are scored for perplexity."""
    # The weights may be rounded to another dtype than those that the atlas was built from.
    edits = nullcontext() if spec is None else intervene(live, spec, override_model=True)
    answers = sample(live, questions, seeds, n_new, edits)
    measured = [answer for answer in answers if answer.seed in seeds[:n_scored]]
    found = dict(zip(((a.question, a.seed) for a in measured), losses(live, questions, measured), strict=True))
    rows = [
        {
            "question": answer.question,
            "seed": answer.seed,
            "text": answer.text,
            "tokens": len(answer.ids),
            "hit": speaks_of(answer.text, concept.words),
            "near": speaks_of(answer.text, concept.near),
            "loss": found.get((answer.question, answer.seed)),
        }
        for answer in answers
    ]
    return {"answers": rows, "edits": [] if spec is None else described(spec)}


def _cached(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(make()), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))
