"""`neuron-atlas spec`: an intervention spec from what the atlas knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from atlas.answers.cells import quoted
from atlas.cli.emit import deliver, note
from atlas.cli.options import fit_options_with, writable
from atlas.fit_choice import FitChoice
from atlas.sites import WEIGHTS
from atlas.spec.document import InterventionSpec
from atlas.spec.fields import PHASES
from atlas.spec.text import dumps, write_spec
from queries.cli.options import Source, sign_option, source_options
from queries.rules import RULES
from queries.specs.make_spec import spec_and_notes
from queries.specs.neurons import DEFAULT_TOP, DEFAULT_WEIGHT
from queries.specs.request import BOUNDS, CONTRAST, INTERVAL

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
    for text in (*_remarks(made), *found.notes):
        note(text)
    if output is not None:
        note(f"written to {output}")


def _remarks(made: InterventionSpec) -> Iterator[str]:
    """What was chosen, in a line or two."""
    source, layers = made.source, sorted({edit.layer for edit in made.edits})
    if "forms" in source:
        yield "tokens used: " + " ".join(map(quoted, source["forms"]))
    edits = f"{len(made.edits)} edit{'s' if len(made.edits) > 1 else ''} ({source['op']})"
    where = f"layer {layers[0]}" if len(layers) == 1 else f"{len(layers)} layers, {layers[0]} to {layers[-1]}"
    inside = f", inside the {_ranges(source)}" if made.edits[0].when is not None else ""
    yield f"{edits} at {made.edits[0].site} in {where}{inside}"
    if "concept" in source:
        auc = source.get("mean_auc")
        yield f"mean AUC, either side: {'none' if auc is None else f'{auc:.3f}'}; {_shares(source)}"


def _ranges(source: dict[str, Any]) -> str:
    if source["bounds"] == INTERVAL:
        return f"intervals of {source['concept']}"
    how = "by contrast" if source["bounds"] == CONTRAST else f"at tau {source['tau']:g}"
    return f"ranges of {source['concept']} {how}"


def _shares(source: dict[str, Any]) -> str:
    """What was measured of the ranges, in a few words."""
    if "held_out" in source:
        known = source["held_out"]
        coverage, leakage = (known.get(f"mean_{name}") for name in ("coverage", "leakage"))
        folds = known.get("folds", "some")
        # Neurons of experts have numbers of values of their own.
        n, n_others = (f" (n {known[name]})" if name in known else "" for name in ("n", "n_others"))
        shares = [f"mean coverage {coverage:.3f}{n}"]
        shares += [] if leakage is None else [f"mean leakage {leakage:.3f}{n_others}"]
        known = source.get("expected", {})
        expected = [f"{known[name]:.3f}" for name in ("mean_coverage", "mean_leakage") if name in known]
        shares += [f"to expect on new texts {' and '.join(expected)}"] if expected else []
        return f"held out over {folds} folds: {', '.join(shares)}"
    leakage = source.get("mean_leakage")
    if leakage is not None:
        return f"mean leakage {leakage:.3f}"
    return f"leakage not measured at tau {source['tau']:g}" if "tau" in source else "leakage not measured"
