"""Exact top-k against the bare matrix product. Writes docs/results/topk.md on a processor, topk_gpu.md on a GPU.

Run: python benchmarks/topk.py [--device cpu] [--shape NAME ...] [--rounds 7] [--threads 2] [--clock cpu]

Random weights at the shapes of real models, as bfloat16 values (what checkpoints hold) and as float32 values (what a
dequantised or rescaled checkpoint holds), logits about 0.4 wide like those of SmolLM2. In every round each way runs
once, in an order that rotates. Reported: medians, and the median over rounds of the ratio within a round. The first
round of each is not counted. Every result is checked against the definition on a few neurons.

The bare product is the floor. `--clock cpu` counts processor time of all threads instead of the wall's: for a machine
with other work to do, best with one thread.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from builders.topk.chunked import chunked_top
from builders.topk.reference import reference_top
from builders.topk.top import top_tokens
from builders.topk.vocabulary import Vocabulary

RESULTS = Path(__file__).parents[1] / "docs" / "results"
SHAPES = {  # neurons of a layer, d_model, vocabulary
    "smollm2-135m": (1536, 576, 49152),
    "smollm2-360m": (2560, 960, 49152),
    "llama-3.2-1b": (1024, 2048, 128256),  # an eighth of a layer
    "llama-3.1-8b": (14336, 4096, 128256),
    "small": (512, 256, 16000),
}
LAYERS = {"llama-3.1-8b": 32}
WIDTH = 0.4  # standard deviation of the logits
CHECKED = 32  # neurons compared with the definition


def main() -> None:
    options = _options()
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    if options.threads:
        torch.set_num_threads(options.threads)
    rows = []
    for name in options.shape:
        for kind in ("bfloat16", "float32"):
            rows += _measure(name, kind, options, clock)
    report = RESULTS / ("topk.md" if options.device == "cpu" else "topk_gpu.md")
    report.write_text(_report(rows, options))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=["smollm2-135m", "smollm2-360m"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--top", type=int, default=32)
    parser.add_argument("--threads", type=int, default=0, help="of torch on a processor; 0 leaves its choice")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    return parser.parse_args()


def _weights(name: str, kind: str, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    n, d_model, n_vocab = SHAPES[name]
    generator = torch.Generator(device).manual_seed(0)
    w_ND = torch.randn(n, d_model, generator=generator, device=device) * (WIDTH / d_model**0.5)
    u_VD = torch.randn(n_vocab, d_model, generator=generator, device=device)
    return (w_ND.bfloat16().float(), u_VD.bfloat16().float()) if kind == "bfloat16" else (w_ND, u_VD)


def _measure(name: str, kind: str, options: argparse.Namespace, clock: Callable[[], float]) -> list[dict[str, object]]:
    w_ND, u_VD = _weights(name, kind, options.device)
    k, vocabulary = options.top, Vocabulary(u_VD)
    low_ND, low_VD = w_ND.bfloat16(), u_VD.bfloat16()
    prepared = _seconds(lambda: top_tokens(w_ND[:1], vocabulary, k), options.device, clock)
    ways: dict[str, Callable[[], object]] = {
        "bare bfloat16 product": lambda: low_ND @ low_VD.T,
        "exact top-k, both signs": lambda: top_tokens(w_ND, vocabulary, k),
        "bare float32 product": lambda: w_ND @ u_VD.T,
        "float32 topk(W @ U.T), one sign": lambda: (w_ND @ u_VD.T).topk(k, dim=1),
        "float32 chunked, both signs": lambda: chunked_top(w_ND, u_VD, k),
    }
    if options.device != "cpu":  # the whole product of a layer would not fit beside its copies
        ways = {way: ways[way] for way in list(ways)[:2]}
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(options.rounds + 1):
        names = list(ways)
        for way in names[turn % len(names) :] + names[: turn % len(names)]:
            taken[way].append(_seconds(ways[way], options.device, clock))
    seconds = {way: np.array(values[1:]) for way, values in taken.items()}
    checks = _checks(w_ND, u_VD, vocabulary, k)
    bare, slow = seconds["bare bfloat16 product"], seconds.get("float32 topk(W @ U.T), one sign")
    return [
        {
            "shape": name,
            "weights": kind,
            "way": way,
            "seconds": np.median(values),
            "bare": np.median(values / bare),
            "faster": None if slow is None else np.median(slow / values),
            "prepared": prepared,
            **checks,
        }
        for way, values in seconds.items()
    ]


def _seconds(call: Callable[[], object], device: str, clock: Callable[[], float]) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    start = clock()
    call()
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - start


def _checks(w_ND: torch.Tensor, u_VD: torch.Tensor, vocabulary: Vocabulary, k: int) -> dict[str, object]:
    """Is the result the definition's, and how far is log-sum-exp from float64?"""
    found, true = top_tokens(w_ND, vocabulary, k), reference_top(w_ND[:CHECKED], u_VD, k)
    equal = all(
        torch.equal(getattr(found, name)[:CHECKED], getattr(true, name))
        for name in ("raised_token_NK", "raised_logit_NK", "lowered_token_NK", "lowered_logit_NK")
    )
    error = max(
        float((getattr(found, name)[:CHECKED] - getattr(true, name)).abs().max())
        for name in ("raised_lse_N", "lowered_lse_N")
    )
    return {"equal": equal, "lse": error}


def _report(rows: list[dict[str, object]], options: argparse.Namespace) -> str:
    shapes = " ".join(options.shape)
    extra = f" --threads {options.threads}" * bool(options.threads) + " --clock cpu" * (options.clock == "cpu")
    machine = _machine(options.device)
    clock = "seconds" if options.clock == "wall" else "seconds of processor time"
    lines = [
        "# Exact top-k and the bare product",
        "",
        f"`python benchmarks/topk.py --device {options.device} --shape {shapes} --rounds {options.rounds}{extra}`",
        "",
        f"{machine}; top {options.top}.",
        f"Medians of {options.rounds} interleaved rounds; ratios are medians of the ratio within a round. A bare",
        "product allocates its result, as `W @ U.T` does. The exact top-k includes both signs and log-sum-exp.",
        "",
        f"| shape | weights | way | {clock} | x bare bfloat16 product | x faster than float32 topk |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        faster = "" if row["faster"] is None else f"{row['faster']:.2f}"
        cells = f"{row['seconds']:.4f} | {row['bare']:.2f} | {faster}"
        lines.append(f"| {row['shape']} | {row['weights']} | {row['way']} | {cells} |")
    lines += ["", "| shape | weights | neurons x d_model x vocabulary | equal to float64 | error of lse | once per U |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in rows:
        if row["way"] == "bare bfloat16 product":
            sizes = " x ".join(map(str, SHAPES[row["shape"]]))
            equal, once = "yes" if row["equal"] else "NO", f"{row['prepared']:.3f} s"
            lines.append(f"| {row['shape']} | {row['weights']} | {sizes} | {equal} | {row['lse']:.0e} | {once} |")
    for row in rows:
        if row["shape"] in LAYERS and row["way"].startswith("exact"):
            total = LAYERS[row["shape"]] * row["seconds"]
            lines += ["", f"{LAYERS[row['shape']]} layers of {row['shape']} ({row['weights']}): {total:.2f} s."]
    return "\n".join(lines) + "\n"


def _machine(device: str) -> str:
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    if device != "cpu":
        import triton

        return f"{torch.cuda.get_device_name()}, {versions}, Triton {triton.__version__}"
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    return (
        f"{model.partition(':')[2].strip() or platform.machine()}, {torch.get_num_threads()} thread(s) of "
        f"{os.cpu_count()}, load {os.getloadavg()[0]:.1f} at the end, {versions}"
    )


if __name__ == "__main__":
    main()
