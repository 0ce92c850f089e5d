"""The comparison with PostgreSQL as tables and goals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from atlas.manifest import Manifest
from benchmarks.common.claim import Claim, Goal, Table
from benchmarks.common.measure import Timings

TIMES_FASTER = 20.0
BEHIND_MS = 3.0
TIMES_SMALLER = 4.0
NORM_BYTES = 8  # what the norm adds to a row, with padding: it makes the rival faster and larger
# Questions that read many rows must be TIMES_FASTER than the rival with B-trees; where the rival is the faster one
# in the others, it may be so by BEHIND_MS.
MANY_ROWS = ("hub token", "set of 20 forms, common words", "concept and set, common words", "layer summary")
NO_GOAL = ("set of 20 forms, any words", "concept and set, any words", "the same walked, common words")

_TEXT = """Both sides start from words, a concept's name or an address, and end with Python rows of the same columns:
ours through the public functions of `queries`, the rival through prepared statements of psycopg. {count} parameter
sets a question; before any time is taken all answers of both sides are compared, row by row and column by column, and
a question with a difference gets no times. Times are medians and 95th percentiles in ms after one round that does not
count; "times" is the median ratio within a round. A session with the atlas keeps norms, vocabulary, the heads of the
token lists and the order of a concept's neurons in memory once it has been asked for them a few times, as the server
keeps its buffers; what the first question of a session costs stands in a table of its own.
PostgreSQL has 1 GB of shared buffers, 64 MB of working memory, no JIT (it made a layer's summary slower) and its
parallel workers; norms stand in the rows of the tokens (joining them in took up to 4 times as long), ranges and
background means in the rows of the Gaussians, and an index holds the order in which concepts are asked for. Common
words are drawn as often as they stand in the lists, any words with equal chances. "Walked" is another way to ask for
concept and set: it searches neuron after neuron in the concept's order, which is nearly all of them where the words
are rare. Loading times of the
rival leave out reading the atlas; sizes are of the tables that both sides hold, with their indexes; the goal on size
leaves out the norms in the rival's rows."""


@dataclass(frozen=True)
class Measured:
    """One variant of the rival. `times` holds, per question, times of "ours" and "theirs", or why there are none."""

    variant: str
    seconds: dict[str, float]
    size: int
    times: dict[str, Timings | str]


def claim(
    found: list[Measured],
    first: dict[str, Timings],
    manifest: Manifest,
    size: int,
    path: Path,
    scale: str,
    count: int,
    machine: str,
) -> Claim:
    """`found` begins with the variant that the goals, and the times of `first` questions, are about.

    `size` is that of the atlas's tables in bytes; `scale` is empty for an atlas of the caller's.
    """
    neurons = manifest.n_layers * manifest.d_mlp
    arguments = f"--scale {scale}" if scale else f"--atlas {path.name}"
    tables = [*map(_times, found), _first(first), _sizes(found, size, path.stat().st_size, neurons)]
    return Claim(
        name="postgres-8b" if scale == "8b" else "postgres",
        title=f"Against PostgreSQL: {neurons:,} neurons, three weights",
        command=f"python -m benchmarks.postgres.main {arguments}",
        text=" ".join(_TEXT.format(count=count).split()),
        machine=machine,
        tables=tables,
        goals=goals(found[0], 6 * manifest.top * neurons, size) if scale == "8b" else [],
    )


def goals(rival: Measured, postings: int, size: int) -> list[Goal]:
    """What was promised for the shape of an 8B model. The rival's size is taken without the norms in its rows."""
    promised = [_goal(name, times) for name, times in rival.times.items() if name not in NO_GOAL]
    smaller = (rival.size - NORM_BYTES * postings) / size
    wanted = f"over {TIMES_SMALLER:g} times smaller"
    return [*promised, Goal("size of the same tables", wanted, f"{smaller:.1f}", smaller > TIMES_SMALLER)]


def _goal(name: str, times: Timings | str) -> Goal:
    faster = name in MANY_ROWS
    wanted = f"{TIMES_FASTER:g} times faster" if faster else f"at most {BEHIND_MS:g} ms slower"
    if isinstance(times, str):
        return Goal(name, wanted, "answers differ", False)
    if faster:
        ratio = times.ratio("theirs", "ours")
        return Goal(name, wanted, f"{ratio:.1f}", ratio >= TIMES_FASTER)
    behind = 1e3 * (times.median("ours") - times.median("theirs"))
    return Goal(name, wanted, f"{behind:+.1f} ms", behind <= BEHIND_MS)


def _times(rival: Measured) -> Table:
    columns = ["question", "ours p50", "ours p95", "PostgreSQL p50", "PostgreSQL p95", "times"]
    return Table(columns, [_row(name, times) for name, times in rival.times.items()], rival.variant)


def _row(name: str, times: Timings | str) -> list[str]:
    if isinstance(times, str):
        return [name, f"answers differ: {times}", "", "", "", ""]
    cells = [f"{1e3 * times.percentile(way, p):.2f}" for way in ("ours", "theirs") for p in (50, 95)]
    return [name, *cells, f"{times.ratio('theirs', 'ours'):.2f}"]


def _first(first: dict[str, Timings]) -> Table:
    rows = [[name, *(f"{1e3 * times.median(way):.1f}" for way in ("ours", "theirs"))] for name, times in first.items()]
    return Table(["question", "ours", "PostgreSQL"], rows, "The first question of a session, with opening it (ms)")


def _sizes(found: list[Measured], size: int, file_size: int, neurons: int) -> Table:
    def row(name: str, seconds: str, total: int) -> list[str]:
        return [name, seconds, f"{total / 1e6:,.0f}", f"{total / neurons:,.0f}", f"{total / size:.1f}"]

    rows = [row(f"ours (the whole file: {file_size / 1e6:,.0f} MB)", "", size)]
    for rival in found:
        steps = " + ".join(f"{name} {seconds:.1f}" for name, seconds in rival.seconds.items())
        rows.append(row(f"PostgreSQL, {rival.variant}", f"{sum(rival.seconds.values()):.1f} = {steps}", rival.size))
    return Table(["", "seconds to load", "MB", "bytes a neuron", "times"], rows, "Loading and size")
