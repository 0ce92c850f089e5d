"""`neuron-atlas info` and `neuron-atlas concepts`: what an atlas holds."""

from __future__ import annotations

import click

from atlas.cli.emit import Output
from atlas.cli.options import answer_options, section_option
from queries import concepts as concepts_question
from queries import info as info_question
from queries.cli.options import Source, source_options


@click.command(epilog="Example: neuron-atlas info --format json")
@section_option(info_question.SECTIONS)
@source_options
@answer_options()
def info(section: str | None, source: Source, out: Output) -> None:
    """What is in the atlas: its model, the fits of concepts, the runs that built it, row counts, gradient checks."""
    out.emit_document(source.ask(info_question.info), section)


@click.command(epilog="Example: neuron-atlas concepts --family topics")
@click.option("--family", metavar="NAME", help="Only this family.")
@source_options
@answer_options()
def concepts(family: str | None, source: Source, out: Output) -> None:
    """The concepts, each with the neuron that tells it best from the rest of its family.

    It is the one whose interval has the largest coverage - leakage on texts that it was not found on, in an atlas
    without intervals the one with the AUC furthest from 0.5. interval_p says how often the best of all neurons does as
    well by luck. A concept is listed once for every site and position at which it was fitted.
    """
    out.emit(source.ask(concepts_question.concepts, family=family))
