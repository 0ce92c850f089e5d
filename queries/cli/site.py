"""`neuron-atlas site`: pages of the explorer as a folder that any web host can show."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.answers.result import Result
from atlas.cli.emit import emit_made
from atlas.cli.options import made_options
from atlas.extras import require
from queries.cli.options import Source, source_options

DEFAULT_TOP = 5


@click.command("site", epilog="Example: neuron-atlas site -o dogs --neurons L29N808,L29N44")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="FOLDER",
    help="Folder to write; it is made if it is not there.",
)
@click.option("--neurons", multiple=True, metavar="LIST", help="Pages of these neurons, as in L29N808,L29N44.")
@click.option(
    "--top-per-concept",
    type=click.IntRange(0, 1000),
    metavar="N",
    help=f"Pages of the N neurons that tell each concept best. Default: {DEFAULT_TOP} without --neurons, else none.",
)
@made_options
@source_options
def site(
    output: Path, neurons: tuple[str, ...], top_per_concept: int | None, output_format: str | None, source: Source
) -> None:
    """Save pages that lead to each other: of the atlas, of every concept and layer, and of the chosen neurons.

    The folder can be copied to any web host, or opened from a disk. Its search needs no server: it finds addresses,
    concepts, and the tokens of the neurons that are there. A page that is there already, of the same atlas with the
    same choice, is kept, so that what was broken off goes on; pages of an earlier choice are removed, and a file that
    is no page of ours is never replaced.
    """
    require("jinja2", extra="web", why="to draw pages")
    from queries.web.static_site import make_site

    named = [address for each in neurons for address in each.split(",") if address]
    top = top_per_concept if top_per_concept is not None else 0 if named else DEFAULT_TOP
    made = source.ask(make_site, output, neurons=named, top_per_concept=top)
    emit_made(Result(["path", "written", "kept"], [(str(made.first), made.written, made.kept)]), output_format)
