"""What an atlas that is far away is asked for: requests, bytes and seconds of the first questions, with an empty cache.

Run: python -m benchmarks.speed.far data/atlases/smollm2-135m.duckdb [--latency-ms 50] [--rounds 3]

The atlas is read as a folder that is published for it, and as the file that it is: by ranges, through the blocks that a
URL is read through, each request after a wait of that many milliseconds. What a server and a network take beside that
is not in it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from atlas.place import FarPath
from atlas.store.far.transport import FsspecTransport, Version
from atlas.store.reader import Atlas, open_atlas
from benchmarks.common.claim import Claim, Goal, Table, scaled
from benchmarks.common.measure import machine
from builders.sharing.publish import PublishRequest, publish_atlas
from queries.card import neuron_card
from queries.neurons import neurons_for_concept

FIRST_REQUESTS, FIRST_MB = 12, 2.0
FIRST, LATER = "open, and the card of L12N34", "a card of another layer, L29N808"


@dataclass(frozen=True)
class Cost:
    """What one question took."""

    requests: int
    mb: float
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("atlas", type=Path)
    parser.add_argument("--latency-ms", type=float, default=50.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    fetch = FsspecTransport.fetch

    def late(self: FsspecTransport, name: str, start: int, end: int, version: Version | None) -> tuple[bytes, Version]:
        time.sleep(options.latency_ms / 1000)
        return fetch(self, name, start, end, version)

    with open_atlas(options.atlas) as atlas:
        neurons = atlas.manifest.n_layers * atlas.manifest.d_mlp
        (concept,) = atlas.query("SELECT concept FROM concept JOIN fit_concept USING (concept_id) LIMIT 1")[1][0]
    questions = {
        FIRST: lambda atlas: neuron_card(atlas, "L12N34"),
        "then of its row group, L12N40": lambda atlas: neuron_card(atlas, "L12N40"),
        LATER: lambda atlas: neuron_card(atlas, "L29N808"),
        "another, L3N1500": lambda atlas: neuron_card(atlas, "L3N1500"),
        "then a concept's ranking": lambda atlas: neurons_for_concept(atlas, concept),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "published"
        publish_atlas(PublishRequest(options.atlas, str(folder)))
        FsspecTransport.fetch = late
        found = {
            "published folder": _median(_ask(folder, questions) for _ in range(options.rounds)),
            ".duckdb file": _median(_ask(options.atlas, questions) for _ in range(options.rounds)),
        }
    _claim(options, neurons, found).write()


def _ask(place: Path, questions: dict[str, Callable[[Atlas], object]]) -> dict[str, Cost]:
    """One after the other, of an atlas of which nothing is in the cache."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        costs, begun, asked, fetched = {}, time.perf_counter(), 0, 0
        with open_atlas(FarPath(f"file://{place.absolute()}")) as atlas:
            files = atlas.far.files
            for name, ask in questions.items():
                ask(atlas)
                taken = time.perf_counter() - begun
                costs[name] = Cost(files.requests - asked, (files.fetched - fetched) / 1e6, taken)
                begun, asked, fetched = time.perf_counter(), files.requests, files.fetched
        return costs


def _median(rounds: Iterable[dict[str, Cost]]) -> dict[str, Cost]:
    """What is read ahead for several threads varies."""
    each = list(rounds)
    return {
        name: Cost(
            round(median(costs[name].requests for costs in each)),
            median(costs[name].mb for costs in each),
            median(costs[name].seconds for costs in each),
        )
        for name in each[0]
    }


def _claim(options: argparse.Namespace, neurons: int, found: dict[str, dict[str, Cost]]) -> Claim:
    tables, goals = [], []
    for place, costs in found.items():
        rows = [[name, str(each.requests), f"{each.mb:.2f}", f"{each.seconds:.2f}"] for name, each in costs.items()]
        tables.append(Table(["question", "requests", "MB", "seconds"], rows, f"The {place}"))
        first, later = costs[FIRST], costs[LATER]
        for what, most, measured in (
            ("requests of the first card", FIRST_REQUESTS, first.requests),
            ("MB of the first card", FIRST_MB, first.mb),
            ("requests of a later card", FIRST_REQUESTS // 2, later.requests),
            ("MB of a later card", FIRST_MB / 2, later.mb),
        ):
            goals.append(Goal(f"{place}: {what}", f"<= {most:g}", f"{measured:.4g}", measured <= most))
    return Claim(
        name=scaled("far", "8b" if neurons > 400_000 else "small"),
        title=f"An atlas of {neurons:,} neurons from afar",
        command="python -m benchmarks.speed.far ATLAS",  # the large one: benchmarks.common.make_atlas --scale 8b
        text=f"Read by ranges with an empty cache, each request after {options.latency_ms:g} ms, as many at once as "
        f"the reading wants; medians of {options.rounds} rounds. The folder is published without texts. Questions "
        "follow one another, so what an earlier one brought is there.",
        machine=machine(),
        tables=tables,
        goals=goals,
    )


if __name__ == "__main__":
    main()
