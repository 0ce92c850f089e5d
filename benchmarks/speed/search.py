"""An exact search among embedded descriptions in memory, against a bare matrix product and DuckDB's inner product.

Run: python -m benchmarks.speed.search [--vectors 500000] [--dimensions 384] [--rounds 9] [--process-time]
"""

from __future__ import annotations

import argparse
import time

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks.common.claim import Claim, Goal, Table
from benchmarks.common.measure import Timings, interleave, machine
from queries.session.vectors import Vectors, nearest

LIMIT = 20
GOAL_S = 0.05
_BATCH = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=500_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--process-time", action="store_true", help="seconds of the processor, on a busy machine")
    options = parser.parse_args()
    kept = random_vectors(options.vectors, options.dimensions)
    query_D = np.random.default_rng(1).normal(size=options.dimensions).astype(np.float32)
    query_D /= np.linalg.norm(query_D)
    with duckdb.connect() as connection:
        fill(connection, kept.unit_RD)
        ways = {
            "search": lambda: nearest(kept, query_D.tolist(), None, LIMIT),
            "product": lambda: kept.unit_RD @ query_D,
            "duckdb": lambda: by_duckdb(connection, query_D),
        }
        found = [neuron for _, neuron, *_ in ways["search"]()]  # type: ignore[attr-defined]
        if found != [row for row, _ in ways["duckdb"]()]:  # type: ignore[attr-defined]
            raise SystemExit("the ways find different neurons")
        clock = time.process_time if options.process_time else time.perf_counter
        timings = interleave(ways, options.rounds, clock=clock)
    claim(options, kept.nbytes, timings).write()


def random_vectors(count: int, dimensions: int) -> Vectors:
    """Unit vectors of `count` neurons of one layer, as rounded to float16 as an atlas keeps them."""
    rng = np.random.default_rng(0)
    unit_RD = np.empty((count, dimensions), np.float32)
    for start in range(0, count, _BATCH):
        part = rng.standard_normal((min(_BATCH, count - start), dimensions), np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
        unit_RD[start : start + len(part)] = part.astype(np.float16)
    place_R, ones_R = np.arange(count, dtype=np.int32), np.ones(count, np.int32)
    return Vectors("random", 0 * place_R, place_R, place_R < 0, ones_R, unit_RD)


def fill(connection: duckdb.DuckDBPyConnection, unit_RD: np.ndarray) -> None:
    """The table `embedded`: the same vectors as FLOAT[D]."""
    dimensions = unit_RD.shape[1]
    connection.execute(f"CREATE TABLE embedded (neuron INTEGER, vector FLOAT[{dimensions}])")
    for start in range(0, len(unit_RD), _BATCH):
        part = unit_RD[start : start + _BATCH]
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), dimensions)
        rows = pa.table({"neuron": np.arange(start, start + len(part), dtype=np.int32), "vector": vectors})
        connection.register("rows", rows)
        connection.execute("INSERT INTO embedded SELECT * FROM rows")
        connection.unregister("rows")


def by_duckdb(connection: duckdb.DuckDBPyConnection, query_D: np.ndarray) -> list[tuple[int, float]]:
    """The nearest by DuckDB."""
    sql = f"""SELECT neuron, array_inner_product(vector, ?::FLOAT[{len(query_D)}]) AS cosine FROM embedded
              ORDER BY cosine DESC, neuron LIMIT {LIMIT}"""
    return connection.execute(sql, [query_D.tolist()]).fetchall()


def claim(options: argparse.Namespace, nbytes: int, timings: Timings) -> Claim:
    names = {
        "search": "our search, with the choice of the best neurons",
        "product": "numpy's matrix product alone",
        "duckdb": "DuckDB, array_inner_product in memory",
    }
    rows = [
        [name, f"{1000 * timings.median(way):.1f}", f"{timings.ratio(way, 'product'):.2f}"]
        for way, name in names.items()
    ]
    median = timings.median("search")
    of = "of the processor, all threads together" if options.process_time else "by the clock"
    flag = f" --vectors {options.vectors} --dimensions {options.dimensions}"
    flag += " --process-time" if options.process_time else ""
    return Claim(
        name="search",
        title=f"Exact search among {options.vectors:,} embedded descriptions",
        command=f"python -m benchmarks.speed.search{flag}",
        text=(
            f"{options.vectors:,} random unit vectors of {options.dimensions} numbers, {nbytes / 1e6:.0f} MB; "
            f"the {LIMIT} nearest neurons, which all ways find alike. n = {options.rounds} in turn, medians, seconds "
            f"{of}. Reading the vectors from the file comes before the first question of a session, and is not in it."
        ),
        machine=machine(packages=("duckdb", "numpy")),
        tables=[Table(["", "ms", "times the product"], rows)],
        goals=[Goal("a search", f"<= {1000 * GOAL_S:.0f} ms", f"{1000 * median:.1f} ms", median <= GOAL_S)],
    )


if __name__ == "__main__":
    main()
