"""`neuron-atlas neuron`: the whole card of one neuron."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.cli.emit import emit_document, note
from atlas.cli.options import atlas_option, output_options, timeout_option
from atlas.store.reader import open_atlas
from atlas.whole_file import require_apart
from queries.card import compact_tokens, neuron_card
from queries.cli.options import fit_options

SECTIONS = ("tokens", "concepts", "background")


@click.command(epilog="Example: neuron-atlas neuron L29N808 --top 5")
@click.argument("address", metavar="ADDRESS")
@click.option("--top", type=click.IntRange(min=1), help="Tokens per weight and sign. Default: 8.")
@click.option("--tau", type=float, help="Half-width of the ranges in standard deviations; one that was measured.")
@click.option("--section", type=click.Choice(SECTIONS), help="Only this part; needed for jsonl, csv, parquet, arrow.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Also draw its Gaussians.",
)
@fit_options
@atlas_option
@timeout_option
@output_options
def neuron(
    address: str,
    top: int | None,
    tau: float | None,
    section: str | None,
    plot: Path | None,
    family: str | None,
    site: str | None,
    position: str | None,
    template: str | None,
    atlas_path: Path,
    timeout: float | None,
    output_format: str,
    output: Path | None,
) -> None:
    """The card of the neuron at ADDRESS, written L29N808: layer 29, neuron 808, both counted from 0.

    Its tokens by weight and sign (1: raised, -1: lowered): what it reads, the tokens that it responds to, stands
    under up_proj and gate_proj, what it writes, the tokens that it makes likelier, under down_proj. Its Gaussian
    and range under every concept (best separated first), and its background over all examples. The options that
    name a fit narrow what is listed.
    """
    fit = {"family": family, "site": site, "position": position, "template": template}
    require_apart(output, plot)
    with open_atlas(atlas_path, timeout) as atlas:
        card = neuron_card(atlas, address, tau=tau, top=top, **fit)
        if plot is not None:
            from queries.plots.plot import plot_neuron

            plot_neuron(atlas, address, plot, tau=tau, **fit)
            note(f"picture written to {plot}")
    if output_format == "table" and section is None and "tokens" in card.sections:
        card.sections["tokens"] = compact_tokens(card.sections["tokens"])
    emit_document(card, section, output_format, output)
