"""`neuron-atlas concept`: the neurons that encode a concept."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.answers.cells import quoted
from atlas.cli.emit import emit, note
from atlas.cli.options import atlas_option, limit_option, output_options, timeout_option
from atlas.store.reader import open_atlas
from atlas.whole_file import require_apart
from queries.cli.options import fit_options, range_options
from queries.neurons import neurons_for_concept
from queries.tokens import token_forms


@click.command(epilog="Example: neuron-atlas concept sports --max-leakage 0.05 --limit 10")
@click.argument("name", metavar="NAME")
@range_options
@click.option("--layer", type=int, help="Only this layer, counted from 0.")
@click.option("--max-leakage", type=float, metavar="SHARE", help="Only neurons that leak at most this share.")
@click.option("--min-coverage", type=float, metavar="SHARE", help="Only neurons that cover at least this share.")
@click.option(
    "--token",
    "words",
    multiple=True,
    metavar="WORD",
    help="Only neurons that also hold this word; repeatable.",
)
@fit_options
@limit_option(20)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Also draw the best ones.",
)
@atlas_option
@timeout_option
@output_options
def concept(
    name: str,
    rule: str,
    tau: float | None,
    layer: int | None,
    max_leakage: float | None,
    min_coverage: float | None,
    words: tuple[str, ...],
    family: str | None,
    site: str | None,
    position: str | None,
    template: str | None,
    limit: int,
    plot: Path | None,
    atlas_path: Path,
    timeout: float | None,
    output_format: str,
    output: Path | None,
) -> None:
    """Neurons that encode the concept NAME, strongest first, with the range in which each one does.

    The range is mean +- tau standard deviations of the activation on the concept. coverage is the share of
    the concept's activations inside it, leakage the share of all others, worst_concept the one that gets in
    most. auc tells the concept from the rest: 0.5 nothing, 1 always higher, 0 always lower.

    reads are the tokens that open the neuron: those that gate_proj raises (up_proj where there is no gate).
    writes are the tokens that it makes likelier when its activation goes from the rest's mean to the concept's:
    those that down_proj raises, or where the concept's mean is the lower one those that it lowers.
    """
    fit = {"family": family, "site": site, "position": position, "template": template}
    require_apart(output, plot)
    with open_atlas(atlas_path, timeout) as atlas:
        if words:
            forms = token_forms(atlas, words)
            note("tokens used: " + " ".join(map(quoted, forms.column("token"))))
        result = neurons_for_concept(
            atlas,
            name,
            rule=rule,
            tau=tau,
            layer=layer,
            max_leakage=max_leakage,
            min_coverage=min_coverage,
            words=words or None,
            limit=limit,
            **fit,
        )
        if plot is not None:
            from queries.plots.plot import plot_concept

            plot_concept(atlas, name, plot, tau=tau, rule=rule, **fit)
            note(f"picture written to {plot}")
    emit(result, output_format, output)
