"""What the host of a build still does after its workers' last answer, against publishing alone, at the scale of 8B.

Run: python -m benchmarks.speed.host [--scale small|8b] [--layers 8] [--workers 8] [--seconds 0.25] [--memory 2GB]

No model is needed: workers are processes that hand over rows made before (synthetic_atlas.py), each unit so many
seconds after the last one. All else is a build's: tasks are dealt, answers unpickled, and their rows committed in their
order while workers go on; then the atlas is published.
"""

from __future__ import annotations

import argparse
import pickle
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from atlas.schema.statements import Layout
from atlas.schema.tables import TABLES
from atlas.store.publish import publish
from atlas.store.staging import Staging
from benchmarks.common.claim import Claim, Goal, Table, scaled
from benchmarks.common.make_atlas import BINS, manifest, units
from benchmarks.common.measure import machine
from benchmarks.common.prepared import HandingOver, Prepared
from benchmarks.common.synthetic_atlas import SCALES, TOP, Scale
from builders.build.by_workers import compute_alone
from builders.build.job import Job, Making
from builders.build.product import Part
from builders.progress import Silent
from builders.workers.pool import Pool
from builders.workers.task import Setup

FOLDER = Path(__file__).parents[2] / "data" / "work"
GOAL = 1.2


@dataclass(frozen=True)
class Measured:
    """Seconds. `answers`: from the first answer to the last; `after`: from there to the published atlas."""

    answers: float
    after: float
    publishing: float
    """Alone, with all rows committed: the least of some rounds."""


def measure(
    scale: Scale, folder: Path, n_workers: int, seconds: float, memory: str = "2GB", rounds: int = 1
) -> Measured:
    """A build of prepared rows by workers that take so many seconds for a unit."""
    prepared, came = Prepared(folder / "prepared"), []
    prepared.write(units(scale))
    with Staging(folder / "host.duckdb") as staging:
        staging.start(Layout(TOP, BINS, scale.d_model, scale.n_layers, scale.d_mlp), {"scale": scale.name})
        staging.commit("general", "all", prepared.read("general", "all"))
        setup = Setup(pickle.dumps((prepared, seconds)), staging.scratch, "cpu", "float32", False, "", None)
        with Pool(n_workers, partial(HandingOver, came=came), [setup] * n_workers, Silent()) as pool:
            for job in jobs(prepared, staging):
                compute_alone(job, Making(pool=pool), lambda _: None)
        target = publish(staging, manifest(scale), memory)
        end = time.perf_counter()
        alone = []
        for _ in range(rounds):
            target.unlink()
            begun = time.perf_counter()
            publish(staging, manifest(scale), memory)
            alone.append(time.perf_counter() - begun)
        staging.discard()
    return Measured(came[-1] - came[n_workers], end - came[-1], min(alone))


def jobs(prepared: Prepared, staging: Staging) -> Iterator[Job]:
    """The parts of the build, one after the other."""
    plan: Any = SimpleNamespace(config=None)
    for step, names in prepared.steps.items():
        if step != "general":
            product: Any = SimpleNamespace(name=step, passing=(), tables=lambda config: tuple(TABLES))
            yield Job(plan, product, Part("", {}), 0, names, names, [], None, staging)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--layers", type=int, help="the first so many")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.25, help="that a worker takes for a unit")
    parser.add_argument("--memory", default="2GB", help="what publishing may use")
    parser.add_argument("--rounds", type=int, default=3, help="of publishing alone")
    options = parser.parse_args()
    scale = SCALES[options.scale]
    scale = replace(scale, n_layers=min(options.layers or scale.n_layers, scale.n_layers))
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        measured = measure(scale, Path(folder), options.workers, options.seconds, options.memory, options.rounds)
    claim(options, scale, measured).write()


def claim(options: argparse.Namespace, scale: Scale, measured: Measured) -> Claim:
    """Of one build."""
    limits = "".join(f" --{name} {value}" for name, value in vars(options).items() if value is not None)
    peak = 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ratio = measured.after / measured.publishing
    return Claim(
        scaled("host", options.scale),
        f"The host of a build of {scale.n_layers * scale.d_mlp:,} neurons by workers",
        f"python -m benchmarks.speed.host{limits}",
        f"{options.workers} processes hand over decodings of three weights, Gaussians and intervals that were made "
        f"before, a unit every {options.seconds} s each where the host does not keep them waiting. Publishing alone is "
        f"done {options.rounds} times more with the same rows; the least time counts. The largest resident memory of "
        f"the host was {peak / 1e6:.0f} MB, with making the rows.",
        machine(packages=("duckdb", "numpy")),
        [
            Table(
                ["", "seconds"],
                [
                    ["from the first answer of a worker to the last", f"{measured.answers:.2f}"],
                    ["from there to the published atlas", f"{measured.after:.2f}"],
                    ["publishing alone", f"{measured.publishing:.2f}"],
                ],
            )
        ],
        [Goal("the host after the last answer / publishing", f"≤ {GOAL}", f"{ratio:.2f}", ratio <= GOAL)],
    )


if __name__ == "__main__":
    main()
