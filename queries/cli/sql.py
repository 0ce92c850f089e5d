"""`neuron-atlas sql`: one question of your own, read-only and fenced in."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.cli.emit import Output
from atlas.cli.options import answer_options, atlas_option, limit_option
from atlas.errors import UsageError
from queries.sandbox import sandbox
from queries.sandbox.children import DEFAULT_MEMORY_MB
from queries.sandbox.sandbox import run_sql


@click.command("sql", epilog='Example: neuron-atlas sql "SELECT * FROM token_decoding WHERE layer = 29 AND rank = 1"')
@click.argument("sql", required=False, metavar="[SQL]")
@click.option(
    "--file",
    "source",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="Read the SQL from FILE; - is standard input.",
)
@limit_option(sandbox.DEFAULT_ROWS)
@click.option(
    "--timeout",
    type=float,
    default=sandbox.DEFAULT_TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="Stop the query after this time.",
)
@click.option(
    "--memory",
    type=int,
    default=DEFAULT_MEMORY_MB,
    show_default=True,
    metavar="MIB",
    help="Stop the query when its process needs more memory.",
)
@atlas_option
@answer_options()
def sql(
    sql: str | None, source: Path | None, limit: int, timeout: float, memory: int, atlas_path: Path, out: Output
) -> None:
    """Answer one SELECT (or EXPLAIN) over the atlas.

    SQL is the statement, or - to read it from standard input. The tables are described in docs/schema.md.
    The statement runs in a process of its own that cannot open files, load extensions or change anything.
    """
    text = _sql_text(sql, source)
    result = run_sql(atlas_path, text, max_rows=limit, timeout_s=timeout, memory_mb=memory)
    out.emit(result, [source] if source is not None else [])


def _sql_text(sql: str | None, source: Path | None) -> str:
    if (sql is None) == (source is None):
        raise UsageError("give the SQL either as an argument or with --file", "`-` reads standard input.")
    if sql is not None and sql != "-":
        return sql
    # One byte more than is allowed is enough to be refused; standard input may have no end.
    with click.open_file(str(source or "-"), "rb") as stream:
        content = stream.read(sandbox.MAX_SQL_BYTES + 1)
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError:
        raise UsageError(
            f"the SQL is not UTF-8 text of at most {sandbox.MAX_SQL_BYTES // 1024} KiB", "Save it as UTF-8."
        ) from None
