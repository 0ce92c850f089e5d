"""Would torch.compile make the search for the top tokens faster, where the product is float32?

Run: python -m benchmarks.speed.compiled [--shape NAME ...] [--rounds 5] [--clock cpu]

A processor without bfloat16 instructions searches float32 logits (builders/decoding/topk/chunked.py). After the
product it reads all logits for the largest and smallest of each block and for the log-sum-exp of both signs: that pass
is what a compiler could make one loop of. Compared: the bare product; the pass alone as it is and compiled, which reads
the same logits and finds the same numbers; and the whole search. What the compiler takes once is said beside.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch

from benchmarks.common.claim import Claim, Goal, Table
from benchmarks.common.measure import CLOCKS, interleave, machine
from benchmarks.speed.topk import SHAPES, WIDTH
from builders.decoding.topk.chunked import chunked_top, products

TOP = 32
MEMORY = 1 << 27
BLOCK = 64  # tokens whose largest and smallest logit are kept
CACHED = 1 << 21  # bytes of logits that stay in the cache
BARE, PASS, COMPILED, WHOLE = "bare float32 product", "the pass, eager", "the pass, compiled", "exact search, whole"
GOAL, PAYS = 1.3, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = ["smollm2-135m", "smollm2-360m", "llama-3.2-1b"]
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=default)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: of all threads, where others work too")
    options = parser.parse_args()
    rows, goals = [], []
    for shape in options.shape:
        timings, seconds = measure(shape, options.rounds, CLOCKS[options.clock])
        for way in (BARE, PASS, COMPILED, WHOLE):
            rows.append([shape, way, f"{timings.median(way):.3f}", f"{timings.ratio(way, BARE):.3f}"])
        rows[-2][1] += f" ({seconds:.0f} s to compile)"
        ratio = timings.ratio(WHOLE, BARE)
        goals.append(Goal(f"{shape}: time over the bare product", f"<= {GOAL}", f"{ratio:.2f}", ratio <= GOAL))
    text = (
        "The top 32 tokens of both signs and their log-sum-exp by float32 products, on a processor without bfloat16 "
        "instructions; medians of rounds in turn, ratios within a round. The pass over the logits is the part that a "
        "compiler could make faster (torch.compile, Inductor's C++): a compiled one is used only if it saves more than "
        f"{PAYS:.0%} of the product, for each new shape costs the seconds that are said and needs a C++ compiler where "
        "it runs."
    )
    command = f"python -m benchmarks.speed.compiled --rounds {options.rounds} --clock {options.clock}"
    table = Table(["shape", "way", "seconds", "× bare product"], rows)
    Claim("compiled", "Exact top-k in float32, eager and compiled", command, text, machine(), [table], goals).write()


def measure(shape: str, rounds: int, clock: Callable[[], float]):
    """Timings of the ways, and the seconds that the compiler took."""
    n_neurons, d_model, n_vocab = SHAPES[shape]
    torch.manual_seed(0)
    w_ND, u_VD = torch.randn(n_neurons, d_model), torch.randn(n_vocab, d_model) * (WIDTH / d_model**0.5)
    n = min(n_neurons, MEMORY // (4 * (n_vocab + BLOCK)))
    logits_nV = torch.mm(w_ND[:n], u_VD.T)
    assert n_vocab % BLOCK == 0
    compiled = torch.compile(_fused, dynamic=False)
    begun = time.perf_counter()
    got = compiled(logits_nV)
    seconds = time.perf_counter() - begun
    for mine, theirs in zip(_eager(logits_nV), got, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
    times = -(-n_neurons // n)
    ways = {
        BARE: lambda: [None for _ in products(w_ND, u_VD, MEMORY)],
        PASS: partial(_repeat, _eager, logits_nV, times),
        COMPILED: partial(_repeat, compiled, logits_nV, times),
        WHOLE: partial(chunked_top, w_ND, u_VD, TOP, MEMORY),
    }
    return interleave(ways, rounds, clock=clock), seconds


def _repeat(work: Callable[[torch.Tensor], object], logits_nV: torch.Tensor, times: int) -> None:
    for _ in range(times):
        work(logits_nV)


def _eager(logits_nV: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """(largest, smallest) of each block, and log-sum-exp of both signs, as the search finds them."""
    blocks_nBW = logits_nV.view(len(logits_nV), -1, BLOCK)
    largest_nB, smallest_nB = blocks_nBW.amax(2), blocks_nBW.amin(2)
    highest_n1, found = largest_nB.amax(1, keepdim=True), []
    rows = max(1, CACHED // (4 * logits_nV.shape[1]))
    for logits_rV, highest_r1 in zip(logits_nV.split(rows), highest_n1.split(rows), strict=True):
        powers_rV = (logits_rV - highest_r1).exp_()
        raised_r = powers_rV.sum(1).log() + highest_r1[:, 0]
        found.append((raised_r, powers_rV.reciprocal_().sum(1).log() - highest_r1[:, 0]))
    raised, lowered = (torch.cat(each) for each in zip(*found, strict=True))
    return largest_nB, smallest_nB, raised, lowered


def _fused(logits_nV: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The same in one reading of the logits, block by block, if the compiler sees it."""
    blocks_nBW = logits_nV.view(len(logits_nV), -1, BLOCK)
    largest_nB, smallest_nB = blocks_nBW.amax(2), blocks_nBW.amin(2)
    raised_nB = (blocks_nBW - largest_nB[:, :, None]).exp().sum(2)
    lowered_nB = (smallest_nB[:, :, None] - blocks_nBW).exp().sum(2)
    raised = (raised_nB.log() + largest_nB).logsumexp(1)
    return largest_nB, smallest_nB, raised, (lowered_nB.log() - smallest_nB).logsumexp(1)


if __name__ == "__main__":
    main()
