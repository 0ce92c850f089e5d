"""What the newer questions cost: a card with its exemplars, a concept's intervals, the user's own texts, explanations.

Run: python -m benchmarks.speed.newer ATLAS [--rounds 40] [--clock wall]

ATLAS: the demo's, as `make demo` builds it. The model is read from where the atlas says that it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from atlas.live.batching import encode
from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.store.reader import Atlas, open_atlas
from benchmarks.common.bare import forward_passes
from benchmarks.common.claim import Claim, Goal, Table
from benchmarks.common.measure import CLOCKS, Timings, interleave, machine
from builders.attribution.explain import explain
from builders.attribution.request import ExplainRequest, Prompt
from builders.corpora.registry import load_corpus
from builders.fires.question import FiresRequest, fires
from queries.card import neuron_card
from queries.exemplars import exemplars
from queries.neurons import Only, neurons_for_concept

GOALS_MS = {"card without exemplars": 3, "card with exemplars": 5}
GOAL_LIVE, GOAL_BYTES = 1.15, 6000
TOPICS = Path(__file__).parents[2] / "data" / "concepts" / "topics.jsonl"
STEP = 4099
"""From a neuron that is asked for to the next, layers one after the other; a prime number."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("atlas", type=Path)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--live-rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=64, help="that are read live at once")
    parser.add_argument("--clock", default="wall", choices=CLOCKS, help="cpu: of all threads, where others work too")
    options = parser.parse_args()
    clock = CLOCKS[options.clock]
    with open_atlas(options.atlas) as atlas:
        manifest = atlas.manifest
        warm = _warm(atlas, options.rounds, clock)
        live = load(manifest.model_id, dtype="float32")
        texts = load_corpus(str(TOPICS), family=None, limit_per_concept=None, holdout=0.0).texts[: options.texts]
        read = _fires(atlas, live, texts, options.live_rounds, clock)
        explained = _explain(live, texts[:4], options.live_rounds, clock)
    neurons, size = manifest.n_layers * manifest.d_mlp, options.atlas.stat().st_size
    goals = [
        Goal(f"{name}, p50", f"< {most} ms", f"{np.median(warm[name]):.2f} ms", bool(np.median(warm[name]) < most))
        for name, most in GOALS_MS.items()
    ]
    for name, ratio in (("fires", read.ratio("fires", "bare")), ("explain", explained.ratio("explain", "bare"))):
        goals.append(Goal(f"{name} / bare passes", f"<= {GOAL_LIVE}", f"{ratio:.2f}", ratio <= GOAL_LIVE))
    per_neuron = size / neurons
    what = "bytes a neuron, everything but gradients and graphs"
    goals.append(Goal(what, f"<= {GOAL_BYTES}", f"{per_neuron:,.0f}", per_neuron <= GOAL_BYTES))
    Claim(
        name="newer",
        title="What the newer questions cost",
        command=f"python -m benchmarks.speed.newer data/atlases/smollm2-135m.duckdb --clock {options.clock}",
        text=f"The demo's atlas of {neurons:,} neurons. Questions: {options.rounds} different neurons or concepts "
        f"after as many that do not count. Live: {len(texts)} sentences of topics against the forward passes of the "
        "same batches with nothing kept; `explain` of the rule `gradient`, measuring no neuron alone, against the "
        "passes that its columns need (one forward, one forward and backward each for the gradient and for RelP, one "
        f"forward under the edit). Medians of {options.live_rounds} rounds in turn; seconds of "
        f"{'all threads of the processor' if options.clock == 'cpu' else 'the clock'}.",
        machine=machine(packages=("torch", "transformers", "duckdb")),
        tables=[
            Table(
                ["warm, ms", "p50", "p95"],
                [[name, f"{np.median(taken):.2f}", f"{np.percentile(taken, 95):.2f}"] for name, taken in warm.items()],
            ),
            Table(
                ["live", "seconds", "x bare passes"],
                [
                    _row("fires, 10 neurons a token", read, "fires"),
                    _row("their bare passes", read, "bare"),
                    _row("explain, 4 prompts", explained, "explain"),
                    _row("its bare passes", explained, "bare"),
                ],
            ),
        ],
        goals=goals,
    ).write()


def _row(name: str, taken: Timings, way: str) -> list[str]:
    return [name, f"{taken.median(way):.2f}", f"{taken.ratio(way, 'bare'):.2f}"]


def _warm(atlas: Atlas, rounds: int, clock: Callable[[], float]) -> dict[str, np.ndarray]:
    """Milliseconds of each question, [rounds]: another neuron or concept each time, after as many that do not count."""
    manifest, concepts = atlas.manifest, [name for (name,) in atlas.query("SELECT DISTINCT concept FROM concept")[1]]
    places = [divmod(i * STEP % (manifest.n_layers * manifest.d_mlp), manifest.d_mlp) for i in range(2 * rounds)]
    addresses = [f"L{layer}N{neuron}" for layer, neuron in places]
    texts = [exemplars(atlas, each) for each in addresses]
    few = Only(max_leakage=0.1)
    questions: dict[str, Callable[[int], object]] = {
        "card without exemplars": lambda i: neuron_card(atlas, addresses[i], texts=texts[i]),
        "exemplars of a neuron": lambda i: exemplars(atlas, addresses[i]),
        "card with exemplars": lambda i: neuron_card(atlas, addresses[i]),
        "concept, best intervals": lambda i: neurons_for_concept(atlas, concepts[i % len(concepts)]),
        "concept, leakage at most 0.1": lambda i: neurons_for_concept(atlas, concepts[i % len(concepts)], only=few),
    }
    taken = {}
    for name, ask in questions.items():
        seconds = []
        for i in reversed(range(2 * rounds)):
            start = clock()
            ask(i)
            seconds.append(clock() - start)
        taken[name] = 1e3 * np.array(seconds[rounds:])
    return taken


def _fires(atlas: Atlas, live: LiveModel, texts: list[str], rounds: int, clock: Callable[[], float]) -> Timings:
    encoded = encode(live, texts, "{text}", 128).input_ids

    def bare() -> None:
        forward_passes(live, encoded, 2048)

    request = FiresRequest(top=10)
    return interleave({"bare": bare, "fires": lambda: fires(atlas, texts, request, live=live)}, rounds, clock=clock)


def _explain(live: LiveModel, texts: list[str], rounds: int, clock: Callable[[], float]) -> Timings:
    prompts, encoded = [Prompt(text) for text in texts], encode(live, texts, "{text}", 128).input_ids
    embed = live.model.get_input_embeddings()

    def forward(ids: list[int]) -> None:
        with torch.inference_mode():
            live.model(torch.tensor([ids]), logits_to_keep=1, use_cache=False)

    def backward(ids: list[int]) -> None:
        embedded_1TD = embed(torch.tensor([ids])).detach().requires_grad_()
        logits_11V = live.model(inputs_embeds=embedded_1TD, logits_to_keep=1, use_cache=False).logits
        torch.autograd.grad(logits_11V[0, 0, 0], embedded_1TD)

    def bare() -> None:
        for ids in encoded:
            for way in (forward, backward, backward, forward):
                way(ids)

    request = ExplainRequest(rule="gradient", verify=0)
    return interleave({"bare": bare, "explain": lambda: explain(live, prompts, request)}, rounds, clock=clock)


if __name__ == "__main__":
    main()
