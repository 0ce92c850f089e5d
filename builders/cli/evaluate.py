"""The command `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atlas.cli.model_options import device_options
from atlas.errors import UsageError
from atlas.newest import ATLAS_FOLDER, ATLAS_VARIABLE, newest_atlas
from atlas.printable import for_stdout, say
from atlas.store.evaluations import sidecar_of
from atlas.whole_file import require_apart, require_output, write_whole
from builders.config import parse_bytes

if TYPE_CHECKING:
    from builders.evaluation.output import Row

_FILE = click.Path(path_type=Path, dir_okay=False)
_LISTS = {"rules": "auc", "tops": "100", "taus": "2.5", "bounds": "gaussian", "ops": "set=0"}
"""What --sweep varies, with its defaults."""
_FLAGS = {"rules": "rule", "tops": "top", "taus": "tau", "ops": "op"}
_EXAMPLES = """\b
Examples:
  neuron-atlas evaluate sports.spec.json
  neuron-atlas evaluate sports.spec.json --corpus held-out.jsonl --label sports=" football"
  neuron-atlas evaluate --sweep --concept sports --rule auc,mean_abs --top 100,1000 --tau 2,2.5 --plot sports.png
"""


@click.command(epilog=_EXAMPLES)
@click.argument("specs", nargs=-1, type=_FILE, metavar="[SPEC]...")
@click.option(
    "-a",
    "--atlas",
    "atlas_path",
    type=click.Path(path_type=Path),
    envvar=ATLAS_VARIABLE,
    metavar="FILE",
    help=f"The atlas of the specs. Default: ${ATLAS_VARIABLE}, else the newest in {ATLAS_FOLDER}.",
)
@click.option(
    "--corpus",
    metavar="SOURCE",
    help="Labelled texts: a file, hf:OWNER/NAME, or an own set by name. "
    "Default: those of the family that the spec comes from.",
)
@click.option("--text-column", default="text", show_default=True, help="Column with the text.")
@click.option("--concept-column", default="concept", show_default=True, help="Column with the concept's name.")
@click.option("--split", help="Split of an hf: corpus.")
@click.option("--template", metavar="TEXT", help=r"Prompt with {text} once; \n is a new line. Default: the fit's.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="CONCEPT=WORD",
    help="What the prompt is continued with for a concept, literally. Default: a space and its name.",
)
@click.option("--target", metavar="CONCEPT", help="The class that the edits aim at. Default: the spec's concept.")
@click.option(
    "--shots",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Few-shot examples per concept, from texts that are not evaluated.",
)
@click.option("--limit-per-concept", type=click.IntRange(min=1), help="Evaluate on at most this many texts each.")
@click.option(
    "--other-text",
    metavar="FILE",
    help="Texts for perplexity: one a line, or a labelled corpus. Default: the own concept sets of other families.",
)
@click.option(
    "--other-limit",
    type=click.IntRange(min=0),
    default=200,
    show_default=True,
    help="At most this many of them; 0 leaves perplexity out.",
)
@click.option(
    "--bootstrap",
    type=click.IntRange(0, 100_000),
    default=1000,
    show_default=True,
    help="Resamples of the 95 % intervals; 0 leaves them out.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**32),
    default=0,
    show_default=True,
    help="Decides resamples, shots and what the limits keep.",
)
@click.option("--model", metavar="MODEL", help="The model to run. Default: the one that the spec names.")
@device_options
@click.option("--max-tokens", type=click.IntRange(min=2), default=512, show_default=True, help="Longer texts are cut.")
@click.option(
    "--batch-tokens",
    type=click.IntRange(min=1),
    default=2048,
    show_default=True,
    help="Padded tokens per forward pass.",
)
@click.option(
    "--memory", default="1GB", show_default=True, help="For what arms share; what does not fit is recomputed."
)
@click.option("--override-model", is_flag=True, help="Accept other weights of the same dims.")
@click.option("--no-store", is_flag=True, help="Do not keep the scores beside the atlas.")
@click.option(
    "--sweep", is_flag=True, help="Evaluate specs for all combinations of --rule, --top, --tau, --bounds and --op."
)
@click.option("--concept", metavar="NAME", help="With --sweep: the concept.")
@click.option("--rule", "rules", metavar="LIST", help="With --sweep: rules. Default: auc.")
@click.option("--top", "tops", metavar="LIST", help="With --sweep: counts or shares. Default: 100.")
@click.option("--tau", "taus", metavar="LIST", help="With --sweep: half-widths. Default: 2.5.")
@click.option(
    "--bounds", metavar="LIST", help="With --sweep: kinds of range, gaussian and contrast. Default: gaussian."
)
@click.option("--op", "ops", metavar="LIST", help="With --sweep: ops. Default: set=0.")
@click.option("--family", metavar="NAME", help="With --sweep: family of the concept.")
@click.option("--site", metavar="NAME", help="With --sweep: site of the fit and the edits.")
@click.option("--layers", metavar="LIST", help="With --sweep: only these layers, as in 12-29,3.")
@click.option("--positions", metavar="all|last|LIST", help="With --sweep: tokens to edit. Default: all.")
@click.option(
    "--whole-neuron/--range-only", default=True, show_default=True, help="Also measure the edits without their ranges."
)
@click.option("--plot", type=_FILE, metavar="FILE.png", help="With --sweep: also draw the frontier.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "jsonl", "csv"]),
    default="table",
    show_default=True,
    help="Form of the answer.",
)
@click.option(
    "--csv-safe", is_flag=True, help="With csv: put ' before a text that a spreadsheet would take for a formula."
)
@click.option("-o", "--output", type=_FILE, metavar="FILE", help="Write to FILE instead of stdout.")
def evaluate(**options: Any) -> None:
    """What each SPEC does: accuracy and confidence on its target class and on all others, perplexity elsewhere.

    Texts are classified by label words that continue a prompt. Every spec is compared with the model itself
    (baseline) and, where its edits have ranges, with the same edits without them (whole_neuron). Texts that
    the statistics of the atlas have used are left out: build with --holdout. The scores are kept in
    FILE.evaluations.duckdb beside the atlas (see `neuron-atlas evaluations`).
    """
    _refuse_contradictions(options)
    from builders.evaluation.command import run_specs, run_sweep  # torch: only now

    labels = dict(map(_label, options["labels"]))
    template = options["template"]
    options |= {
        "atlas_path": options["atlas_path"] or _default_atlas(),
        "labels": labels,
        "template": None if template is None else template.replace("\\n", "\n"),
        "memory": parse_bytes(options["memory"]),
        "progress": _progress(),
    }
    inputs = _inputs(options)
    for output in (options["output"], options["plot"]):
        if output is not None:
            require_output(output, inputs=inputs)  # before minutes of work
    require_apart(options["output"], options["plot"])
    rows, notes = run_sweep(options) if options["sweep"] else run_specs(options)
    _write(rows, "csv_safe" if options["csv_safe"] else options["output_format"], options["output"], inputs)
    for text in notes:
        say("note", text)


def _refuse_contradictions(options: dict[str, Any]) -> None:
    """UsageError for options that do not fit together; fills in the lists of a sweep."""
    if options["csv_safe"] and options["output_format"] != "csv":
        raise UsageError(f"--csv-safe is for csv, and this is {options['output_format']}", "Add --format csv.")
    if options["sweep"]:
        if options["specs"]:
            raise UsageError("--sweep makes its own specs", "Leave out the files.")
        if not options["concept"]:
            raise UsageError("--sweep needs a concept", "Add --concept NAME.")
        options |= {name: options[name] or default for name, default in _LISTS.items()}
        return
    if not options["specs"]:
        raise UsageError("no spec given", "Name a file, or use --sweep --concept NAME.")
    for name in ("concept", "rules", "tops", "taus", "bounds", "ops", "family", "site", "layers", "positions", "plot"):
        if options[name] is not None:
            raise UsageError(f"--{_FLAGS.get(name, name)} goes with --sweep")


def _label(text: str) -> tuple[str, str]:
    concept, equals, word = text.partition("=")
    if not equals or not word:
        raise UsageError(f"{text!r} is no label", 'Write CONCEPT=WORD, as in sports=" football".')
    return concept, word


def _default_atlas() -> Path:
    newest, count = newest_atlas()
    if count > 1:
        say("note", f"reading {newest}, the newest of {count} atlases; choose another with -a")
    return newest


def _progress() -> Any:
    from builders.progress import for_terminal

    return for_terminal()


def _inputs(options: dict[str, Any]) -> list[Path]:
    """The files that an evaluation reads or keeps its scores in, where these options name files."""
    named = [options[name] for name in ("corpus", "other_text", "model") if options[name]]
    return [*options["specs"], options["atlas_path"], sidecar_of(options["atlas_path"]), *map(Path, named)]


def _write(rows: list[Row], output_format: str, output: Path | None, inputs: list[Path]) -> None:
    from builders.evaluation.output import FORMATS

    if output is not None:
        write_whole(FORMATS[output_format](rows).encode(), output, inputs=inputs)
        return
    if output_format.startswith("csv"):  # the one form for programs in which texts stand as they are
        rows = [{k: for_stdout(v) if isinstance(v, str) else v for k, v in row.items()} for row in rows]
    click.echo(FORMATS[output_format](rows), nl=False)
