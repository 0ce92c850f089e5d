"""The command `evaluate`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from atlas.cli.emit import emit
from atlas.cli.model_options import batch_options, device_options, model_option, override_option
from atlas.cli.options import atlas_option, output_options
from atlas.errors import UsageError
from atlas.fit_choice import FitChoice
from builders.amounts import parse_bytes
from builders.cli.options import column_options
from builders.config import parse_template
from builders.evaluation.config import (
    EvaluateConfig,
    HarnessRequest,
    SweepRequest,
    TaskRequest,
    parse_label,
    parse_list,
    parse_taus,
)
from builders.progress import for_terminal

_FILE = click.Path(path_type=Path, dir_okay=False)
_LISTS = {"rules": parse_list, "tops": parse_list, "taus": parse_taus, "bounds": parse_list, "ops": parse_list}
"""What --sweep varies: field of SweepRequest -> how its option is read."""
_FIT, _COMMON = ("family", "site"), ("layers", "positions")
"""What all specs of a sweep share."""
_FLAGS = {"rules": "rule", "tops": "top", "taus": "tau", "ops": "op"}
_EXAMPLES = """\b
Examples:
  neuron-atlas evaluate sports.spec.json
  neuron-atlas evaluate sports.spec.json --corpus held-out.jsonl --label sports=" football"
  neuron-atlas evaluate sports.spec.json --lm-eval arc_easy,hellaswag --lm-eval-limit 200
  neuron-atlas evaluate --sweep --concept sports --rule auc,mean_abs --top 100,1000 --tau 2,2.5 --plot sports.png
"""


@click.command(epilog=_EXAMPLES)
@click.argument("specs", nargs=-1, type=_FILE, metavar="[SPEC]...")
@atlas_option
@click.option(
    "--corpus",
    metavar="SOURCE",
    help="Labelled texts: a file, hf:OWNER/NAME, or an own set by name. "
    "Default: those of the family that the spec comes from.",
)
@column_options
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
    "--lm-eval",
    "lm_eval",
    metavar="TASK,...",
    help="Also run these tasks of the LM Evaluation Harness (extra lm-eval): names, groups or YAML files.",
)
@click.option(
    "--lm-eval-path",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Where YAML files of own tasks are. They may run Python that they bring.",
)
@click.option("--lm-eval-limit", type=click.IntRange(min=1), metavar="N", help="At most this many texts of each task.")
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
@model_option
@device_options
@batch_options("1GB", "For what arms share; what does not fit is recomputed.")
@override_option
@click.option("--no-store", is_flag=True, help="Do not keep the scores beside the atlas.")
@click.option(
    "--sweep", is_flag=True, help="Evaluate specs for all combinations of --rule, --top, --tau, --bounds and --op."
)
@click.option("--concept", metavar="NAME", help="With --sweep: the concept.")
@click.option("--rule", "rules", metavar="LIST", help="With --sweep: rules. Default: auc.")
@click.option("--top", "tops", metavar="LIST", help="With --sweep: counts or shares. Default: 100.")
@click.option("--tau", "taus", metavar="LIST", help="With --sweep: half-widths. Default: 2.5.")
@click.option(
    "--bounds", metavar="LIST", help="With --sweep: kinds of range, interval, gaussian and contrast. Default: gaussian."
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
@output_options
def evaluate(**options: Any) -> None:
    """What each SPEC does: accuracy and confidence on its target class and on all others, perplexity elsewhere.

    Texts are classified by label words that continue a prompt. Every spec is compared with the model itself
    (baseline) and, where its edits have ranges, with the same edits without them (whole_neuron). Texts that
    the statistics of the atlas have used are left out: build with --holdout. The scores are kept in
    FILE.evaluations.duckdb beside the atlas (see `neuron-atlas evaluations`).
    """
    config = config_from(options)
    from builders.evaluation.command import run  # torch: only now

    emit(run(config, for_terminal()), options["output_format"], config.output, config.inputs())


def config_from(options: dict[str, Any]) -> EvaluateConfig:
    """The dataclass behind the flags. Raises UsageError where they do not fit together."""
    template = options["template"]
    task = {
        "labels": dict(map(parse_label, options["labels"])),
        "template": None if template is None else parse_template(template),
    }
    own = {
        "atlas": options["atlas_path"],
        "sweep": _sweep(options),
        "harness": _harness(options),
        "task": TaskRequest(**{**_of_the_same_name(TaskRequest, options), **task}),
        "memory": parse_bytes(options["memory"]),
        "store": not options["no_store"],
    }
    return EvaluateConfig(**{**_of_the_same_name(EvaluateConfig, options), **own})


def _harness(options: dict[str, Any]) -> HarnessRequest | None:
    if options["lm_eval"] is None:
        for name in ("path", "limit"):
            if options[f"lm_eval_{name}"] is not None:
                raise UsageError(f"--lm-eval-{name} goes with --lm-eval", "Name tasks: --lm-eval TASK,...")
        return None
    return HarnessRequest(parse_list(options["lm_eval"]), options["lm_eval_path"], options["lm_eval_limit"])


def _of_the_same_name(dataclass: type, options: dict[str, Any]) -> dict[str, Any]:
    return {field.name: options[field.name] for field in fields(dataclass) if field.name in options}


def _sweep(options: dict[str, Any]) -> SweepRequest | None:
    if not options["sweep"]:
        for name in ("concept", *_LISTS, *_FIT, *_COMMON):
            if options[name] is not None:
                raise UsageError(f"--{_FLAGS.get(name, name)} goes with --sweep")
        return None
    lists = {name: parse(options[name]) for name, parse in _LISTS.items() if options[name]}
    common = {name: options[name] for name in _COMMON if options[name] is not None}
    fit = FitChoice(**{name: options[name] for name in _FIT})
    return SweepRequest(options["concept"] or "", **lists, fit=fit, common=common)
