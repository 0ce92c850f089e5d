"""`neuron-atlas graph`: which tokens, after which others, fire a neuron."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.cli.emit import Output, note
from atlas.cli.options import answer_options, section_option, writable
from atlas.errors import UsageError
from atlas.sites import DEFAULT_SITE, SITES
from atlas.whole_file import is_one_of, write_whole
from queries.cli.options import Source, source_options
from queries.graph import SECTIONS, dot, neuron_graph, stored_graph


@click.command(epilog="Example: neuron-atlas graph L29N808 --plot L29N808.png")
@click.argument("address", metavar="ADDRESS")
@click.option("--site", type=click.Choice(list(SITES)), default=DEFAULT_SITE, show_default=True, help="Where.")
@click.option(
    "--dot",
    "dot_file",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=writable,
    metavar="FILE",
    help="Also write the graph for Graphviz.",
)
@section_option(SECTIONS)
@source_options
@answer_options(picture="Also draw the graph.")
def graph(address: str, site: str, dot_file: Path | None, section: str | None, source: Source, out: Output) -> None:
    """What fires the neuron at ADDRESS (L29N808), as a tree of tokens.

    At the top stand the tokens that the neuron fires at; below each what has to come before it, and so on backwards.
    Where patterns end stands their activation, as a part of the neuron's largest. The scores are of texts that the
    graph was not made from. `build --graphs` makes graphs from exemplars, by the live model.
    """
    for other in (out.path, out.picture):
        if dot_file is not None and other is not None and is_one_of(dot_file, [other]):
            raise UsageError(f"--dot names {other}, as another option does", "Name two files.")
    with source.open() as atlas:
        answer = neuron_graph(atlas, address, site=site)
        if dot_file is not None:
            write_whole(dot(stored_graph(atlas, address, site=site)).encode("utf-8", "replace"), dot_file)
            note(f"graph written to {dot_file}")
        if out.picture is not None:
            from queries.plots.graph import plot_graph

            left = plot_graph(atlas, address, out.picture, site=site)
            note(f"picture written to {out.picture}" + (f", without {left} nodes" if left else ""))
    out.emit_document(answer, section)
