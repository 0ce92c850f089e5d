"""The command `detect`: rules of few neurons that tell a concept's texts, shown, or at work on texts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from atlas.cli.emit import Output, require_section
from atlas.cli.model_options import device_options, model_option
from atlas.cli.options import answer_options, atlas_option, bundled, fit_options, section_option, timeout_option
from atlas.errors import UsageError
from atlas.store.reader import open_atlas
from queries.detectors import DEFAULT_NEURONS, FORMS, MOST_NEURONS, SECTIONS, detector, detectors

_UNSAID = {"text_column": "text", "model": None, "device": "auto", "dtype": "auto"}
"""The options that only --text needs, where nothing is said."""


def _bundle(**options: Any) -> dict[str, Any]:
    return options


@click.command(epilog="Example: neuron-atlas detect sports --neurons 3 --text sentences.txt")
@click.argument("concept", metavar="CONCEPT")
@click.option(
    "--neurons",
    type=click.IntRange(1, MOST_NEURONS),
    default=DEFAULT_NEURONS,
    show_default=True,
    help="How many neurons the rule has.",
)
@click.option(
    "--form",
    type=click.Choice(FORMS),
    default=FORMS[0],
    show_default=True,
    help="interval: whether each activation is inside an interval; linear: the activations themselves.",
)
@click.option(
    "--text", metavar="FILE", help="Label the texts of FILE (- for stdin) with the model: one a line, or a .jsonl file."
)
@click.option("--text-column", default="text", show_default=True, help="Field of a .jsonl file with the text.")
@partial(model_option, named_by="the atlas was made of")
@device_options
@bundled("live", _bundle, ("text_column", "model", "device", "dtype"))
@fit_options
@bundled("rule", _bundle, ("form", "neurons", "fit"))
@atlas_option
@timeout_option
@section_option(SECTIONS)
@answer_options()
def detect(
    concept: str,
    rule: dict[str, Any],
    text: str | None,
    live: dict[str, Any],
    atlas_path: Path,
    timeout: float | None,
    section: str | None,
    out: Output,
) -> None:
    """How well few neurons together tell the texts of CONCEPT, and which; with --text, label texts by them.

    A rule adds up what its neurons say, and a text has the concept where that is at least a threshold. The figures are
    of texts that were left out when the rule was made, with 95 % intervals: coverage is the share of the
    concept's texts that are found, leakage that of all others, youden_j their difference. Beside rules of intervals
    stand linear ones of as many neurons, and the linear probe of the best whole layer. `build --detectors` makes them.

    With --text, the model reads each text as the texts of the fit were read, in their template.
    """
    if text is None:
        _show(concept, rule, live, atlas_path, timeout, section, out)
        return
    if section is not None:
        raise UsageError("--section is for the answer without --text", "With --text there is one table.")
    from builders.detectors.texts import read_texts

    with open_atlas(atlas_path, timeout) as atlas:
        chosen, manifest = detector(atlas, concept, **rule), atlas.manifest
    texts = read_texts(text, live.pop("text_column"))
    from builders.detectors.command import LabelRequest, label_texts  # torch: only now

    answer = label_texts(manifest, atlas_path, chosen, LabelRequest(texts, output=out.path, **live))
    out.emit(answer, [] if text == "-" else [Path(text)])


def _show(
    concept: str,
    rule: dict[str, Any],
    live: dict[str, Any],
    atlas_path: Path,
    timeout: float | None,
    section: str | None,
    out: Output,
) -> None:
    given = [name for name, value in _UNSAID.items() if live[name] != value]
    if given:
        raise UsageError(f"--{given[0].replace('_', '-')} goes with --text")
    require_section(SECTIONS, section, out.format)
    with open_atlas(atlas_path, timeout) as atlas:
        answer = detectors(atlas, concept, **rule)
    out.emit_document(answer, section)
