"""The command `run`: a prompt before and after the edits of a spec."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from atlas.cli.model_options import device_options
from atlas.errors import UsageError
from atlas.printable import say
from atlas.spec.text import read_spec, write_spec
from atlas.whole_file import replaceable, require_output


@click.command(epilog='Example: neuron-atlas run dog.spec.json --prompt "My favourite animal is the"')
@click.argument("spec", type=click.Path(path_type=Path, dir_okay=False), metavar="SPEC")
@click.option("--prompt", required=True, metavar="TEXT", help="What the model reads.")
@click.option("--model", help="Packaged name, folder, .gguf file or Hugging Face id. Default: the one in SPEC.")
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
@click.option("--override-model", is_flag=True, help="Accept other weights of the same dims.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "jsonl"]),
    default="table",
    show_default=True,
    help="Form of the answer.",
)
def run(
    spec: Path,
    prompt: str,
    model: str | None,
    max_new_tokens: int,
    top: int,
    sample: bool,
    temperature: float | None,
    seed: int,
    device: str,
    dtype: str,
    write_check: bool,
    override_model: bool,
    output_format: str,
) -> None:
    """Show what the edits of SPEC change: the next token and a text, before and after.

    The spec says how the prompt is tokenized and which tokens are edited. A check in SPEC is verified first,
    and the command fails if this model does not give its numbers.
    """
    if temperature is not None and not sample:
        raise UsageError("--temperature is for --sample")
    if write_check and override_model:
        raise UsageError("--write-check and --override-model contradict each other", "A check is of the spec's model.")
    if write_check:  # before minutes of work
        require_output(spec)
        if not replaceable(spec):
            raise UsageError(f"{spec} is no regular file, so no check can be kept in it", "Save it as a file first.")
    document = read_spec(spec)

    from atlas.live.check import with_check
    from atlas.live.intervene import check_model
    from builders import run_report
    from builders.before_after import Decoding, check_is_blind, compare, require_check
    from builders.spec_model import load_for

    if sys.stderr.isatty():
        say("note", f"loading {model or document.model.id}")
    live = load_for(document, model, device=device, dtype=dtype)
    check_model(live, document, override_model=override_model)
    remarks = []
    if write_check:
        document = with_check(live, document, prompt)
    elif document.check is not None:
        remarks.append(
            "check not verified, because of --override-model" if override_model else require_check(live, document)
        )
    comparison = compare(
        live,
        document,
        prompt,
        top=top,
        decoding=Decoding(max_new_tokens, (temperature or 1.0) if sample else None, seed),
        override_model=override_model,
    )
    if write_check:
        write_spec(document, spec)
        remarks.append(f"check written to {spec}")
    if document.check is not None and check_is_blind(document):
        remarks.append("the edits change nothing at the prompt of the check, so it cannot tell whether they work")
    if output_format == "table":
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo(run_report.as_table(comparison, width), nl=False)
    else:
        click.echo(run_report.as_json(comparison, indent=1 if output_format == "json" else None), nl=False)
    for text in remarks:
        say("note", text)
