"""A build by two workers of one thread each against one process of one thread: seconds, and whether rows are equal.

Run: python -m benchmarks.speed.workers [--layers 0-9] [--limit 60] [--rounds 2]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from atlas.schema.tables import TABLES
from atlas.store.reader import open_atlas
from benchmarks.common.claim import Claim, Goal, Table
from benchmarks.common.measure import machine

FOLDER = Path(__file__).parents[2] / "data" / "work"
GOAL = 1.8
PRODUCT = """
import time, torch
torch.set_num_threads(1)
w_ND, u_VD = torch.randn(512, 576), torch.randn(49152, 576)
for turn in range(16):
    if turn == 4:
        begun = time.perf_counter()
    w_ND @ u_VD.T
print(time.perf_counter() - begun)
"""
"""What the decoding of a layer does most, on one thread."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", default="0-9")
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    command = ["build", "smollm2-135m", "--concepts", "topics", "--layers", options.layers]
    command += ["--limit-per-concept", str(options.limit)]
    ways: dict[str, list[str]] = {"one process": [], "two workers": ["--workers", "2"]}
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        rows = {}
        for _ in range(options.rounds):
            for name, more in ways.items():
                target = Path(folder) / "a.duckdb"
                begun = time.perf_counter()
                run([*command, "-o", str(target), *more])
                seconds[name].append(time.perf_counter() - begun)
                rows[name] = stored(target)
                target.unlink()
    claim(options, seconds, rows["one process"] == rows["two workers"], two_at_once()).write()


def run(arguments: list[str]) -> None:
    """One command, each of its processes with one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "atlas", *arguments], check=True, capture_output=True, env=environment)


def two_at_once() -> float:
    """How many times as much two processes multiply as one does in the same time: what the machine's cores give."""
    (alone,) = products(1)
    return 2 * alone / max(products(2))


def products(processes: int) -> list[float]:
    """Seconds of each of so many processes that multiply at once."""
    command = [sys.executable, "-c", PRODUCT]
    begun = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return [float(process.communicate()[0]) for process in begun]


def stored(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Hashes of the rows of every table but those with times."""
    with open_atlas(path) as atlas:
        return {
            table: atlas.query(f"SELECT count(*), bit_xor(hash(t)) FROM {table} t")[1]
            for table in TABLES
            if table not in ("run", "atlas", "_digest")
        }


def claim(options: argparse.Namespace, seconds: dict[str, list[float]], equal: bool, cores: float) -> Claim:
    """Of the best round of each, which other programs disturb least."""
    best = {name: min(taken) for name, taken in seconds.items()}
    ratio = best["one process"] / best["two workers"]
    command = f"python -m benchmarks.speed.workers --layers {options.layers} --limit {options.limit}"
    return Claim(
        "workers",
        "Workers",
        f"{command} --rounds {options.rounds}",
        "The whole command, from its start to the published atlas, with loading the model, which every worker does "
        "once more: a part of the demo build, all processes with one thread. Two processes that only multiply, at "
        f"once, do {cores:.2f} times what one does on this machine.",
        machine(),
        [
            Table(
                ["", "seconds, best", "all"],
                [
                    [name, f"{best[name]:.1f}", ", ".join(f"{each:.1f}" for each in taken)]
                    for name, taken in seconds.items()
                ],
            )
        ],
        [
            Goal("times as fast", f"≥ {GOAL}", f"{ratio:.2f}", ratio >= GOAL),
            Goal("rows of all tables", "equal", "equal" if equal else "other", equal),
        ],
    )


if __name__ == "__main__":
    main()
