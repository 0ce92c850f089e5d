"""A build by two workers of one thread each against one process of one thread: seconds, and whether rows are equal.

Run: python -m benchmarks.speed.workers [--layers 0-9] [--limit 60] [--rounds 2]; without limits, the whole demo.

Also what the host still does after the workers' last answer (the rest of committing, what is chosen at the end,
publishing) against publishing alone: what it does meanwhile costs nobody anything.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from atlas.schema.tables import TABLES
from atlas.store.reader import open_atlas
from benchmarks.common.claim import Claim, Goal, Table
from benchmarks.common.measure import environment, machine

FOLDER = Path(__file__).parents[2] / "data" / "work"
GOAL, GOAL_HOST = 1.8, 1.2
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
    parser.add_argument("--layers", help="A part of the model, such as 0-9.")
    parser.add_argument("--limit", type=int, help="Texts of each concept.")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    command = ["build", "smollm2-135m", "--holdout", "0.25", "--texts", "topics", "--texts", "emotions", *said(options)]
    ways: dict[str, list[str]] = {"one process": [], "two workers": ["--workers", "2"]}
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        rows, hosts = {}, []
        for _ in range(options.rounds):
            for name, more in ways.items():
                target = Path(folder) / "a.duckdb"
                begun = time.perf_counter()
                lines = run([*command, "-o", str(target), *more])
                end = time.perf_counter()
                seconds[name].append(end - begun)
                if more:
                    hosts.append(host_part(lines, end))
                rows[name] = stored(target)
                target.unlink()
    equal = rows["one process"] == rows["two workers"]
    claim(options, seconds, min(hosts), equal=equal, cores=two_at_once()).write()


def said(options: argparse.Namespace) -> list[str]:
    """The limits as options of `build`, which is the demo's without them."""
    found = [] if options.layers is None else ["--layers", options.layers]
    return found if options.limit is None else [*found, "--limit-per-concept", str(options.limit)]


def run(arguments: list[str]) -> list[tuple[float, str]]:
    """One command, each of its processes with one thread: its lines of progress, and when they came."""
    command = [sys.executable, "-m", "atlas", *arguments]
    streams = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, env=environment(OMP_NUM_THREADS="1"), **streams) as it:
        assert it.stderr is not None
        lines = [(time.perf_counter(), line) for line in it.stderr]
    if it.returncode:
        raise SystemExit("".join(line for _, line in lines[-5:]))
    return lines


def host_part(lines: list[tuple[float, str]], end: float) -> tuple[float, float]:
    """Seconds from the workers' last answer to the end of the command, and from where publishing begins."""
    answered = max(when for when, line in lines if line.startswith("progress: worker "))
    publishing = next(when for when, line in lines if line == "progress: publishing\n")
    return end - answered, end - publishing


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


def claim(
    options: argparse.Namespace,
    seconds: dict[str, list[float]],
    host: tuple[float, float],
    *,
    equal: bool,
    cores: float,
) -> Claim:
    """Of the best round of each, which other programs disturb least."""
    best = {name: min(taken) for name, taken in seconds.items()}
    ratio = best["one process"] / best["two workers"]
    limits = "".join(f" --{name} {value}" for name, value in vars(options).items() if value is not None)
    what = "the demo build" if options.layers is None and options.limit is None else "a part of the demo build"
    after, publishing = host
    return Claim(
        "workers",
        "Workers",
        f"python -m benchmarks.speed.workers{limits}",
        "The whole command, from its start to the published atlas, with loading the model, which every worker does "
        f"once more: {what}, all processes with one thread. Two processes that only multiply, at once, do {cores:.2f} "
        f"times what one does on this machine. After the workers' last answer the host took {after:.1f} s to the end, "
        f"of which {publishing:.1f} s are publishing.",
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
            Goal(
                "the host after the last answer / publishing",
                f"≤ {GOAL_HOST}",
                f"{after / publishing:.2f}",
                after <= GOAL_HOST * publishing,
            ),
            Goal("rows of all tables", "equal", "equal" if equal else "other", equal),
        ],
    )


if __name__ == "__main__":
    main()
