"""`neuron-atlas evaluations`: what evaluations found."""

from __future__ import annotations

import click

from atlas.cli.emit import Output
from atlas.cli.options import answer_options, limit_option
from queries import evaluations as question
from queries.cli.options import Source, source_options


@click.command(epilog="Example: neuron-atlas evaluations --target sports --metric accuracy")
@click.option("--target", metavar="CONCEPT", help="Only specs that aim at this concept.")
@click.option(
    "--metric",
    metavar="NAME",
    help="Only this metric: accuracy, confidence, label_confidence, label_share, perplexity, pseudo_perplexity, or one "
    "of lm-eval.",
)
@click.option("--sweep", "sweep_id", metavar="ID", help="Only this sweep.")
@limit_option(200)
@source_options
@answer_options()
def evaluations(
    target: str | None, metric: str | None, sweep_id: str | None, limit: int, source: Source, out: Output
) -> None:
    """What `evaluate` found, newest first: every arm of every spec beside the model itself (baseline).

    value has a 95 % interval (ci_low, ci_high). drop_value is baseline minus arm on the same texts, with its
    paired interval; where perplexity rises it is negative. text_group says which texts: those of the target
    concept, of all other concepts (complement), or other text.
    """
    out.emit(
        question.evaluations(
            source.path, target=target, metric=metric, sweep_id=sweep_id, limit=limit, timeout_s=source.timeout_s
        )
    )
