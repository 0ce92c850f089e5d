"""What an atlas that is far away is asked for: requests, bytes and seconds of the first questions, with an empty cache.

Run: python -m benchmarks.speed.far data/atlases/smollm2-135m.duckdb published/ [--latency-ms 50]

Each is read as from afar: by ranges, through the blocks that a URL is read through, each request after a wait of that
many milliseconds. What a server and a network take beside that is not in it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from atlas.place import FarPath
from atlas.store.far.transport import FsspecTransport, Version
from atlas.store.reader import Atlas, open_atlas
from queries.card import neuron_card
from queries.neurons import neurons_for_concept

QUESTIONS: dict[str, Callable[[Atlas], object]] = {
    "the card of L12N34": lambda atlas: neuron_card(atlas, "L12N34"),
    "then of L12N40": lambda atlas: neuron_card(atlas, "L12N40"),
    "then of L29N808": lambda atlas: neuron_card(atlas, "L29N808"),
    "then of L3N1500": lambda atlas: neuron_card(atlas, "L3N1500"),
    "then a ranking": lambda atlas: neurons_for_concept(atlas, "animals"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("places", nargs="+", type=Path, metavar="PLACE")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    options = parser.parse_args()
    fetch = FsspecTransport.fetch

    def late(self: FsspecTransport, name: str, start: int, end: int, version: Version | None) -> tuple[bytes, Version]:
        time.sleep(options.latency_ms / 1000)
        return fetch(self, name, start, end, version)

    FsspecTransport.fetch = late
    for place in options.places:
        with tempfile.TemporaryDirectory() as cache:
            os.environ["XDG_CACHE_HOME"] = cache
            look(place)


def look(place: Path) -> None:
    """Ask one atlas, and write a line a question."""
    begun, asked, fetched = time.perf_counter(), 0, 0
    sys.stdout.write(f"{place}\n")
    with open_atlas(FarPath(f"file://{place.absolute()}")) as atlas:
        files = atlas.far.files
        for name, ask in {"open": lambda atlas: None, **QUESTIONS}.items():
            ask(atlas)
            seconds = time.perf_counter() - begun
            sys.stdout.write(
                f"  {name}: {files.requests - asked} requests, {(files.fetched - fetched) / 1e6:.2f} MB, "
                f"{seconds:.1f} s\n"
            )
            begun, asked, fetched = time.perf_counter(), files.requests, files.fetched


if __name__ == "__main__":
    main()
