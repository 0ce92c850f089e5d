"""The command `run`: a prompt before and after the edits of a spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from atlas.cli.emit import emit_document, require_section
from atlas.cli.model_options import device_options, model_option, override_option
from atlas.cli.options import output_options, section_option
from atlas.errors import UsageError
from atlas.spec.text import read_spec
from builders.run_config import SECTIONS, RunConfig


@click.command(epilog='Example: neuron-atlas run dog.spec.json --prompt "My favourite animal is the"')
@click.argument("spec", type=click.Path(path_type=Path, dir_okay=False), metavar="SPEC")
@click.option("--prompt", required=True, metavar="TEXT", help="What the model reads.")
@model_option
@click.option(
    "--max-new-tokens", type=click.IntRange(min=0), default=30, show_default=True, help="Length of the two texts."
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Likeliest next tokens of either run to show.",
)
@click.option("--sample/--greedy", default=False, show_default=True, help="Draw tokens, or always take the likeliest.")
@click.option("--temperature", type=click.FloatRange(min=0, min_open=True), help="With --sample. Default: 1.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="With --sample.")
@device_options
@click.option(
    "--write-check",
    is_flag=True,
    help="Store log-probabilities at this prompt in SPEC, by which others can verify it.",
)
@override_option
@section_option(SECTIONS)
@output_options
def run(section: str | None, output_format: str, **options: Any) -> None:
    """Show what the edits of SPEC change: the next token and a text, before and after.

    The spec says how the prompt is tokenized and which tokens are edited. A check in SPEC is verified first,
    and the command fails if this model does not give its numbers.
    """
    require_section(SECTIONS, section, output_format)
    config = config_from(options)
    config.require_outputs()
    spec = read_spec(config.spec)
    from builders.run_command import run as compare  # torch: only now

    emit_document(compare(config, spec), section, output_format, config.output, config.inputs())


def config_from(options: dict[str, Any]) -> RunConfig:
    """The dataclass behind the flags. Raises UsageError where they do not fit together."""
    named = dict(options)
    sample, temperature = named.pop("sample"), named.pop("temperature")
    if temperature is not None and not sample:
        raise UsageError("--temperature is for --sample")
    return RunConfig(**named, temperature=(temperature or 1.0) if sample else None)
