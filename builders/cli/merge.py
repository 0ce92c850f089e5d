"""The command `merge`."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.answers.result import Result
from atlas.cli.emit import emit_made
from atlas.cli.options import made_options
from builders.progress import for_terminal


@click.command(
    epilog="Example: neuron-atlas merge big.duckdb.shard-1-of-2 big.duckdb.shard-2-of-2 -o big.duckdb",
)
@click.argument("shards", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), required=True, help="The atlas to write.")
@click.option("--replace", "existing", flag_value="replace", help="Replace an atlas of that name.")
@click.option("--resume", "interrupted", flag_value="resume", help="Continue an unfinished merge.")
@click.option("--restart", "interrupted", flag_value="restart", help="Drop an unfinished merge.")
@made_options
def merge(
    shards: tuple[Path, ...],
    target: Path,
    existing: str | None,
    interrupted: str | None,
    output_format: str | None,
) -> None:
    """Put the SHARDS of a build (`build --shard`) together: the atlas that one build would have written.

    All of them are needed, each once, of one model, corpus and set of options. What shards do not make is made now, so
    the model and the texts must be here. Prints the path of the atlas.
    """
    from builders.shards.command import merge as run

    report = run(
        list(shards),
        target,
        existing=existing or "refuse",
        interrupted=interrupted or "refuse",
        progress=for_terminal(),
    )
    made = Result(["shards", "path"], [(len(shards), str(report.path))], report.notes)
    emit_made(made, output_format)
