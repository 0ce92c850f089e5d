"""What evaluations of specs found, from the sidecar of an atlas."""

from __future__ import annotations

from pathlib import Path

from atlas.answers.result import Result
from atlas.errors import AtlasFileError
from atlas.store.evaluations import read_rows, sidecar_of
from queries.answering import question
from queries.require import require_limit
from queries.sqlfile import load_sql

SHOWN = "target rule top op bounds tau sites layers arm metric text_group value drop_value drop_low drop_high n".split()


@question
def evaluations(
    atlas_path: Path,
    *,
    target: str | None = None,
    metric: str | None = None,
    sweep_id: str | None = None,
    limit: int = 1_000_000,
    timeout_s: float | None = None,
) -> Result:
    """One row an arm, metric and group of texts, newest evaluation first. None does not restrict.

    bounds, tau, sites and layers say which range was edited where; layers as `spec --layers` takes them ("12-29,3").

    No row, with a note, where nothing has been evaluated yet. Raises AtlasFileError when the sidecar cannot
    be read, or there is neither it nor the atlas. `timeout_s` is that of `open_atlas`.
    """
    require_limit(limit)
    path = sidecar_of(atlas_path)
    if not path.exists():
        if not atlas_path.exists():
            raise AtlasFileError(f"there is no atlas at {atlas_path}", "Build one: neuron-atlas build MODEL -o FILE.")
        return Result(SHOWN, [], notes=[f"nothing has been evaluated: there is no {path}"])
    wanted = {"target": target, "metric": metric, "sweep_id": sweep_id, "limit": limit + 1}
    columns, rows = read_rows(path, load_sql("evaluations"), wanted, timeout_s)
    at = columns.index("layers")
    rows = [(*row[:at], spans(row[at]), *row[at + 1 :]) for row in rows]
    return Result(columns, rows, shown=SHOWN).cut(limit)


def spans(numbers: list[int] | None) -> str | None:
    """Ascending numbers in short: [3, 12, 13, 14] is '3,12-14'. None for none."""
    if not numbers:
        return None
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if run[1:] else f"{run[0]}" for run in runs)
