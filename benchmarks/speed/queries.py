"""Warm and cold look-ups in a synthetic atlas, against the bare array read; the answers against numpy.

Run: python -m benchmarks.speed.queries [--scale small|8b] [--rounds 40] [--cold 10]

The small atlas is made when it is missing; the large one by: python -m benchmarks.common.make_atlas --scale 8b -o FILE
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from atlas.store.reader import Atlas, open_atlas
from benchmarks.common.claim import Claim, Goal, Table, scaled
from benchmarks.common.make_atlas import write_atlas
from benchmarks.common.measure import environment, machine
from benchmarks.common.synthetic_atlas import SCALES
from benchmarks.speed.queries_sets import SETS, Sets, check, check_nearest
from queries.card import neuron_card, neuron_tokens
from queries.nearest import nearest
from queries.neurons import Only, neurons_for_concept, neurons_for_token

FOLDER = Path(__file__).parents[2] / "data" / "work"
GOALS_MS = {"card of a neuron": 3, "token, 20 forms": 5, "concept": 2, "20 forms and concept": 8, "nearest neurons": 10}
ARRAYS = "SELECT * FROM _decoding WHERE layer = $layer AND neuron = $neuron"
Ask = Callable[[int], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--cold", type=int, default=10, help="fresh processes per command")
    options = parser.parse_args()
    path = _atlas(options.scale)
    vectors = _atlas("small", with_vectors=True)
    with open_atlas(path) as atlas, open_atlas(vectors) as with_vectors:
        sets = Sets(atlas)
        warm = _warm(_questions(atlas, sets, with_vectors), options.rounds)
        checked = check(atlas, sets) + check_nearest(with_vectors)
        sizes = _sizes(atlas)
        word, per_neuron = sets.words[0], atlas.manifest.n_layers * atlas.manifest.d_mlp
    cold = _cold(path, word, options.cold)
    _claim(options, warm, cold, sizes, checked, per_neuron).write()


def _atlas(scale: str, with_vectors: bool = False) -> Path:
    path = FOLDER / f"{scale}{'_vectors' * with_vectors}.duckdb"
    if not path.exists():
        if scale != "small":
            sys.exit(f"no {path}; make it: python -m benchmarks.common.make_atlas --scale {scale} -o {path}")
        FOLDER.mkdir(parents=True, exist_ok=True)
        write_atlas(SCALES[scale], path, with_vectors=with_vectors)
    return path


def _questions(atlas: Atlas, sets: Sets, with_vectors: Atlas) -> dict[str, Ask]:
    def token(words: list) -> Ask:
        return lambda i: neurons_for_token(atlas, words[i], exact=True)

    def concept(**options: object) -> Ask:
        return lambda i: neurons_for_concept(atlas, sets.concepts[i % len(sets.concepts)], **options)

    def find(ids: list[list[int]]) -> Ask:
        return lambda i: atlas.query("FROM find_neurons($ids)", {"ids": ids[i]})

    ids = {text: token_id for token_id, text in atlas.query("SELECT token_id, token FROM vocab")[1]}
    places = [{"layer": layer, "neuron": neuron} for layer, neuron in sets.places]
    small = with_vectors.manifest
    near = [f"L{layer % small.n_layers}N{neuron % small.d_mlp}" for layer, neuron in sets.places]
    return {
        "floor: bare arrays of a neuron": lambda i: atlas.query(ARRAYS, places[i]),
        "card of a neuron": lambda i: neuron_card(atlas, sets.addresses[i]),
        "its tokens alone, top 32": lambda i: neuron_tokens(atlas, sets.addresses[i], top=32),
        "SQL: FROM neuron_tokens(l, n)": lambda i: atlas.query("FROM neuron_tokens($layer, $neuron)", places[i]),
        "token, hub": token(sets.hubs),
        "token, uniform": token(sets.uniform),
        "token, rare": token(sets.rare),
        "token, 20 forms": token(sets.forms),
        "word with its forms": lambda i: neurons_for_token(atlas, sets.words[i]),
        "SQL: FROM find_neurons(hub)": find([[ids[text]] for text in sets.hubs]),
        "SQL: FROM find_neurons(20 forms)": find([[ids[text] for text in texts] for texts in sets.forms]),
        "concept": concept(),
        "concept, low_leakage": concept(rule="low_leakage"),
        "20 forms and concept": lambda i: concept(only=Only(words=sets.forms[i], exact=True))(i),
        "top tokens of a layer": lambda i: atlas.query(
            "SELECT raised_token[1] AS token_id, count(*) FROM _decoding WHERE layer = $layer GROUP BY ALL"
            " ORDER BY 2 DESC, 1 LIMIT 20",
            {"layer": places[i]["layer"]},
        ),
        "nearest neurons": lambda i: nearest(with_vectors, near[i]),
    }


def _warm(questions: dict[str, Ask], rounds: int) -> dict[str, np.ndarray]:
    """Milliseconds of each question, [rounds]; question by question, after as many that do not count."""
    taken = {}
    for name, ask in questions.items():
        for i in range(SETS - 1):  # concepts repeat: each one at least three times before it counts
            ask(i)
        seconds = []
        for i in range(rounds):
            start = time.perf_counter()
            ask(i % SETS)
            seconds.append(time.perf_counter() - start)
        taken[name] = 1e3 * np.array(seconds)
    return taken


def _cold(path: Path, word: str, processes: int) -> dict[str, np.ndarray]:
    """Milliseconds from process start to exit of each command, [processes], and of the least that it needs."""
    bare = f"import duckdb; duckdb.connect({str(path)!r}, read_only=True).execute('SELECT 1').fetchall()"
    asks = {"neuron": ["L1N1"], "token": [word], "concept": ["book"], "concepts": [], "info": []}
    commands = {"floor: python, import duckdb, open": [sys.executable, "-c", bare]}
    for name, arguments in asks.items():
        commands[f"neuron-atlas {name}"] = [sys.executable, "-m", "atlas", name, *arguments, "-a", str(path)]
    taken = {name: [] for name in commands}
    for turn in range(processes + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True, env=environment())
            if turn:
                taken[name].append(time.perf_counter() - start)
    return {name: 1e3 * np.array(seconds) for name, seconds in taken.items()}


def _sizes(atlas: Atlas) -> dict[str, int]:
    """Bytes of each table's own blocks."""
    block = atlas.query("SELECT block_size FROM pragma_database_size() WHERE database_name = current_database()")[1][0][
        0
    ]
    sizes = {}
    for (table,) in atlas.query("SELECT table_name FROM duckdb_tables() ORDER BY table_name")[1]:
        sql = f"SELECT count(DISTINCT block_id) FROM pragma_storage_info('{table}') WHERE block_id >= 0"
        sizes[table] = block * atlas.query(sql)[1][0][0]
    return sizes


def _claim(
    options: argparse.Namespace,
    warm: dict[str, np.ndarray],
    cold: dict[str, np.ndarray],
    sizes: dict[str, int],
    checked: int,
    neurons: int,
) -> Claim:
    def row(name: str, values: np.ndarray) -> list[str]:
        return [name, f"{np.median(values):.2f}", f"{np.percentile(values, 95):.2f}"]

    three = sum(sizes[table] for table in ("_decoding", "_posting", "vocab", "_token_form"))
    sized = [[name, f"{size / 1e6:.1f}", f"{size / neurons:.0f}"] for name, size in sizes.items() if size / neurons > 1]
    sized += [["decodings of three weights, vocabulary", f"{three / 1e6:.1f}", f"{three / neurons:.0f}"]]
    sized += [["all", f"{sum(sizes.values()) / 1e6:.1f}", f"{sum(sizes.values()) / neurons:.0f}"]]
    goals = [
        Goal(f"{name}, warm p50", f"< {goal} ms", f"{np.median(warm[name]):.2f} ms", bool(np.median(warm[name]) < goal))
        for name, goal in GOALS_MS.items()
    ]
    slowest = max(np.median(values) for name, values in cold.items() if name.startswith("neuron-atlas"))
    goals.append(Goal("cold command, slowest p50", "< 250 ms", f"{slowest:.0f} ms", bool(slowest < 250)))
    goals.append(Goal("bytes per neuron, three weights", "< 2200", f"{three / neurons:.0f}", three / neurons < 2200))
    n_warm, n_cold = (len(next(iter(taken.values()))) for taken in (warm, cold))
    text = (
        f"A synthetic atlas of {neurons:,} neurons, three weights, top 32 of both signs, 14 concepts "
        f"(benchmarks/common/synthetic_atlas.py). Warm: n = {n_warm} different questions in one process with the file "
        f"open, after {SETS - 1} that do not count; the floor is the bare read of a neuron's lists. Cold: {n_cold} "
        f"fresh processes in turn, the file in the system's cache. {checked} answers equal numpy's over all rows. "
        "Nearest neurons are asked at the shape of SmolLM2-135M."
    )
    return Claim(
        name=scaled("queries", options.scale),
        title=f"Questions to an atlas of {neurons:,} neurons",
        command=f"python -m benchmarks.speed.queries --scale {options.scale} --rounds {options.rounds}",
        text=text,
        machine=machine(packages=("duckdb", "numpy")),
        tables=[
            Table(["warm, ms", "p50", "p95"], [row(*item) for item in warm.items()]),
            Table(["cold, ms", "p50", "p95"], [row(*item) for item in cold.items()]),
            Table(["table", "MB", "bytes per neuron"], sized),
        ],
        goals=goals,
    )


if __name__ == "__main__":
    main()
