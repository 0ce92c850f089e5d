"""Builds whose workers are killed at moments that are drawn: are their rows those of one process?

    python -m tests.builders.workers.killed_at_random --builds 30 --seed 16

Each build has two workers; it decodes, takes the facts of the weights and makes what is read from a labelled corpus and
running text, but for gradients. One to four times, after a time drawn from the length of an undisturbed build, one of
the workers is killed (SIGKILL), whatever it does: also while it loads the model. Writes a line a build, and ends with
code 1 if any row differs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builders.build.pipeline import build
from builders.progress import Silent
from tests.builders.workers.options import OPTIONS
from tests.end_to_end.workbench import all_rows, built, config, write_corpus
from tests.synthetic import make_model


@contextmanager
def killing(moments: list[float], numbers: random.Random, hit: list[str]) -> Iterator[None]:
    """Kill a worker so many seconds after the beginning; `hit` gets the names of those that were there."""
    over = threading.Event()

    def kill() -> None:
        begun = time.monotonic()
        for moment in moments:
            if over.wait(max(0.0, begun + moment - time.monotonic())):
                return
            workers = sorted(multiprocessing.active_children(), key=lambda worker: worker.name)
            if workers and (chosen := numbers.choice(workers)).pid is not None:
                os.kill(chosen.pid, signal.SIGKILL)
                hit.append(chosen.name)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def say(text: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """1 if any build differed, else 0."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--builds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=16)
    said = parser.parse_args()
    numbers, differing, kills = random.Random(said.seed), 0, 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model, corpus = make_model("llama", folder / "model"), write_corpus(folder / "words.jsonl")
        alone = all_rows(built(model, folder / "alone.duckdb", corpus, texts=(str(corpus),), **OPTIONS))
        seconds = 0.0
        for number in range(said.builds + 1):  # the first one is undisturbed: how long one takes
            target = folder / f"{number}.duckdb"
            moments = sorted(numbers.uniform(0, seconds) for _ in range(numbers.randint(1, 4) if number else 0))
            hit: list[str] = []
            begun = time.monotonic()
            with killing(moments, numbers, hit):
                options = config(model, target, corpus, texts=(str(corpus),), **OPTIONS)
                build(options, workers=2, progress=Silent())
            took = time.monotonic() - begun
            found = all_rows(target)
            other = [table for table in alone if found[table] != alone[table]]
            seconds, differing, kills = seconds or took, differing + bool(other), kills + len(hit)
            rows = f"rows differ in {', '.join(other)}" if other else "the same rows"
            say(f"build {number}: {took:.0f} s, killed: {', '.join(hit) or 'none'}; {rows}")
            target.unlink()
    say(f"{said.builds} builds, {kills} workers killed, {differing} with other rows")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
