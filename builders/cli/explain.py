"""The command `explain`: which neurons hold the logit of the next token after a prompt."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from atlas.answers.formats import of_documents
from atlas.cli.emit import Output
from atlas.cli.model_options import device_options
from atlas.cli.options import ATLAS_PLACE, answer_options, bundled, find_atlas, section_option, writable
from atlas.errors import UsageError
from atlas.newest import ATLAS_FOLDER, ATLAS_VARIABLE
from atlas.place import place_of
from atlas.whole_file import require_apart
from builders.attribution.request import (
    DEFAULT_RULE,
    OF_SPEC,
    POSITIONS,
    RULES,
    SIGNS,
    ExplainRequest,
    Prompt,
    parse_op,
)

SECTIONS = ("prompts", "neurons")
"""Of the answer; those of builders.attribution.report."""
_EXAMPLES = """\b
Examples:
  neuron-atlas explain "The capital of France is" --model smollm2-135m
  neuron-atlas explain "The capital of France is" --token " Paris" --against " Rome" --spec paris.spec.json
  neuron-atlas explain --file prompts.jsonl --format csv -o neurons.csv
"""


def _bundle(**options: Any) -> dict[str, Any]:
    return options


@click.command(epilog=_EXAMPLES)
@click.argument("prompt", required=False)
@click.option(
    "--file",
    metavar="FILE",
    help="Explain many prompts: one a line (- for stdin), or a .jsonl file, whose objects may have a token and an "
    "against of their own.",
)
@click.option("--text-column", default="text", show_default=True, help="Field of a .jsonl file with the prompt.")
@click.option("--token", metavar="TEXT", help='The next token, literally, as in " Paris". Default: the likeliest one.')
@click.option("--against", metavar="TEXT", help="Another token: explain how far the first one's logit is above its.")
@bundled("asked", _bundle, ("prompt", "file", "text_column", "token", "against"))
@click.option("--top", type=int, default=20, show_default=True, help="How many neurons to name.")
@click.option(
    "--verify",
    type=int,
    default=20,
    show_default=True,
    help="How many of them to set to 0 one by one; with --rule measured, how many of each computed rule.",
)
@click.option(
    "--rule",
    type=click.Choice(list(RULES)),
    default=DEFAULT_RULE,
    show_default=True,
    help="By what neurons are named: " + "; ".join(f"{name}: {meaning}" for name, meaning in RULES.items()) + ".",
)
@click.option(
    "--position",
    type=click.Choice(POSITIONS),
    default=POSITIONS[0],
    show_default=True,
    help="Attribute to activations at the last token of the prompt, or to those at all of its tokens, summed.",
)
@click.option(
    "--sign",
    type=click.Choice(list(SIGNS)),
    default="raised",
    show_default=True,
    callback=lambda context, parameter, name: SIGNS[name],
    help="Neurons by which the logit is raised, or lowered.",
)
@bundled("request", _bundle, ("top", "verify", "rule", "position", "sign"))
@click.option(
    "--spec",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=writable,
    metavar="FILE",
    help="Also write an intervention spec that edits the named neurons.",
)
@click.option(
    "--op",
    default="set=0",
    show_default=True,
    metavar="OP=NUMBER",
    help=f"What the edits of --spec do: {', '.join(OF_SPEC)}.",
)
@bundled("to_spec", _bundle, ("spec", "op"))
@click.option(
    "--model",
    metavar="MODEL",
    help="Packaged name, folder, .gguf file or Hugging Face id. Default: the model of the atlas.",
)
@click.option(
    "-a",
    "--atlas",
    type=ATLAS_PLACE,
    metavar="FILE",
    help="An atlas of the model, which also says which concept a neuron tells. "
    f"Default without --model: ${ATLAS_VARIABLE}, else the newest in {ATLAS_FOLDER}.",
)
@bundled("place", _bundle, ("model", "atlas"))
@device_options
@bundled("live", _bundle, ("device", "dtype"))
@section_option(SECTIONS)
@answer_options()
def explain(
    asked: dict[str, Any],
    request: dict[str, Any],
    to_spec: dict[str, Any],
    place: dict[str, Any],
    live: dict[str, Any],
    section: str | None,
    out: Output,
) -> None:
    """Which neurons hold the logit of the next token after PROMPT, computed and measured.

    One row a neuron: its activation, three attributions, which are computed for every neuron of the model, and what the
    logit loses when the neuron is set to 0, which is measured by running the model under an intervention spec. All are
    parts of the logit with one sign: positive where the neuron holds it up. The section `prompts` says how much of the
    logit the named neurons hold: the sums, and, measured, what it loses with all of them at 0 together.

    csv, jsonl, parquet and arrow hold one table: the neurons, unless --section says otherwise.
    """
    wanted, (op, value) = ExplainRequest(**request), parse_op(to_spec["op"])
    spec, file = to_spec["spec"], asked["file"]
    if (asked["prompt"] is None) == (file is None):
        raise UsageError("explain takes a PROMPT, or --file with many", "Give one of the two.")
    if spec is None and to_spec["op"] != "set=0":
        raise UsageError("--op goes with --spec")
    if file is not None and spec is not None:
        raise UsageError("--spec is for one prompt", "A file may hold many, each with neurons of its own.")
    require_apart(out.path, spec, "--spec")
    if section is None and out.format not in of_documents():
        section = "neurons"
    atlas = place["atlas"]
    if atlas is None and place["model"] is None:
        named = os.environ.get(ATLAS_VARIABLE)
        atlas = place_of(named) if named else find_atlas()
    prompts = _prompts(asked)
    from builders.attribution.command import ExplainCommand, run  # torch: only now

    inputs = [] if file in (None, "-") else [Path(file)]
    outputs = tuple(path for path in (out.path, spec) if path is not None)
    command = ExplainCommand(
        prompts, wanted, place["model"], atlas, **live, spec=spec, op=(op, value), outputs=outputs, inputs=inputs
    )
    out.emit_document(run(command), section, inputs)


def _prompts(asked: dict[str, Any]) -> list[Prompt]:
    common = Prompt(asked["prompt"] or "", asked["token"], asked["against"])
    if asked["file"] is None:
        return [common]
    from builders.attribution.prompts import read_prompts

    return read_prompts(asked["file"], asked["text_column"], common)
