"""Pages of the explorer against the questions that they ask: time of the server, pages a second, memory.

Run: python -m benchmarks.speed.pages ATLAS [--rounds 60] [--clients 8] [--seconds 10]

The server is the command `neuron-atlas serve`, a process of its own; visitors are threads of this one.
"""

from __future__ import annotations

import argparse
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from atlas.store.reader import Atlas, open_atlas
from benchmarks.common.claim import Claim, Goal, Table, scaled
from benchmarks.common.measure import interleave, machine
from queries.card import neuron_card, neuron_tokens
from queries.neurons import neurons_for_concept, neurons_for_token
from queries.web.guard import RATE
from queries.web.served import open_all

GOAL_P95_MS, GOAL_RATE, GOAL_MB, GOAL_KB = 30.0, 200.0, 400.0, 100.0
TOO_MANY, AGAIN_S = 429, 0.02
"""What the server answers who asks more often than it allows, and after how long a visitor asks again."""
STEP = 7919
ANEW = "another each time"
AGAIN, ALL = "pages that were asked before", "all of them in turn, 2 of 8 made anew"


class Rate(NamedTuple):
    """Pages a second, seconds that the server computes for one of them, and requests a second that it refuses."""

    pages: float
    cpu: float
    refused: float


class Visitor:
    """One connection that is kept open."""

    def __init__(self, address: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(address).netloc)
        self.refused = 0
        """How often it was asked to come later."""

    def get(self, path: str) -> int:
        """Bytes of a page as they are sent, packed. Raises SystemExit for an answer that is none."""
        while True:
            self.connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
            answer = self.connection.getresponse()
            body = answer.read()
            if answer.status == 200:
                return len(body)
            if answer.status != TOO_MANY:
                raise SystemExit(f"{path} answers {answer.status}")
            self.refused += 1
            time.sleep(AGAIN_S)


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
            word = neuron_tokens(atlas, "L0N1").column("token")[0]
            paths = pages(atlas, home, concept, word)
            visitor = Visitor(address)
            ways: dict[str, Callable[[], object]] = {
                name: lambda made=made: visitor.get(made()) for name, made in paths.items()
            }
            computed = interleave(ways, options.rounds, warm=5, clock=lambda: cpu_seconds(server.pid))
            ways |= questions(atlas, concept, word)
            timings = interleave(ways, options.rounds, warm=5)
            sizes = {name: visitor.get(made()) for name, made in paths.items()}
            static = sum(visitor.get(f"/static/{name}") for name in ("style.css", "explorer.js", "htmx-2.0.11.min.js"))
            mixes = {AGAIN: [made for name, made in paths.items() if not name.endswith(ANEW)], ALL: [*paths.values()]}
            rates = {name: rate_of(server.pid, address, made, options) for name, made in mixes.items()}
            neurons = atlas.manifest.n_layers * atlas.manifest.d_mlp
        claim(options, timings, computed, sizes, static, rates, resident_mb(server.pid), neurons).write()
    finally:
        server.terminate()
        server.wait()


def name_of(path: Path) -> str:
    """What stands for the atlas in addresses."""
    (served,) = open_all([path], 0)
    served.close()
    return served.name


def pages(atlas: Atlas, home: str, concept: str, word: str) -> dict[str, Callable[[], str]]:
    """Name -> the next address of that kind. A page is kept once it was made, so neurons are also asked anew."""
    layers, width = atlas.manifest.n_layers, atlas.manifest.d_mlp
    count, layer = iter(range(10**9)), iter(range(10**9))

    def neuron() -> str:
        place = next(count) * STEP % (layers * width)
        return f"{home}neuron/L{place // width}N{place % width}"

    def another_layer() -> str:
        turn = next(layer)
        return f"{home}layer/{turn % layers}?limit={15 + turn // layers}"

    return {
        "atlas": lambda: home,
        "concept": lambda: f"{home}concept/{concept}",
        "neuron, another each time": neuron,
        "neuron, again": lambda: f"{home}neuron/L0N1",
        "token": lambda: f"{home}token?{urlencode({'word': word, 'exact': 'on'})}",
        "layer, another each time": another_layer,
        "layer, again": lambda: f"{home}layer/1",
    }


def questions(atlas: Atlas, concept: str, word: str) -> dict[str, Callable[[], object]]:
    """The questions of three of the pages, in this process."""
    return {
        "neuron, question": lambda: neuron_card(atlas, "L1N1"),
        "concept, question": lambda: neurons_for_concept(atlas, concept, limit=25),
        "token, question": lambda: neurons_for_token(atlas, word, exact=True, limit=25),
    }


def load(address: str, made: list[Callable[[], str]], clients: int, seconds: float) -> tuple[int, int]:
    """(pages that so many visitors get who ask without a pause, requests that were refused because they are many)."""
    until = time.monotonic() + seconds

    def visit(index: int) -> tuple[int, int]:
        visitor, count = Visitor(address), 0
        while time.monotonic() < until:
            visitor.get(made[(index + count) % len(made)]())
            count += 1
        return count, visitor.refused

    with ThreadPoolExecutor(clients) as threads:  # whose results raise what a visitor raised
        counts = list(threads.map(visit, range(clients)))
    return sum(pages for pages, _ in counts), sum(refused for _, refused in counts)


def rate_of(pid: int, address: str, made: list[Callable[[], str]], options: argparse.Namespace) -> Rate:
    """Of a server that is asked for a mix of pages."""
    before = all_cpu_seconds(pid)
    pages, refused = load(address, made, options.clients, options.seconds)
    cpu = (all_cpu_seconds(pid) - before) / max(pages, 1)
    return Rate(pages / options.seconds, cpu, refused / options.seconds)


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far, as Linux counts it: of the threads that it has now."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((each / "schedstat").read_text(encoding="ascii").split()[0]) for each in threads) / 1e9


def all_cpu_seconds(pid: int) -> float:
    """The same of threads that have ended as well, as those for questions do after some seconds; in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Memory of the server's process now, as Linux counts it."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def claim(options, timings, computed, sizes, static, rates, memory, neurons) -> Claim:
    rows = [
        [way, f"{1000 * timings.median(way):.1f}", f"{1000 * timings.percentile(way, 95):.1f}"]
        + ([f"{1000 * computed.median(way):.1f}", f"{(sizes[way]) / 1000:.0f}"] if way in sizes else ["", ""])
        for way in timings.seconds
    ]
    slowest = {
        kind: max(1000 * timings.percentile(way, 95) for way in sizes if way.endswith(ANEW) == anew)
        for kind, anew in (("made anew", True), ("asked before", False))
    }
    mixes = "; ".join(f"{1000 * rate.cpu:.1f} ms of {name}" for name, rate in rates.items())
    refused = "; ".join(f"{rate.refused:.0f} a second of {name}" for name, rate in rates.items())
    first = (max(sizes.values()) + static) / 1000
    return Claim(
        name=scaled("pages", "8b" if neurons > 400_000 else "small"),
        title=f"Pages of the explorer, {neurons:,} neurons",
        command="python -m benchmarks.speed.pages ATLAS",  # the large one: benchmarks.common.make_atlas --scale 8b
        text=(
            f"The server and its visitors on one machine. {options.rounds} of each page in turn, after 5 that do not "
            "count, on one connection; kB as sent, packed. Pages are kept once they were made, so another neuron "
            f"each time stands beside one again. A first visit brings {static / 1000:.0f} kB of style and script "
            f"besides. Then {options.clients} visitors ask without a pause for {options.seconds:g} s; for each page "
            f"the server computes {mixes}. It serves at most {RATE:.0f} requests a second and refuses those beyond, "
            f"which then come again: {refused}. What it computes is the time of its threads on a processor, as "
            "Linux counts it, by pages the median of turns of their own. Last, the questions of three pages alone, "
            "asked in another process in the same turns."
        ),
        machine=machine(packages=("duckdb",)),
        tables=[Table(["page", "p50, ms", "p95, ms", "server computes, ms", "kB"], rows)],
        goals=[
            *(
                Goal(f"slowest page {kind}, warm p95", f"<= {GOAL_P95_MS:.0f} ms", f"{ms:.1f} ms", ms <= GOAL_P95_MS)
                for kind, ms in slowest.items()
            ),
            Goal("first load of the largest page", f"<= {GOAL_KB:.0f} kB", f"{first:.0f} kB", first <= GOAL_KB),
            *(
                Goal(
                    f"pages a second, {options.clients} visitors, {name}",
                    f">= {GOAL_RATE:.0f}",
                    f"{rate.pages:.0f}",
                    rate.pages >= GOAL_RATE,
                )
                for name, rate in rates.items()
            ),
            Goal("memory after that", f"<= {GOAL_MB:.0f} MB", f"{memory:.0f} MB", memory <= GOAL_MB),
        ],
    )


if __name__ == "__main__":
    main()
