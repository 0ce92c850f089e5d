"""`neuron-atlas spec`: an intervention spec from what the atlas knows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from atlas.sites import POSITIONS, SITES, WEIGHTS
from atlas.spec import InterventionSpec
from atlas.spec_fields import PHASES
from atlas.spec_json import dumps, write_spec
from atlas.store.reader import open_atlas
from queries.cli.emit import note
from queries.cli.options import atlas_option
from queries.cli.token import SIGNS
from queries.make_spec import make_spec
from queries.rules import DEFAULT_RULE, RULES
from queries.spec_neurons import DEFAULT_TOP, DEFAULT_WEIGHT

EXAMPLES = """\b
Examples:
  neuron-atlas spec --concept sports --top 2000 -o sports.spec.json
  neuron-atlas spec --concept sports --rule mean_abs --top 30% --layers 12-29 --op set=mean
  neuron-atlas spec --concept sports --top 50 --op damp=0.125 --tau 2
  neuron-atlas spec --token dog --top 5 --op set=20
  neuron-atlas spec --neurons L29N808,L29N812 --op scale=0.5 --phase generated
"""


def _split(context: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    return None if value is None else [part for part in value.split(",") if part.strip()]


@click.command(epilog=EXAMPLES)
@click.option("--concept", metavar="NAME", help="Neurons of this concept, and its ranges.")
@click.option(
    "--token", metavar="WORD", multiple=True, help="Neurons of this word instead; repeat for several."
)
@click.option("--neurons", metavar="LIST", callback=_split, help="These neurons instead, as in L29N808,L3N5.")
@click.option(
    "--rule",
    type=click.Choice(list(RULES)),
    help=f"By what a concept's neurons rank. Default: {DEFAULT_RULE}.",
)
@click.option(
    "--top",
    metavar="COUNT|SHARE",
    help="How many, as 2000 or as 30% of all neurons of the layers. "
    f"Default: {DEFAULT_TOP['concept']}, by token {DEFAULT_TOP['token']}.",
)
@click.option("--layers", metavar="LIST", help="Only these layers, as in 12-29,3.")
@click.option(
    "--op",
    default="set=0",
    show_default=True,
    metavar="OP=NUMBER",
    help="set, scale, add or damp; also set=mean (over all examples) and set=concept-mean.",
)
@click.option(
    "--range/--whole-neuron",
    "use_range",
    default=None,
    help="Edit only values inside the concept's range, or all. Default: with --concept the range.",
)
@click.option("--tau", type=float, help="Half-width of the range in standard deviations. Default: 2.5.")
@click.option(
    "--phase", type=click.Choice(list(PHASES)), default="all", show_default=True, help="When to edit."
)
@click.option(
    "--positions",
    default="all",
    show_default=True,
    metavar="all|last|LIST",
    help="Which tokens to edit: all, those that predict (last), or indices as in 0,4-6.",
)
@click.option(
    "--weight",
    type=click.Choice(list(WEIGHTS)),
    help=f"Weight to look for the word in. Default: {DEFAULT_WEIGHT}.",
)
@click.option(
    "--sign", type=click.Choice(list(SIGNS)), default="both", help="Raised or lowered words. Default: both."
)
@click.option("--exact", is_flag=True, help='Take each WORD as the literal text of a token, as in " dog".')
@click.option(
    "--site", type=click.Choice(list(SITES)), help="Where to edit. Default: where the fit or the word is."
)
@click.option("--family", metavar="NAME", help="Family of the concept, or of the mean.")
@click.option(
    "--position", type=click.Choice(POSITIONS), help="Token position of the fit, if there are several."
)
@click.option("--template", metavar="TEXT", help="Prompt template of the fit, if there are several.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write to FILE."
)
@atlas_option
def spec(atlas_path: Path, output: Path | None, token: tuple[str, ...], sign: str, **options: Any) -> None:
    """Write an intervention spec: which neurons to change, how, and in which range of their values.

    Neurons are chosen by --concept, by --token or by name. The JSON goes to stdout or to FILE (replacing it),
    complete with all numbers, so that it works without the atlas.

    The number of set and add counts towards the word with --token: a neuron that lowers it gets the negative.
    """
    with open_atlas(atlas_path) as atlas:
        made = make_spec(atlas, token=list(token) or None, sign=SIGNS[sign], **options)
    if output is None:
        sys.stdout.write(dumps(made))
    else:
        write_spec(made, output)
    note(_summary(made) + (f"; written to {output}" if output else ""))


def _summary(made: InterventionSpec) -> str:
    """'120 edits at mlp_post in layers 0-5, op set=0 in ranges of sports (tau 2.5), mean AUC 0.95, ...'."""
    layers = sorted({edit.layer for edit in made.edits})
    where = f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]}-{layers[-1]}"
    source = made.source
    parts = [f"{len(made.edits)} edit{'s' if len(made.edits) > 1 else ''} at {made.edits[0].site} in {where}"]
    inside = (
        f" inside the range of {source.get('concept')} (tau {source.get('tau'):g})"
        if made.edits[0].when
        else ""
    )
    parts.append(f"op {source['op']}{inside}")
    parts += [
        f"mean {label} {source[name]:.3f}"
        for name, label in (("mean_auc", "AUC (either side)"), ("mean_leakage", "leakage"))
        if name in source
    ]
    return ", ".join(parts)
