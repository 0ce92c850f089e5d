"""What an atlas costs on paper, for models that are too large to try. Prints the tables of docs/scale.md.

Run: python -m benchmarks.speed.scale

Operations, bytes and values follow from the shapes of the models; times divide them by rates. A rate of this
project's own code is measured (docs/benchmarks.md says how); a rate of a GPU is assumed and marked so.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace

from benchmarks.common.claim import Table


@dataclass(frozen=True)
class Shape:
    """A gated decoder: three weight matrices [d_mlp, d_model] a layer."""

    name: str
    n_layers: int
    d_model: int
    d_mlp: int
    d_vocab: int
    parameters: float

    @property
    def neurons(self) -> int:
        return self.n_layers * self.d_mlp

    @property
    def decoding_operations(self) -> float:
        """Every vector of the three weights against every token; a multiply-add is two operations."""
        return 2.0 * 3 * self.neurons * self.d_model * self.d_vocab

    def forward_operations(self, tokens: float) -> float:
        """Two a parameter and token; attention over a short text adds little."""
        return 2.0 * self.parameters * tokens

    def atlas_bytes(self, rates: Rates, concepts: int) -> float:
        return self.neurons * (rates.decoding_bytes + concepts * rates.concept_bytes)

    @property
    def postings(self) -> int:
        """Rows of the inverted table: three weights, both signs, TOP tokens each."""
        return 3 * 2 * TOP * self.neurons


@dataclass(frozen=True)
class Rates:
    """What one machine does a second, and what a neuron takes in the file."""

    name: str
    bf16_flops: float
    """Of a large bfloat16 matrix product."""
    topk_ratio: float
    """Exact top-k over the bare product."""
    forward_share: float
    """Of bf16_flops that a forward pass over short texts reaches."""
    statistic_values: float
    """Activations a second through all statistics."""
    published_rows: float
    """Rows of the inverted table a second: committing everything, sorting, checking and publishing; on the host."""
    load_bytes: float
    """Of weights a second, from disk to where they are used."""
    decoding_bytes: float
    """In the file for each neuron: three weights, both signs, inverted table included."""
    concept_bytes: float
    """In the file for each neuron and concept."""


TOP = 32
CONCEPTS = 14
TEXTS, TEXT_TOKENS = 14_000, 32
"""The corpus on paper: a thousand sentences for each concept."""

SHAPES = (
    Shape("Llama-3.2-1B", 16, 2048, 8192, 128_256, 1.24e9),
    Shape("Llama-3.1-8B", 32, 4096, 14_336, 128_256, 8.03e9),
    Shape("Llama-3.1-70B", 80, 8192, 28_672, 128_256, 70.6e9),
    Shape("Llama-3.1-405B", 126, 16_384, 53_248, 128_256, 405.9e9),
)

TWO_CORES = Rates(
    "The two-core machine of docs/benchmarks.md (measured)",
    bf16_flops=870e9,
    topk_ratio=1.3,
    forward_share=0.6,
    statistic_values=25e6,
    published_rows=3.7e6,
    load_bytes=1.3e9,
    decoding_bytes=2134,
    concept_bytes=54,
)
H100 = replace(
    TWO_CORES,
    name="One H100 of 80 GB (assumed; writing and bytes as measured on two cores)",
    bf16_flops=700e12,
    forward_share=0.4,
    statistic_values=1e9,
    load_bytes=2e9,
)
MACHINES = ((TWO_CORES, 1), (H100, 1), (H100, 8), (H100, 64))


def seconds(shape: Shape, rates: Rates, workers: int = 1) -> dict[str, float]:
    """Seconds of each step, its work shared evenly by `workers` machines; one of them writes."""
    values = TEXTS * shape.neurons
    return {
        "load": 2 * shape.parameters / rates.load_bytes / workers,
        "decode": shape.decoding_operations * rates.topk_ratio / rates.bf16_flops / workers,
        "forward": shape.forward_operations(TEXTS * TEXT_TOKENS) / (rates.bf16_flops * rates.forward_share) / workers,
        "statistics": values / rates.statistic_values / workers,
        "write": shape.postings / rates.published_rows,
    }


def work_table() -> Table:
    """What there is to do, whatever the machine."""
    rows = [
        [
            shape.name,
            f"{shape.neurons:,}",
            f"{shape.decoding_operations:.2g}",
            f"{shape.forward_operations(TEXTS * TEXT_TOKENS):.2g}",
            f"{TEXTS * shape.neurons:.2g}",
            _bytes(4.0 * TEXTS * shape.neurons),
            f"{shape.postings:.2g}",
            _bytes(2 * shape.parameters),
        ]
        for shape in SHAPES
    ]
    columns = ["model", "neurons", "decoding, operations", "forward, operations", "activations", "kept on disk"]
    return Table([*columns, "inverted rows", "weights, bf16"], rows)


def time_table(rates: Rates, workers: int = 1) -> Table:
    """Seconds of each step on one kind of machine, and the size of the file."""
    rows = []
    for shape in SHAPES:
        steps = seconds(shape, rates, workers)
        total = sum(steps.values())
        size = _bytes(shape.atlas_bytes(rates, CONCEPTS))
        rows.append([shape.name, *map(_time, steps.values()), _time(total), size])
    title = f"{rates.name}, {workers} of them" if workers > 1 else rates.name
    return Table(["model", "load", "decode", "forward", "statistics", "write", "total", "atlas"], rows, title)


PUBLISHING = 16 / 23
"""Of writing 8B, in seconds: the rest is committing, which the host does while workers go on."""
HEADROOM = 1.1
"""Memory of a worker over the bytes of the weights: a copy of the unembedding, a layer's activations of a batch."""


@dataclass(frozen=True)
class Cluster:
    """`gpus` of `gpu_bytes`, in machines of `each`."""

    gpus: int
    gpu_bytes: float
    each: int = 8

    def gpus_of_worker(self, shape: Shape) -> int | None:
        """A worker holds the whole model, on GPUs of one machine; None: on none."""
        needed = math.ceil(2 * shape.parameters * HEADROOM / self.gpu_bytes)
        return next((count for count in (1, 2, 4, 8) if needed <= count <= self.each), None)


def worker_seconds(shape: Shape, rates: Rates, workers: int) -> dict[str, float]:
    """Seconds of each step, by workers that each load the whole model from a disk of their own.

    A model that is spread over GPUs runs through one after the other, as fast as one. Committing is hidden.
    """
    one = seconds(shape, rates)
    shared = {name: one[name] / workers for name in ("decode", "forward", "statistics")}
    return {"load": one["load"], **shared, "publish": one["write"] * PUBLISHING}


def worker_table() -> Table:
    """What the plan says of workers on GPUs."""
    rows = []
    for index, cluster in (
        (1, Cluster(8, 80e9)),
        (2, Cluster(8, 80e9)),
        (3, Cluster(64, 80e9)),
        (3, Cluster(64, 141e9)),
    ):
        shape = SHAPES[index]
        gpus = cluster.gpus_of_worker(shape)
        name = [shape.name, f"{cluster.gpus} of {_bytes(cluster.gpu_bytes)}"]
        if gpus is None:
            rows.append([*name, "fits no machine of 8", *["–"] * 7])
            continue
        workers = cluster.gpus // gpus
        steps = worker_seconds(shape, H100, workers)
        rows.append(
            [
                *name,
                f"{workers} of {gpus}",
                *map(_time, steps.values()),
                _time(sum(steps.values())),
                _bytes(4.0 * TEXTS * shape.neurons),
            ]
        )
    columns = ["model", "GPUs", "workers", "load", "decode", "forward", "statistics", "publish", "total"]
    return Table([*columns, "shared disk"], rows, "Workers on GPUs (assumed, as above)")


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _time(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def main() -> None:
    tables = [work_table(), *(time_table(rates, workers) for rates, workers in MACHINES), worker_table()]
    sys.stdout.write("\n\n".join(table.markdown() for table in tables) + "\n")


if __name__ == "__main__":
    main()
