"""A whole build of a random model of a real shape, phase by phase, and what its passes cost over the bare ones.

Run: python -m benchmarks.gpu.whole [--device cuda] [--shape llama-3.1-8b] [--per-concept 1000] [--tokens 200000]

Three builds into one atlas: decodings and concepts (the goal is of this one), exemplars, facts of weights. What is done
is kept after each of them, so that a run that is stopped leaves what it has.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from atlas.live.batching import encode
from atlas.live.loading import load
from atlas.store.reader import open_atlas
from benchmarks.common.bare import forward_pass, forward_passes
from benchmarks.common.claim import Claim, Goal, Table
from benchmarks.common.measure import machine, seconds_of
from benchmarks.common.peaks import product_rate
from benchmarks.common.phases import Phases
from benchmarks.common.random_model import write_corpus, write_model, write_texts
from benchmarks.gpu.pages import KEPT_RATES
from builders.build.inputs import prepare
from builders.build.pipeline import build
from builders.config import BuildConfig, ConceptSource
from builders.corpora.registry import load_corpus
from builders.exemplars.product import PRODUCT as EXEMPLARS
from builders.exemplars.work import FindExemplars

CONCEPTS, TOP = 14, 32
GOAL_S, GOAL_STATISTICS, GOAL_EXEMPLARS = 60, 1.25, 1.1
FORWARD = "activations of corpus"


class Whole:
    """What was measured so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.tables: list[Table] = []
        self.goals: list[Goal] = []
        self.rates: dict[str, Any] = {}
        # A processor may be without bfloat16 instructions, and then takes minutes.
        kind = torch.float32 if options.rehearse else torch.bfloat16
        self.rates["bf16_flops"] = product_rate(options.device, kind)

    def keep(self) -> None:
        """Print what there is; of a rehearsal nothing is kept."""
        options = self.options
        claim = Claim(
            name="gpu-build",
            title=f"A whole build on a GPU, {options.shape}",
            command=f"python -m benchmarks.gpu.whole --device {options.device} --shape {options.shape} "
            f"--per-concept {options.per_concept} --tokens {options.tokens}",
            text=f"A Llama with random weights in bfloat16, {CONCEPTS} concepts of {options.per_concept:,} sentences "
            "as long as the project's own, three weights, both signs; every phase as the command `build` has it. Bare: "
            "the forward passes alone over the same batches, stopped at the last layer's site.",
            machine=machine(options.device, ("torch", "transformers", "duckdb")),
            tables=self.tables,
            goals=self.goals,
        )
        sys.stdout.write(claim.markdown() + "\n")
        sys.stdout.flush()
        if not options.rehearse:
            claim.write()
            KEPT_RATES.parent.mkdir(exist_ok=True)
            KEPT_RATES.write_text(json.dumps(self.rates, indent=1), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shape", default="llama-3.1-8b")
    parser.add_argument("--per-concept", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=200_000, help="of running text")
    parser.add_argument("--batch-tokens", type=int, default=16_384)
    parser.add_argument("--rehearse", action="store_true", help="keep nothing")
    options = parser.parse_args()
    whole = Whole(options)
    whole.rates["device"] = machine(options.device, ())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        took = seconds_of(lambda: write_model(options.shape, folder / "model", options.device), device=options.device)
        sys.stdout.write(f"a random model written in {took:.0f} s\n")
        corpus = write_corpus(folder / "corpus.jsonl", CONCEPTS, options.per_concept)
        texts = write_texts(folder / "texts.jsonl", options.tokens)
        for step in (_decoded_and_fitted, _exemplars, _facts):
            step(whole, folder, corpus, texts)
            whole.keep()


def _decoded_and_fitted(whole: Whole, folder: Path, corpus: Path, texts: Path) -> None:
    config = _config(whole, folder, concepts=(ConceptSource(str(corpus)),), weight_facts=False)
    phases, total, peak = _built(config, "refuse")
    live = load(config.model, device=config.device)
    read = load_corpus(str(corpus), family=None, limit_per_concept=None, holdout=0.0)
    encoded = encode(live, read.texts, "{text}", config.max_tokens).input_ids
    bare = seconds_of(lambda: forward_passes(live, encoded, config.batch_tokens), device=config.device)
    with open_atlas(config.target) as atlas:
        size = config.target.stat().st_size
        neurons = atlas.manifest.n_layers * atlas.manifest.d_mlp
    n_tokens, n_texts = sum(map(len, encoded)), len(encoded)
    statistics = next(seconds for label, seconds in phases.items() if label.startswith("statistics"))
    passes = phases[FORWARD] + statistics
    whole.tables.append(_table("Decodings and concepts", phases, total, peak))
    whole.tables.append(
        Table(
            ["what", "value"],
            [
                ["texts, tokens", f"{n_texts:,}, {n_tokens:,}"],
                ["bare forward passes", f"{bare:.1f} s"],
                ["forward passes with statistics / bare", f"{passes / bare:.2f}"],
                ["bytes a neuron", f"{size / neurons:,.0f}"],
            ],
        )
    )
    whole.goals += [
        Goal("published", f"< {GOAL_S} s", f"{total:.0f} s", total < GOAL_S),
        Goal("statistics / bare", f"<= {GOAL_STATISTICS}", f"{passes / bare:.2f}", passes / bare <= GOAL_STATISTICS),
    ]
    parameters = sum(each.numel() for each in live.model.parameters())
    whole.rates |= {
        "forward_share": 2 * parameters * n_tokens / bare / whole.rates["bf16_flops"],
        "statistic_values": n_texts * neurons / statistics,
        "published_rows": 3 * 2 * TOP * neurons / phases["publishing"],
        "load_bytes": 2 * parameters / phases["loading the model"],
    }
    _free(config.device)


def _exemplars(whole: Whole, folder: Path, corpus: Path, texts: Path) -> None:
    config = _config(whole, folder, texts=(str(texts),), decode=False, max_tokens_total=whole.options.tokens)
    phases, total, peak = _built(config, "add")
    live = load(config.model, device=config.device)
    plan = prepare(config, live, [], [EXEMPLARS])
    assert plan.running_text is not None
    work = FindExemplars(plan, plan.running_text)
    found = [each[1:] for shard in range(len(plan.running_text.shards)) for each in work.batches(shard)]

    bare = seconds_of(lambda: [forward_pass(live, *each) for each in found], device=config.device)
    ours = phases["exemplars"] + phases.get("exemplars, the end", 0.0)
    whole.tables.append(_table("Exemplars", phases, total, peak))
    what = f"exemplars over {len(plan.running_text.tokens_E):,} tokens / bare ({bare:.1f} s)"
    whole.goals.append(Goal(what, f"<= {GOAL_EXEMPLARS}", f"{ours / bare:.2f}", ours / bare <= GOAL_EXEMPLARS))
    _free(config.device)


def _facts(whole: Whole, folder: Path, corpus: Path, texts: Path) -> None:
    config = _config(whole, folder, decode=False, weight_facts=True)
    whole.tables.append(_table("Facts of the weights, nearest neurons", *_built(config, "add")))


def _config(whole: Whole, folder: Path, **fields: Any) -> BuildConfig:
    options = whole.options
    return BuildConfig(
        str(folder / "model"),
        folder / "atlas.duckdb",
        device=options.device,
        batch_tokens=options.batch_tokens,
        **fields,
    )


def _built(config: BuildConfig, existing: str) -> tuple[dict[str, float], float, float]:
    """(seconds of each phase, of all, peak GB of the device's memory)."""
    on_gpu = config.device.startswith("cuda")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    phases = Phases(config.device)
    total = seconds_of(lambda: build(config, existing=existing, progress=phases), device=config.device)
    _free(config.device)
    return phases.seconds, total, torch.cuda.max_memory_allocated() / 1e9 if on_gpu else float("nan")


def _table(title: str, phases: dict[str, float], total: float, peak: float) -> Table:
    rows = [[label, f"{seconds:.2f}"] for label, seconds in phases.items()]
    rows += [["all", f"{total:.2f}"], ["peak memory of the device, GB", f"{peak:.1f}"]]
    return Table(["phase", "seconds"], rows, title)


def _free(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
