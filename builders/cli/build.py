"""The command `build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atlas import sites
from atlas.answers.result import Result
from atlas.cli.emit import emit_made
from atlas.cli.model_options import batch_options, device_options
from atlas.cli.options import made_options
from atlas.printable import say
from builders.cli.build_config import config_from
from builders.cli.options import column_options
from builders.concept_sets import own_sets_here
from builders.config import DEFAULT_NEIGHBOURS
from builders.progress import for_terminal

if TYPE_CHECKING:
    from builders.build.pipeline import BuildReport

_CHOICE = click.Choice


@click.command(epilog="Example: neuron-atlas build smollm2-135m -o data/atlases/smollm2-135m.duckdb --concepts topics")
@click.argument("model")
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), required=True, help="The atlas to write.")
@click.option(
    "--concepts",
    multiple=True,
    metavar="[FAMILY=]SOURCE",
    help="A labelled corpus: a .jsonl, .csv, .tsv or .parquet file, hf:OWNER/NAME, or one of the project's own "
    f"sets by name ({', '.join(own_sets_here())}). May be repeated. Default: all own sets.",
)
@click.option(
    "--tower",
    type=_CHOICE(sites.TOWERS),
    help="Which half of a model that reads texts and images (CLIP). --concepts of an image tower are folders with a "
    "sub-folder of images for each concept.",
)
@click.option(
    "--words", metavar="FILE", help="The words, one a line, that neurons of a tower are decoded to by its projection."
)
@click.option("--no-concepts", is_flag=True, help="Decode only.")
@click.option(
    "--template",
    "templates",
    multiple=True,
    metavar="[FAMILY=]TEXT",
    help=r"Prompt with {text} once; \n is a new line. One that begins with a word and = needs its FAMILY= before it. "
    "Default: the own set's template, else the bare text.",
)
@column_options
@click.option("--limit-per-concept", type=click.IntRange(min=2), help="Use at most this many examples of a concept.")
@click.option(
    "--holdout",
    type=click.FloatRange(min=0, max=1, max_open=True),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Leave this share of the examples out of the statistics, so that `evaluate` can use them.",
)
@click.option(
    "--weights", multiple=True, type=_CHOICE(list(sites.WEIGHTS)), help="Weights to decode. Default: all there are."
)
@click.option(
    "--mode",
    type=_CHOICE(sites.DECODING_MODES),
    help="Decode w as it is, times the final norm's gain, or through an encoder's whole head as if it were linear. "
    "Default: raw; linearised where there is such a head.",
)
@click.option("--top", type=int, default=32, show_default=True, help="Tokens kept per neuron, weight and sign.")
@click.option("--no-decode", is_flag=True, help="Gaussians only.")
@click.option(
    "--weight-facts/--no-weight-facts",
    default=None,
    help="Measure the weights alone: how cosines to tokens are distributed, what a neuron does to what it reads, its "
    "nearest neurons. Default: if they are decoded.",
)
@click.option(
    "--neighbours",
    type=int,
    default=None,
    help="Nearest neurons kept of each neuron, as many of its layer as of all others; 0: none. Default: "
    f"{DEFAULT_NEIGHBOURS}, and none of a mixture of experts.",
)
@click.option("--vectors", is_flag=True, help="Also store the weight vectors (for `compare`; large).")
@click.option(
    "--sites",
    "site_names",
    multiple=True,
    type=_CHOICE(list(sites.SITES)),
    default=[sites.DEFAULT_SITE],
    show_default=True,
    help="Where activations are read.",
)
@click.option("--layers", metavar="LIST", help="Layers of weights and activations, such as 12-29. Default: all.")
@click.option(
    "--position",
    type=_CHOICE(sites.POSITIONS),
    help="Which tokens of an example count: the last of the prompt, those of --pool, or an encoder's first (cls) or "
    "its mask. Default: last; of an image tower cls, the class token, and all others are patches.",
)
@click.option(
    "--pool",
    type=_CHOICE(sites.POOLS),
    default="prompt",
    show_default=True,
    help="What the positions mean, max and all are over: the whole prompt, or the text in it without the template. "
    "Special tokens count in neither.",
)
@click.option(
    "--tau",
    "taus",
    type=float,
    multiple=True,
    default=[2.5],
    show_default=True,
    help="Half-width of the ranges to measure, in standard deviations. May be repeated.",
)
@click.option(
    "--folds",
    type=int,
    default=5,
    show_default=True,
    help="Parts of the texts: intervals are measured on each with those found on the others. 0: no intervals.",
)
@click.option(
    "--permutations",
    type=int,
    default=200,
    show_default=True,
    help="How often labels are dealt out anew, to see what the best neuron reaches by luck.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the permutations.")
@click.option(
    "--detectors",
    is_flag=True,
    help="Also make, for each concept, rules of few neurons that tell its texts (`detect`).",
)
@click.option(
    "--describe",
    metavar="NEURONS",
    help="Write a sentence about each side of these neurons of the atlas (with --add, --no-decode and --no-concepts): "
    "L29N808,L29N44, or layer:29, or all.",
)
@click.option(
    "--describer",
    default="tokens",
    show_default=True,
    help="Who writes it: tokens (fixed rules, no model), local:MODEL (an instruct model, named as MODEL is), or "
    "openai:URL#MODEL (an endpoint that speaks as OpenAI's does; its key from $OPENAI_API_KEY).",
)
@click.option(
    "--embed",
    metavar="EMBEDDER",
    help="Embed all descriptions of the atlas, for `search` by meaning: local:minilm (`fetch minilm` first) or "
    "openai:URL#MODEL.",
)
@click.option(
    "--requests-per-minute",
    type=click.FloatRange(min=0.1),
    default=60,
    show_default=True,
    help="Ask an endpoint no more often.",
)
@click.option("--yes", is_flag=True, help="Do not ask before an endpoint is paid: the estimate is still told.")
@click.option("--no-scores", is_flag=True, help="Write descriptions without measuring them.")
@click.option(
    "--texts",
    multiple=True,
    metavar="SOURCE",
    help="Running text, for exemplars: a .txt, .jsonl, .csv, .tsv or .parquet file, hf:OWNER/NAME, or one of the "
    "project's own sets; labels are not asked for. May be repeated.",
)
@click.option(
    "--images",
    multiple=True,
    metavar="FOLDER",
    help="Images (.jpg, .png, .webp), for exemplars of an image tower. May be repeated.",
)
@click.option(
    "--second-order",
    metavar="LAYERS",
    help="With --images: also what neurons of these layers, such as 8-10, do to the vectors of images through the "
    "attention heads of later layers.",
)
@click.option(
    "--context-length",
    type=int,
    default=128,
    show_default=True,
    metavar="TOKENS",
    help="Longest text of running text; longer documents are cut into several.",
)
@click.option("--max-tokens-total", type=int, metavar="TOKENS", help="Read no more running text than this.")
@click.option(
    "--no-texts",
    is_flag=True,
    help="Store where in the running text exemplars are, and no words or tokens of it.",
)
@click.option(
    "--gradients",
    is_flag=True,
    help="Also take, on each concept's texts, gradients of the logit of its token: what every neuron does for it.",
)
@click.option(
    "--targets",
    multiple=True,
    metavar="CONCEPT=TOKEN",
    help='With --gradients: the token of a concept, literally, as in "sports= football". May be repeated. '
    "Default: a space and its name, or the first token of that.",
)
@click.option(
    "--graphs",
    metavar="NEURONS",
    help="Make pattern graphs of these neurons, from exemplars that the atlas has: a list such as "
    "L29N808,L29N812, or layer:29 for all of a layer. With --add.",
)
@click.option(
    "--bins",
    type=int,
    help="Histogram bins per neuron. Default: 20, or what the atlas of --add has; one atlas has one.",
)
@batch_options("2GB", "What the builders may use beside the model.")
@device_options
@click.option(
    "--workers",
    metavar="N|ray[:ADDRESS]",
    help="Make it in N processes of this machine, or in those of a Ray cluster: of this machine alone, or the one at "
    "ADDRESS. Each holds the model, and takes --memory. The rows are the same.",
)
@click.option(
    "--blocks",
    metavar="FOLDER|URL",
    help="Where workers leave activations for each other, if they see no disk in common: a folder, or what fsspec "
    "reaches (s3://BUCKET/FOLDER). Default: beside OUTPUT.",
)
@click.option(
    "--shard",
    metavar="I/N",
    help="Make only part I of N, into the folder OUTPUT.shard-I-of-N; `merge` puts all of them together.",
)
@click.option("--replace", "existing", flag_value="replace", help="Replace an atlas of that name.")
@click.option("--add", "existing", flag_value="add", help="Keep its other rows; replace only what is built now.")
@click.option("--resume", "interrupted", flag_value="resume", help="Continue an unfinished build.")
@click.option("--restart", "interrupted", flag_value="restart", help="Drop an unfinished build.")
@made_options
def build(**options: Any) -> None:
    """Run MODEL once and write its atlas.

    MODEL is a packaged name (smollm2-135m), a folder, a .gguf file or a Hugging Face id. Weights come as
    safetensors or GGUF. The file appears only when it is complete and has passed its checks; prints its path.
    """
    try:
        report = _run(options)
    except (KeyboardInterrupt, RuntimeError) as error:
        # DuckDB answers Ctrl-C in a statement of its own with a bare RuntimeError.
        if not isinstance(error, KeyboardInterrupt) and str(error) != "Query interrupted":
            raise
        say("note", "interrupted; the same command with --resume goes on from here")
        raise KeyboardInterrupt from error
    made = Result(["model", "path"], [(options["model"], str(report.path))], report.notes)
    emit_made(made, options["output_format"])


def _run(options: dict[str, Any]) -> BuildReport:
    from builders.build.pipeline import build as whole
    from builders.shards.command import build_shard, parse_share

    how = {
        "existing": options["existing"] or "refuse",
        "interrupted": options["interrupted"] or "refuse",
        "progress": for_terminal(),
        "workers": options["workers"],
        "blocks": options["blocks"],
    }
    if options["shard"] is None:
        return whole(config_from(options), **how)
    return build_shard(config_from(options), parse_share(options["shard"]), **how)
