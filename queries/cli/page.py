"""`neuron-atlas page`: a page of the explorer as one file."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.cli.emit import note
from atlas.cli.options import fit_options, writable
from atlas.extras import require
from atlas.fit_choice import FitChoice
from atlas.whole_file import write_whole
from queries.cli.options import Source, source_options


@click.command("page", epilog="Example: neuron-atlas page L29N808 -o dog.html")
@click.argument("what", metavar="WHAT")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    callback=writable,
    metavar="FILE",
    help="Write to FILE.",
)
@fit_options
@source_options
def page(what: str, output: Path, fit: FitChoice, source: Source) -> None:
    """Save the page that the explorer shows of WHAT as one file of HTML.

    WHAT is a neuron (L29N808), concept/NAME, token/WORD, layer/N, layer (all of them) or atlas. The file holds all that
    it needs: it opens from a disk, loads nothing, and can be sent to somebody. What would lead to other pages is plain
    text in it; `neuron-atlas site` saves pages that lead to each other.
    """
    require("jinja2", extra="web", why="to draw pages")
    from queries.web.saved import one_page

    write_whole(source.ask(one_page, what, fit=fit), output)
    note(f"written to {output}")
