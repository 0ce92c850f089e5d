"""`neuron-atlas info` and `neuron-atlas concepts`: what an atlas holds."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.cli.emit import emit, emit_document
from atlas.cli.options import atlas_option, output_options, timeout_option
from atlas.store.reader import open_atlas
from queries import concepts as concepts_question
from queries import info as info_question

SECTIONS = ("fits", "runs", "rows")


@click.command(epilog="Example: neuron-atlas info --format json")
@click.option("--section", type=click.Choice(SECTIONS), help="Only this part; needed for jsonl, csv, parquet, arrow.")
@atlas_option
@timeout_option
@output_options
def info(section: str | None, atlas_path: Path, timeout: float | None, output_format: str, output: Path | None) -> None:
    """What is in the atlas: its model, the fits of concepts, the runs that built it, and row counts."""
    with open_atlas(atlas_path, timeout) as atlas:
        document = info_question.info(atlas)
    emit_document(document, section, output_format, output)


@click.command(epilog="Example: neuron-atlas concepts --family topics")
@click.option("--family", metavar="NAME", help="Only this family.")
@atlas_option
@timeout_option
@output_options
def concepts(
    family: str | None, atlas_path: Path, timeout: float | None, output_format: str, output: Path | None
) -> None:
    """The concepts, each with the neuron that separates it best from the rest of its family.

    A concept is listed once for every site and position at which it was fitted.
    """
    with open_atlas(atlas_path, timeout) as atlas:
        result = concepts_question.concepts(atlas, family=family)
    emit(result, output_format, output)
