"""`neuron-atlas spec`: an intervention spec from what the atlas knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from atlas.cli.emit import deliver, note
from atlas.cli.options import fit_options_with, writable
from atlas.fit_choice import FitChoice
from atlas.sites import WEIGHTS
from atlas.spec.fields import PHASES
from atlas.spec.text import dumps, write_spec
from queries.cli.options import Source, sign_option, source_options
from queries.rules import RULES
from queries.specs.make_spec import spec_and_notes
from queries.specs.neurons import DEFAULT_TOP, DEFAULT_WEIGHT
from queries.specs.remarks import remarks
from queries.specs.request import BOUNDS

EXAMPLES = """\b
Examples:
  neuron-atlas spec --concept sports --top 2000 -o sports.spec.json
  neuron-atlas spec --concept sports --rule mean_abs --top 30% --layers 12-29 --op set=mean
  neuron-atlas spec --concept sports --top 50 --op damp=0.125 --tau 2
  neuron-atlas spec --token dog --top 5 --op set=20
  neuron-atlas spec --neurons L29N808,L29N812 --op scale=0.5 --phase generated
"""


@click.command(epilog=EXAMPLES)
@click.option("--concept", metavar="NAME", help="Neurons of this concept, and its ranges.")
@click.option("--token", metavar="WORD", multiple=True, help="Neurons of this word instead; repeat for several.")
@click.option("--neurons", metavar="LIST", help="These neurons instead, as in L29N808,L3N5.")
@click.option(
    "--rule",
    type=click.Choice(list(RULES)),
    help="By what a concept's neurons rank. Default: interval with --bounds interval, else auc.",
)
@click.option(
    "--max-leakage",
    type=float,
    metavar="SHARE",
    help="Only neurons of the concept that leak at most this share: held out with --bounds interval, else measured in "
    "the range.",
)
@click.option(
    "--min-coverage", type=float, metavar="SHARE", help="Only neurons that cover at least this share, likewise."
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
    help="set, scale, add or damp; also set=mean (over all examples), set=concept-mean, set=rest-mean (over the other "
    "concepts) and set=contrast:S (from the concept's mean S times the way to the rest's).",
)
@click.option(
    "--range/--whole-neuron",
    "use_range",
    default=None,
    help="Edit only values inside the concept's range, or all. Default: with --concept the range.",
)
@click.option(
    "--tau",
    type=float,
    help="Half-width of the range in standard deviations; any. Default: 2.5, else the only one that was measured.",
)
@click.option(
    "--bounds",
    type=click.Choice(list(BOUNDS)),
    help="Which range: "
    + "; ".join(f"{name}: {meaning}" for name, meaning in BOUNDS.items())
    + ". Default: interval; gaussian with --tau, damp or low_leakage, and where an atlas has no intervals.",
)
@click.option("--phase", type=click.Choice(list(PHASES)), default="all", show_default=True, help="When to edit.")
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
@sign_option("Raised or lowered words.")
@click.option("--exact", is_flag=True, help='Take each WORD as the literal text of a token, as in " dog".')
@fit_options_with(site="Where to edit. Default: where the fit or the word is.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=writable,
    metavar="FILE",
    help="Write to FILE.",
)
@source_options
def spec(source: Source, output: Path | None, token: tuple[str, ...], fit: FitChoice, **options: Any) -> None:
    """Write an intervention spec: which neurons to change, how, and in which range of their values.

    Neurons are chosen by --concept, by --token or by name. The JSON goes to stdout or to FILE (replacing it),
    complete with all numbers, so that it works without the atlas.

    The number of set and add counts towards the word with --token: a neuron that lowers it gets the negative.
    """
    found = source.ask(spec_and_notes, token=list(token) or None, fit=fit, **options)
    made = found.spec
    if output is None:
        deliver(dumps(made).encode(), None)
    else:
        write_spec(made, output)
    for text in (*remarks(made), *found.notes):
        note(text)
    if output is not None:
        note(f"written to {output}")
