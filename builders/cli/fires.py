"""The command `fires`: the neurons that are farthest out in their own distribution at each token of a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from atlas.cli.emit import Output
from atlas.cli.model_options import device_options, model_option
from atlas.cli.options import answer_options, atlas_option, bundled, fit_options_with, timeout_option
from atlas.errors import UsageError
from atlas.fit_choice import FitChoice
from atlas.store.reader import open_atlas
from builders.config import parse_layers
from builders.fires.compact import compact
from builders.fires.question import DEFAULT_TOP, MOST_TOP, ORDERS, FiresRequest, fires


def _bundle(**options: Any) -> dict[str, Any]:
    return options


def _texts(text: str | None, file: str | None, text_column: str) -> list[str]:
    """The texts that are named. UsageError unless they are named in one way."""
    if (text is None) == (file is None):
        raise UsageError("name a text, or a file of texts", "As in: fires 'The dog ran.', or fires --file texts.txt")
    if text is not None:
        if text_column != "text":
            raise UsageError("--text-column goes with --file")
        if not text.strip():
            raise UsageError("the text is empty", "Give it at least one word.")
        return [text]
    from builders.detectors.texts import read_texts

    return read_texts(str(file), text_column)


@click.command("fires", epilog='Example: neuron-atlas fires "The dog ran after the cat." --top 3')
@click.argument("text", metavar="[TEXT]", required=False)
@click.option("--file", metavar="FILE", help="Texts instead: one a line, or a .jsonl file; - for stdin.")
@click.option("--text-column", default="text", show_default=True, help="Field of a .jsonl file with the text.")
@bundled("texts", _texts, ("text", "file", "text_column"))
@click.option(
    "--top",
    type=click.IntRange(1, MOST_TOP),
    default=DEFAULT_TOP,
    show_default=True,
    help="Neurons of each token.",
)
@click.option("--layers", metavar="LIST", help="Only these, such as 12-29. Default: all that running text was read at.")
@click.option(
    "--by",
    type=click.Choice(ORDERS),
    default=ORDERS[0],
    show_default=True,
    help="percentile: farthest out in their own distribution; value: largest absolute activation.",
)
@click.option("--concept", metavar="CONCEPT", help="Only neurons that are inside their interval of CONCEPT.")
@click.option(
    "--min-youden",
    "least",
    type=click.FloatRange(-1, 1),
    default=0.3,
    show_default=True,
    help="Least coverage - leakage, held out, of an interval that counts.",
)
@bundled("asked", _bundle, ("top", "layers", "by", "concept", "least"))
@model_option
@device_options
@bundled("live", _bundle, ("model", "device", "dtype"))
@fit_options_with(site="Site of the activations. Default: all that running text was read at.")
@atlas_option
@timeout_option
@answer_options()
def fires_command(
    texts: list[str],
    asked: dict[str, Any],
    live: dict[str, Any],
    fit: FitChoice,
    atlas_path: Path,
    timeout: float | None,
    out: Output,
) -> None:
    """The neurons that are farthest out in their own distribution at each token of TEXT, by the live model.

    Each activation is placed among those of its own neuron over the running text of the atlas (`build --texts`): its
    percentile, on either side, and beyond the extremes the distance in standard deviations. So a neuron that is
    always large does not come first, one that is unusual here does. Beside it stand the mean and std, the concepts
    whose interval the value is inside, and tokens that the neuron makes likelier at this activation. Special tokens
    are not counted.
    """
    layers = asked.pop("layers")
    request = FiresRequest(**asked, layers=parse_layers(layers) if layers else None, fit=fit, output=out.path, **live)
    with open_atlas(atlas_path, timeout) as atlas:
        answer = fires(atlas, texts, request)
    out.emit(compact(answer) if out.format == "table" else answer)
