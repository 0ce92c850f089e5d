"""What evaluations of specs found, from the sidecar of an atlas."""

from __future__ import annotations

from pathlib import Path

from atlas.store.evaluations import read_rows, sidecar_of
from queries.answering import question
from queries.result import Result
from queries.sqlfile import load_sql

SHOWN = "target rule top op tau arm metric text_group value drop_value drop_low drop_high n".split()


@question
def evaluations(
    atlas_path: Path,
    *,
    target: str | None = None,
    metric: str | None = None,
    sweep_id: str | None = None,
    limit: int = 1_000_000,
) -> Result:
    """One row an arm, metric and group of texts, newest evaluation first. None does not restrict.

    No row, with a note, where nothing has been evaluated yet. Raises AtlasFileError when the sidecar cannot
    be read.
    """
    path = sidecar_of(atlas_path)
    if not path.exists():
        return Result(SHOWN, [], notes=[f"nothing has been evaluated: there is no {path}"])
    wanted = {"target": target, "metric": metric, "sweep_id": sweep_id, "limit": limit + 1}
    columns, rows = read_rows(path, load_sql("evaluations"), wanted)
    return Result(columns, rows, shown=SHOWN).cut(limit)
