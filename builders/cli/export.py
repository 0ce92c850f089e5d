"""The command `export`."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.cli.model_options import cache_option
from atlas.errors import UsageError
from atlas.printable import for_stdout, say

EXAMPLES = """\b
Examples:
  neuron-atlas export sports.spec.json --to hooks -o sports_hooks.py
  neuron-atlas export sports.spec.json --to weights -o models/smollm2-without-sports
  neuron-atlas export --list
"""


@click.command(epilog=EXAMPLES)
@click.argument("spec", required=False, type=click.Path(path_type=Path))
@click.option("--to", "target", metavar="TARGET", help="The form to write; see --list.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file or folder to write.")
@click.option("--model", help="The model, if it is not where the spec says.")
@cache_option
@click.option("--force", is_flag=True, help="Replace an earlier export.")
@click.option("--list", "show_table", is_flag=True, help="Show what each target can express, and leave.")
def export(
    spec: Path | None, target: str | None, output: Path | None, model: str | None, force: bool, show_table: bool
) -> None:
    """Write SPEC in a form that another tool loads.

    What a target can't do exactly is refused. The result carries the spec's check and is verified in its own
    runtime before it appears; prints its path.
    """
    from builders.export.registry import target as find

    if show_table:
        click.echo(_table())
        return
    for value, name in ((spec, "SPEC"), (target, "--to TARGET"), (output, "-o PATH")):
        if value is None:
            raise UsageError(f"{name} is missing", "See neuron-atlas export --help, and --list for the targets.")
    find(target)
    from atlas.spec.text import read_spec

    document = read_spec(spec)
    from builders.export.export import export as write

    report = write(document, target, output, model=model, force=force, inputs=[spec])
    if report.note:
        say("note", report.note)
    if report.difference is not None:
        allowed = document.check.tolerance
        say("note", f"verified, {report.difference:.1e} from the check ({allowed:g} is allowed)")
    click.echo(for_stdout(str(report.path)))


def _table() -> str:
    from builders.export.capabilities import CAPABILITY_COLUMNS, capability_rows
    from builders.export.registry import TARGETS

    rows = [CAPABILITY_COLUMNS, *capability_rows()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(CAPABILITY_COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    meanings = [f"{name.ljust(widths[0])}  {row.summary}" for name, row in TARGETS.items()]
    return "\n".join([*lines, "", *meanings])
