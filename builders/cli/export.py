"""The command `export`."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.answers.result import Result
from atlas.cli.emit import emit_document, emit_made
from atlas.cli.model_options import cache_option, model_option
from atlas.cli.options import format_for, made_options, refuse_binary, section_option
from atlas.errors import UsageError
from atlas.whole_file import require_output
from builders.export.capabilities import SECTIONS, capabilities
from builders.export.registry import target as find

EXAMPLES = """\b
Examples:
  neuron-atlas export sports.spec.json --to hooks -o sports_hooks.py
  neuron-atlas export sports.spec.json --to weights -o models/smollm2-without-sports
  neuron-atlas export --list
"""


@click.command(epilog=EXAMPLES)
@click.argument("spec", required=False, type=click.Path(path_type=Path))
@click.option("--to", "target", metavar="TARGET", help="The form to write; see --list.")
@click.option(
    "-o",
    "--output",
    is_eager=True,
    type=click.Path(path_type=Path),
    help="The file or folder to write; with --list, the file for the list.",
)
@model_option
@cache_option
@click.option("--force", is_flag=True, help="Replace an earlier export.")
@click.option(
    "--list", "show_list", is_flag=True, help="Show what each target can express, a table without --format, and leave."
)
@section_option(SECTIONS)
@made_options
def export(
    spec: Path | None,
    target: str | None,
    output: Path | None,
    model: str | None,
    force: bool,
    show_list: bool,
    section: str | None,
    output_format: str | None,
) -> None:
    """Write SPEC in a form that another tool loads.

    What a target can't do exactly is refused. The result carries the spec's check and is verified in its own
    runtime before it appears; prints its path.
    """
    if show_list:
        if output is not None:
            require_output(output)
        emit_document(capabilities(), section, output_format or format_for(output), output)
        return
    if section is not None:
        raise UsageError("--section goes with --list")
    for value, name in ((spec, "SPEC"), (target, "--to TARGET"), (output, "-o PATH")):
        if value is None:
            raise UsageError(f"{name} is missing", "See neuron-atlas export --help, and --list for the targets.")
    refuse_binary(output_format, None)  # the answer is about the export, which is what goes to -o
    find(target)
    from atlas.spec.text import read_spec

    document = read_spec(spec)
    from builders.export.export import export as write

    report = write(document, target, output, model=model, force=force, inputs=[spec])
    allowed = document.check.tolerance
    notes = [report.note] if report.note else []
    if report.difference is not None:
        notes.append(f"verified, {report.difference:.1e} from the check ({allowed:g} is allowed)")
    row = (target, str(report.path), report.difference, allowed)
    emit_made(Result(["target", "path", "difference", "tolerance"], [row], notes), output_format)
