"""Pages of the explorer against the questions that they ask: time of the server, pages a second, memory.

Run: python -m benchmarks.speed.pages ATLAS [--rounds 60] [--clients 8] [--seconds 10]

The server is the command `neuron-atlas serve`, a process of its own; visitors are threads of this one.
"""

from __future__ import annotations

import argparse
import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from atlas.store.reader import Atlas, open_atlas
from benchmarks.common.claim import Claim, Goal, Table
from benchmarks.common.measure import interleave, machine
from queries.card import neuron_card
from queries.neurons import neurons_for_concept, neurons_for_token
from queries.web.served import open_all

GOAL_P95_MS, GOAL_RATE, GOAL_MB, GOAL_KB = 30.0, 200.0, 400.0, 100.0
STEP, WORD = 7919, "dog"


class Visitor:
    """One connection that is kept open."""

    def __init__(self, address: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(address).netloc)

    def get(self, path: str) -> int:
        """Bytes of a page as they are sent, packed. Raises SystemExit for an answer that is none."""
        self.connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path} answers {answer.status}")
        return len(body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("atlas", type=Path)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    command = [sys.executable, "-m", "atlas", "serve", str(options.atlas)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().strip()
        with open_atlas(options.atlas) as atlas:
            concept = atlas.query("SELECT concept FROM concept JOIN fit_concept USING (concept_id) LIMIT 1")[1][0][0]
            home = f"/{name_of(options.atlas)}/"
            paths = pages(atlas, home, concept)
            visitor = Visitor(address)
            ways: dict[str, Callable[[], object]] = {
                name: lambda made=made: visitor.get(made()) for name, made in paths.items()
            }
            ways |= questions(atlas, concept)
            timings = interleave(ways, options.rounds, warm=5)
            sizes = {name: visitor.get(made()) for name, made in paths.items()}
            static = sum(visitor.get(f"/static/{name}") for name in ("style.css", "explorer.js", "htmx-2.0.11.min.js"))
            rate = load(address, list(paths.values()), options.clients, options.seconds)
            neurons = atlas.manifest.n_layers * atlas.manifest.d_mlp
        claim(options, timings, sizes, static, rate, resident_mb(server.pid), neurons).write()
    finally:
        server.terminate()
        server.wait()


def name_of(path: Path) -> str:
    """What stands for the atlas in addresses."""
    (served,) = open_all([path], 0)
    served.close()
    return served.name


def pages(atlas: Atlas, home: str, concept: str) -> dict[str, Callable[[], str]]:
    """Name -> the next address of that kind. A page is kept once it was made, so neurons are also asked anew."""
    layers, width = atlas.manifest.n_layers, atlas.manifest.d_mlp
    count = iter(range(10**9))

    def neuron() -> str:
        place = next(count) * STEP % (layers * width)
        return f"{home}neuron/L{place // width}N{place % width}"

    return {
        "atlas": lambda: home,
        "concept": lambda: f"{home}concept/{concept}",
        "neuron, another each time": neuron,
        "neuron, again": lambda: f"{home}neuron/L0N1",
        "token": lambda: f"{home}token/{WORD}",
        "layer": lambda: f"{home}layer/{next(count) % layers}",
    }


def questions(atlas: Atlas, concept: str) -> dict[str, Callable[[], object]]:
    """The questions of three of the pages, in this process."""
    return {
        "neuron, question": lambda: neuron_card(atlas, "L1N1"),
        "concept, question": lambda: neurons_for_concept(atlas, concept, limit=25),
        "token, question": lambda: neurons_for_token(atlas, WORD, limit=25),
    }


def load(address: str, made: list[Callable[[], str]], clients: int, seconds: float) -> float:
    """Pages a second that so many visitors get who ask without a pause."""
    until, counts = time.monotonic() + seconds, [0] * clients

    def visit(index: int) -> None:
        visitor = Visitor(address)
        while time.monotonic() < until:
            visitor.get(made[(index + counts[index]) % len(made)]())
            counts[index] += 1

    threads = [threading.Thread(target=visit, args=(index,)) for index in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def resident_mb(pid: int) -> float:
    """Memory of the server's process now, as Linux counts it."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def claim(options, timings, sizes, static, rate, memory, neurons) -> Claim:
    rows = [
        [way, f"{1000 * timings.median(way):.1f}", f"{1000 * timings.percentile(way, 95):.1f}"]
        + ([f"{(sizes[way]) / 1000:.0f}"] if way in sizes else [""])
        for way in timings.seconds
    ]
    slowest = max(1000 * timings.percentile(way, 95) for way in sizes)
    first = (max(sizes.values()) + static) / 1000
    return Claim(
        name="pages",
        title=f"Pages of the explorer, {neurons:,} neurons",
        command="python -m benchmarks.speed.pages ATLAS",
        text=(
            f"The server and its visitors on one machine. {options.rounds} of each page in turn, after 5 that do not "
            "count, on one connection; kB as sent, packed. Pages are kept once they were made, so another neuron "
            f"each time stands beside one again. A first visit brings {static / 1000:.0f} kB of style and script "
            f"besides. Then {options.clients} visitors ask for all of them without a pause for {options.seconds:g} s. "
            "Last, the questions of three pages alone, asked in another process in the same turns."
        ),
        machine=machine(packages=("duckdb",)),
        tables=[Table(["page", "p50, ms", "p95, ms", "kB"], rows)],
        goals=[
            Goal("slowest page, warm p95", f"<= {GOAL_P95_MS:.0f} ms", f"{slowest:.1f} ms", slowest <= GOAL_P95_MS),
            Goal("first load of the largest page", f"<= {GOAL_KB:.0f} kB", f"{first:.0f} kB", first <= GOAL_KB),
            Goal(
                f"pages a second, {options.clients} visitors", f">= {GOAL_RATE:.0f}", f"{rate:.0f}", rate >= GOAL_RATE
            ),
            Goal("memory after that", f"<= {GOAL_MB:.0f} MB", f"{memory:.0f} MB", memory <= GOAL_MB),
        ],
    )


if __name__ == "__main__":
    main()
