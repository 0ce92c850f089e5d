"""Time of `neuron-atlas verify` against only reading the same file, all its columns, with DuckDB.

Run: python -m benchmarks.speed.verify [--scale small|8b] [--rounds 3]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb

from atlas.store.checks import scanned_tables
from benchmarks.common.claim import Claim, Goal, Table, scaled
from benchmarks.common.measure import environment, machine
from benchmarks.common.synthetic_atlas import SCALES

FOLDER = Path(__file__).parents[2] / "data" / "work"
MAKER = "benchmarks.common.make_atlas"
COMMAND = [sys.executable, "-m", "atlas", "verify"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        sys.stdout.write(str(read_all(options.read)))
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        path = Path(folder) / "atlas.duckdb"
        subprocess.run(
            [sys.executable, "-m", MAKER, "--scale", options.scale, "-o", path], check=True, capture_output=True
        )
        ways = {"verify": [*COMMAND, path], "read": [sys.executable, "-m", __spec__.name, "--read", path]}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        value_bytes = 0
        for _ in range(options.rounds):
            for name, command in ways.items():
                start = time.perf_counter()
                done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
                seconds[name].append(time.perf_counter() - start)
                if name == "read":
                    value_bytes = int(done.stdout)
        claim(options, path.stat().st_size, value_bytes, seconds).write()


def read_all(path: Path) -> int:
    """Bytes of the values of all tables, read two tables at a time and thrown away."""

    def one(table: str) -> int:
        with connection.cursor() as cursor:
            return sum(batch.nbytes for batch in cursor.sql(f"FROM {table}").to_arrow_reader(65_536))

    with duckdb.connect(str(path), read_only=True) as connection, ThreadPoolExecutor(2) as workers:
        return sum(workers.map(one, [*scanned_tables()]))


def claim(options: argparse.Namespace, file_bytes: int, value_bytes: int, seconds: dict[str, list[float]]) -> Claim:
    scale = SCALES[options.scale]
    middle = {name: sorted(taken)[len(taken) // 2] for name, taken in seconds.items()}
    names = {"verify": "neuron-atlas verify", "read": "reading every column with DuckDB"}
    rows = [
        [names[name], f"{taken:.2f}", f"{value_bytes / taken / 1e9:.2f}", f"{file_bytes / taken / 1e9:.2f}"]
        for name, taken in middle.items()
    ]
    rate = value_bytes / middle["verify"] / 1e9
    return Claim(
        name=scaled("verify", options.scale),
        title=f"Verifying an atlas of {scale.n_layers * scale.d_mlp:,} neurons",
        command=f"python -m benchmarks.speed.verify --scale {options.scale} --rounds {options.rounds}",
        text=(
            f"The file has {file_bytes / 1e6:.0f} MB and holds {value_bytes / 1e6:.0f} MB of values. Verifying takes "
            "every value's digest, the order of all keys, that postings and decodings say the same, and every rule; "
            "reading does nothing with the values. Both are commands with their start, the file in the system's cache. "
            f"n = {options.rounds} in turn, medians. "
            f"Verifying takes {middle['verify'] / middle['read']:.2f} times as long."
        ),
        machine=machine(packages=("duckdb", "numpy")),
        tables=[Table(["", "seconds", "GB of values a second", "GB of the file a second"], rows)],
        goals=[Goal("values verified a second", ">= 1 GB", f"{rate:.2f} GB", rate >= 1)],
    )


if __name__ == "__main__":
    main()
