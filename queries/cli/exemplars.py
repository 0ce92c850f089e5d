"""`neuron-atlas exemplars`: where in running text a neuron is largest, smallest or between."""

from __future__ import annotations

import click

from atlas.cli.emit import Output
from atlas.cli.options import answer_options, section_option
from atlas.schema.exemplar_tables import KIND_NAMES
from atlas.sites import DEFAULT_SITE, SITES
from queries.cli.options import Source, source_options
from queries.exemplars import DEFAULT_WIDTH, SECTIONS
from queries.exemplars import exemplars as question


@click.command(epilog="Example: neuron-atlas exemplars L29N808 --kind top")
@click.argument("address", metavar="ADDRESS")
@click.option(
    "--kind",
    type=click.Choice(KIND_NAMES),
    help="Only these. top: largest in their text; bottom: smallest; band: of texts drawn at random, from each quarter "
    "by their largest; quadrant: by the signs of gate and up. Default: all.",
)
@click.option("--site", type=click.Choice(list(SITES)), default=DEFAULT_SITE, show_default=True, help="Where.")
@click.option(
    "--width", type=int, default=DEFAULT_WIDTH, show_default=True, metavar="TOKENS", help="How much of a text is shown."
)
@section_option(SECTIONS)
@source_options
@answer_options()
def exemplars(
    address: str, kind: str | None, site: str, width: int, section: str | None, source: Source, out: Output
) -> None:
    """Where in running text the neuron at ADDRESS (L29N808) is largest, smallest or between, and how often it fires.

    Each row is a text and a token of it, which stands in « »; the value is the activation there. JSON also has the
    activation of each token around it. For atlases that were built with --texts.
    """
    out.emit_document(source.ask(question, address, kind=kind, site=site, width=width), section)
