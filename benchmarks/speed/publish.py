"""Time and memory to write and publish an atlas, against the bare INSERT of the same rows into a fresh file.

Run: python -m benchmarks.speed.publish [--scale small|8b] [--rounds 3] [--memory 2GB]

Each way runs in a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from atlas.schema.statements import Layout, schema_sql
from atlas.schema.tables import TABLES
from atlas.store.files import fsync_path
from atlas.store.publish import publish
from atlas.store.staging import Staging
from benchmarks.common.claim import Claim, Goal, Table, scaled
from benchmarks.common.make_atlas import BINS, manifest, units
from benchmarks.common.measure import machine
from benchmarks.common.synthetic_atlas import SCALES, TOP, Scale

FOLDER = Path(__file__).parents[2] / "data" / "work"
Measured = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--memory", default="2GB", help="what publishing may use, and DuckDB's limit for the bare INSERT"
    )
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        WAYS[options.way](options)
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        staged = _run("stage", options, folder)
        taken: dict[str, list[Measured]] = {"publish": [], "insert": []}
        for _ in range(options.rounds):
            for way in taken:
                taken[way].append(_run(way, options, folder))
    _claim(options, staged, taken).write()


def _run(way: str, options: argparse.Namespace, folder: str) -> Measured:
    command = [sys.executable, "-m", __spec__.name, "--way", way, "--folder", folder]
    command += ["--scale", options.scale, "--memory", options.memory]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _say(**measured: float) -> None:
    measured["peak"] = 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stdout.write(json.dumps(measured))


def _stage(options: argparse.Namespace) -> None:
    """Fill the staging area; only the commits count, not the making of the rows."""
    scale: Scale = SCALES[options.scale]
    seconds = 0.0
    with Staging(options.folder / "atlas.duckdb") as staging:
        staging.start(Layout(TOP, BINS, scale.d_model, scale.n_layers, scale.d_mlp), {"scale": scale.name})
        for step, unit, tables in units(scale):
            start = time.perf_counter()
            staging.commit(step, unit, tables)
            seconds += time.perf_counter() - start
    _say(seconds=seconds)


def _publish(options: argparse.Namespace) -> None:
    with Staging(options.folder / "atlas.duckdb") as staging:
        start = time.perf_counter()
        path = publish(staging, manifest(SCALES[options.scale]), options.memory)
        _say(seconds=time.perf_counter() - start, bytes=path.stat().st_size)


def _insert(options: argparse.Namespace) -> None:
    """The same rows, already derived and in order, into an empty file with the same settings, to the disk."""
    scale, fresh = SCALES[options.scale], options.folder / "bare.duckdb"
    fresh.unlink(missing_ok=True)
    start = time.perf_counter()
    config = {"default_block_size": "65536", "memory_limit": options.memory}
    with duckdb.connect(str(fresh), config=config) as connection:
        connection.execute(schema_sql(Layout(TOP, BINS, scale.d_model, scale.n_layers, scale.d_mlp)))
        connection.execute(f"ATTACH '{options.folder / 'atlas.duckdb'}' AS published (READ_ONLY)")
        for table in TABLES:
            connection.execute(f"INSERT INTO {table} SELECT * FROM published.{table}")
        connection.execute("DETACH published")
        connection.execute("CHECKPOINT")
    fsync_path(fresh)
    _say(seconds=time.perf_counter() - start, bytes=fresh.stat().st_size)


WAYS = {"stage": _stage, "publish": _publish, "insert": _insert}


def _claim(options: argparse.Namespace, staged: Measured, taken: dict[str, list[Measured]]) -> Claim:
    scale = SCALES[options.scale]
    neurons = scale.n_layers * scale.d_mlp

    def middle(way: str, name: str) -> float:
        values = sorted(run[name] for run in taken[way])
        return values[len(values) // 2]

    names = {"publish": "publish: sort, derive, check", "insert": "bare INSERT of the published rows"}
    rows = [["commits of a build into the staging area", f"{staged['seconds']:.2f}", f"{staged['peak'] / 1e6:.0f}", ""]]
    rows += [
        [
            names[way],
            f"{middle(way, 'seconds'):.2f}",
            f"{max(run['peak'] for run in runs) / 1e6:.0f}",
            f"{middle(way, 'bytes') / 1e6:.0f}",
        ]
        for way, runs in taken.items()
    ]
    ratio = sorted(a["seconds"] / b["seconds"] for a, b in zip(taken["publish"], taken["insert"], strict=True))
    peak = max(run["peak"] for run in taken["publish"])
    bound = 1.25 * float(options.memory.removesuffix("GB")) * 1e9 + 0.3e9 if options.memory.endswith("GB") else 0
    text = (
        f"{neurons:,} neurons, three weights, top {TOP} of both signs, 14 concepts. The bare INSERT copies the "
        "finished rows, the postings included, into an empty file with the same block size and memory limit, and "
        f"reaches the disk: it sorts, derives and checks nothing. n = {options.rounds} in turn, medians, each in a "
        f"process of its own; memory is the largest peak of resident memory. Memory limit: {options.memory}. "
        f"publish takes {ratio[len(ratio) // 2]:.2f} times as long as the bare INSERT."
    )
    goals = [Goal("peak memory of publish", f"< {bound / 1e6:.0f} MB", f"{peak / 1e6:.0f} MB", peak < bound)]
    return Claim(
        name=scaled("publish", options.scale),
        title=f"Publishing an atlas of {neurons:,} neurons",
        command=f"python -m benchmarks.speed.publish --scale {options.scale} --rounds {options.rounds}",
        text=text,
        machine=machine(packages=("duckdb", "numpy")),
        tables=[Table(["", "seconds", "peak MB", "file MB"], rows)],
        goals=goals if bound else [],
    )


if __name__ == "__main__":
    main()
