"""Exact top-k against the bare matrix product and against float32 `topk(W @ U.T)`.

Run: python -m benchmarks.speed.topk [--device cuda] [--shape NAME ...] [--rounds 3] [--top 32] [--threads 0]
     [--clock cpu]

Random weights at the shapes of real models, as bfloat16 values (what checkpoints hold) and as float32 values (what a
dequantised or rescaled checkpoint holds), logits about 0.4 wide like those of SmolLM2. Every result is compared with
the float64 definition on a few neurons. On a GPU the whole model is timed as well: every layer of three weights.
`--clock cpu` counts processor time of all threads, for a machine with other work to do.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from functools import partial

import torch

from benchmarks.common.claim import Claim, Goal, Table
from benchmarks.common.measure import Timings, interleave, machine, seconds_of
from benchmarks.common.peaks import product_rate
from builders.decoding.topk.reference import reference_top
from builders.decoding.topk.top import top_tokens
from builders.decoding.topk.vocabulary import Vocabulary

SHAPES = {  # neurons of a layer, d_model, vocabulary
    "smollm2-135m": (1536, 576, 49152),
    "smollm2-360m": (2560, 960, 49152),
    "llama-3.2-1b": (1024, 2048, 128256),  # an eighth of a layer
    "llama-3.1-8b": (14336, 4096, 128256),
    "small": (512, 256, 16000),
    "tiny": (128, 64, 4096),
}
LAYERS = {"llama-3.1-8b": 32}
WIDTH = 0.4  # standard deviation of the logits
CHECKED = 32  # neurons compared with the definition
BARE, EXACT, NAIVE = "bare bfloat16 product", "exact, both signs, log-sum-exp", "float32 topk(W @ U.T), one sign"
ONCE = "exact, U prepared anew"


@dataclass(frozen=True)
class Case:
    """What one shape with one kind of weights took."""

    shape: str
    kind: str
    timings: Timings
    equal: bool
    lse_error: float
    prepared: float


def main() -> None:
    options = _options()
    if options.threads:
        torch.set_num_threads(options.threads)
    rate = product_rate(options.device, torch.float32 if options.rehearse else torch.bfloat16)
    cases = [_case(name, kind, options) for name in options.shape for kind in ("bfloat16", "float32")]
    tables = [_times(cases, rate), _checks(cases)]
    goals = _goals(cases)
    for name in options.shape if options.device != "cpu" else ():
        if name in LAYERS:
            goals += _model_goals(name, options)
    flags = "" if options.device == "cpu" else f" --device {options.device} --shape {' '.join(options.shape)}"
    suffix = "" if options.device == "cpu" else "_gpu"
    claim = Claim(
        name="topk" + suffix,
        title="Exact top-k decoding" + " on a GPU" * bool(suffix),
        command=f"python -m benchmarks.speed.topk{flags} --rounds {options.rounds}",
        text=f"The top {options.top} tokens of both signs with exact logits and log-sum-exp, against the bare product "
        f"`W @ U.T` in bfloat16 and, on a processor, `topk(W @ U.T)` in float32 for one sign. Medians of "
        f"{options.rounds} rounds in turn, ratios within a round. The floor is 2·neurons·d_model·vocabulary operations "
        f"at the measured {rate / 1e12:.2f} Tflop/s of a large bfloat16 product.",
        machine=machine(options.device, ("torch", "numpy")),
        tables=tables,
        goals=goals,
    )
    sys.stdout.write(claim.markdown()) if options.rehearse else claim.write()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    default = ["smollm2-135m", "smollm2-360m", "llama-3.2-1b"]
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=default)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--top", type=int, default=32)
    parser.add_argument("--threads", type=int, default=0, help="of torch on a processor; 0 leaves its choice")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--rehearse", action="store_true", help="keep nothing")
    return parser.parse_args()


def _weights(name: str, kind: str, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    n, d_model, n_vocab = SHAPES[name]
    generator = torch.Generator(device).manual_seed(0)
    w_ND = torch.randn(n, d_model, generator=generator, device=device) * (WIDTH / d_model**0.5)
    u_VD = torch.randn(n_vocab, d_model, generator=generator, device=device)
    return (w_ND.bfloat16().float(), u_VD.bfloat16().float()) if kind == "bfloat16" else (w_ND, u_VD)


def _case(name: str, kind: str, options: argparse.Namespace) -> Case:
    w_ND, u_VD = _weights(name, kind, options.device)
    k, vocabulary = options.top, Vocabulary(u_VD)
    prepared = seconds_of(vocabulary.prepare, device=options.device)
    low_ND, low_VD = w_ND.bfloat16(), u_VD.bfloat16()
    ways = {BARE: lambda: low_ND @ low_VD.T, EXACT: lambda: top_tokens(w_ND, vocabulary, k)}
    if options.device == "cpu":  # on a GPU the whole product of a layer would not fit beside its copies
        ways[NAIVE] = lambda: (w_ND @ u_VD.T).topk(k, dim=1)
        ways[ONCE] = lambda: top_tokens(w_ND, u_VD, k)
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    timings = interleave(ways, options.rounds, clock=clock, device=options.device)
    found, true = top_tokens(w_ND, vocabulary, k), reference_top(w_ND[:CHECKED], u_VD, k)
    names = ("raised_token_NK", "raised_logit_NK", "lowered_token_NK", "lowered_logit_NK")
    equal = all(torch.equal(getattr(found, name)[:CHECKED], getattr(true, name)) for name in names)
    sums = ("raised_lse_N", "lowered_lse_N")
    error = max(float((getattr(found, name)[:CHECKED] - getattr(true, name)).abs().max()) for name in sums)
    return Case(name, kind, timings, equal, error, prepared)


def _times(cases: list[Case], rate: float) -> Table:
    columns = ["shape, weights", "way", "seconds", "× bare product", "× faster than float32 topk", "× floor"]
    rows = []
    for case in cases:
        n, d_model, n_vocab = SHAPES[case.shape]
        floor = 2 * n * d_model * n_vocab / rate
        for way in case.timings.seconds:
            faster = f"{1 / case.timings.ratio(way, NAIVE):.2f}" if NAIVE in case.timings.seconds else ""
            seconds = case.timings.median(way)
            against = [f"{case.timings.ratio(way, BARE):.2f}", faster, f"{seconds / floor:.2f}"]
            rows.append([f"{case.shape}, {case.kind}", way, f"{seconds:.3f}", *against])
    return Table(columns, rows)


def _checks(cases: list[Case]) -> Table:
    columns = ["shape, weights", "neurons × d_model × vocabulary", "equal to float64", "error of lse", "seconds per U"]
    rows = [
        [
            f"{case.shape}, {case.kind}",
            " × ".join(map(str, SHAPES[case.shape])),
            "yes" if case.equal else "**no**",
            f"{case.lse_error:.0e}",
            f"{case.prepared:.2f}",
        ]
        for case in cases
    ]
    return Table(columns, rows, f"Checked on {CHECKED} neurons; U is prepared once for all matrices of a model.")


def _goals(cases: list[Case]) -> list[Goal]:
    equal = sum(case.equal for case in cases)
    what = "tokens and logits equal the float64 definition"
    goals = [Goal(what, f"{len(cases)} cases", f"{equal} cases", equal == len(cases))]
    for case in cases:
        name, times = f"{case.shape}, {case.kind}", case.timings
        bare = times.ratio(EXACT, BARE)
        goals.append(Goal(f"{name}: time over the bare product", "≤ 1.3", f"{bare:.2f}", bare <= 1.3))
        if NAIVE in times.seconds:
            faster = 1 / times.ratio(EXACT, NAIVE)
            goals.append(Goal(f"{name}: faster than float32 topk", "≥ 4", f"{faster:.2f}", faster >= 4))
    return goals


def _model_goals(name: str, options: argparse.Namespace) -> list[Goal]:
    """All layers of one weight, and of three, with fresh random weights for each; making them is not counted."""
    n, d_model, n_vocab = SHAPES[name]
    generator = torch.Generator(options.device).manual_seed(1)

    def random(rows: int) -> torch.Tensor:
        return torch.randn(rows, d_model, generator=generator, device=options.device, dtype=torch.bfloat16)

    vocabulary = Vocabulary(random(n_vocab))
    top_tokens(random(n), vocabulary, options.top)
    layer = []
    for _ in range(3 * LAYERS[name]):
        w_ND = random(n) * (WIDTH / d_model**0.5)
        layer.append(seconds_of(partial(top_tokens, w_ND, vocabulary, options.top), device=options.device))
    one, three = sum(layer[: LAYERS[name]]), sum(layer)
    return [
        Goal(f"{name}: {LAYERS[name]} layers of one weight, both signs", "< 1 s", f"{one:.2f} s", one < 1),
        Goal(f"{name}: three weights, both signs, without the file", "< 20 s", f"{three:.2f} s", three < 20),
    ]


if __name__ == "__main__":
    main()
