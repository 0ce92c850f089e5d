"""How much do edits slow generation? Writes docs/results/edit_overhead.md.

Run: python -m benchmarks.speed.edit_overhead [--model smollm2-135m] [--edits 2000] [--rounds 12] [--device auto]

Decoding with a key-value cache, batch 1, one token a pass, edits spread evenly over all layers. One token is decoded
without edits and with each kind of edit in turn, in an order that rotates, so that a machine that gets slower or
faster in between does so for all. Reported: the median over tokens of time with edits / time without for the same
token, and a 95 % bootstrap interval of that median. Putting up the hooks is not timed.
"""

from __future__ import annotations

import argparse
import platform
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from transformers import DynamicCache

from atlas.live.cache import cache_argument
from atlas.live.intervene import intervene
from atlas.live.loading import load
from atlas.spec.document import Edit, InterventionSpec, Range, Tokenization
from atlas.spec.fields import reference_to

REPORT = Path(__file__).parents[2] / "docs" / "results" / "edit_overhead.md"
PROMPT = "The history of the city begins with a small village by the river, and"
N_NEW = 16
SITES = ("mlp_pre", "mlp_pre_linear", "mlp_post", "resid_post")


def main() -> None:
    options = _options()
    live = load(options.model, device=options.device)
    contexts = {
        "none": nullcontext,
        **{name: _edited(live, spec) for name, spec in _specs(live, options.edits).items()},
    }
    ids = torch.tensor([live.tokenizer(PROMPT)["input_ids"]], device=live.device)
    seconds = {name: [] for name in contexts}
    for round_ in range(-1, options.rounds):  # one round to warm up
        for name, took in _round(live, ids, contexts).items():
            seconds[name] += took if round_ >= 0 else []
    REPORT.write_text(
        _report(live, options, {name: np.array(took) for name, took in seconds.items()}), encoding="utf-8"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--edits", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def _edited(live, spec):
    return lambda: intervene(live, spec)


def _specs(live, n_edits: int) -> dict[str, InterventionSpec]:
    when = Range(-0.5, 0.5)
    kinds = {
        "set 0, in a range": ("mlp_post", "set", 0.0, when, "all"),
        "set 0, any value": ("mlp_post", "set", 0.0, None, "all"),
        "damp, in a range": ("mlp_post", "damp", 0.5, when, "all"),
        "set 0, in a range, positions last": ("mlp_post", "set", 0.0, when, "last"),
        "set 0, in a range, a quarter at each site": (None, "set", 0.0, when, "all"),
    }
    specs = {}
    for name, (site, op, value, bounds, positions) in kinds.items():
        sites = [site] if site else [each for each in SITES if each in live.sites()]
        edits = [
            Edit(
                sites[n % len(sites)],
                n // len(sites) % live.n_layers,
                7 * (n // len(sites) // live.n_layers),  # distinct: 2,000 edits are at most 67 a layer
                op,
                value,
                bounds,
            )
            for n in range(n_edits)
        ]
        specs[name] = InterventionSpec(
            model=reference_to(live),
            tokenization=Tokenization(live.add_bos, False),
            edits=tuple(edits),
            positions=positions,
        )
    return specs


def _round(live, ids, contexts) -> dict[str, list[float]]:
    """Seconds of each of N_NEW tokens by kind of edit; each kind goes on from its own cache."""
    caches, inputs, seconds, names = {}, {}, {}, list(contexts)
    cache_name = cache_argument(live.model.forward)
    for step in range(1 + N_NEW):
        for place in range(len(names)):
            name = names[(step + place) % len(names)]
            caches.setdefault(name, DynamicCache(config=live.model.config))
            mask = torch.ones(1, ids.shape[1] + step, dtype=torch.long, device=live.device)
            with torch.inference_mode(), contexts[name]():
                start = time.perf_counter()
                logits = live.model(
                    input_ids=inputs.get(name, ids), attention_mask=mask, **{cache_name: caches[name]}
                ).logits
                inputs[name] = logits[:, -1:].argmax(-1)
                if live.device.type == "cuda":
                    torch.cuda.synchronize()
                took = time.perf_counter() - start
            if step:  # the first pass reads the prompt
                seconds.setdefault(name, []).append(took)
    return seconds


def _report(live, options: argparse.Namespace, seconds: dict[str, np.ndarray]) -> str:
    dtype = str(live.dtype).removeprefix("torch.")
    machine = torch.cuda.get_device_name() if live.device.type == "cuda" else f"{platform.machine()} CPU"
    lines = [
        "# What edits cost",
        "",
        f"`OMP_NUM_THREADS={torch.get_num_threads()} "
        f"python -m benchmarks.speed.edit_overhead --model {options.model} --edits {options.edits} "
        f"--rounds {options.rounds} --device {options.device}`",
        "",
        f"{live.model_id}, {options.edits} edits over {live.n_layers} layers, {dtype}, "
        f"{machine}, {torch.get_num_threads()} thread(s); key-value cache, batch 1, one token a pass, "
        f"{options.rounds * N_NEW} tokens. Ratio: median over tokens of the time with edits over the time without; "
        "95 % bootstrap interval of that median.",
        "",
        "| edits | ms per token | ratio | interval |",
        "|---|---|---|---|",
    ]
    generator = np.random.default_rng(0)
    for name, took in seconds.items():
        ratios = took / seconds["none"]
        medians = np.median(generator.choice(ratios, (10_000, len(ratios))), axis=1)
        low, high = np.quantile(medians, [0.025, 0.975])
        interval = "" if name == "none" else f"{low:.3f} to {high:.3f}"
        lines.append(f"| {name} | {np.median(took) * 1e3:.2f} | {np.median(ratios):.3f} | {interval} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
