"""The command `pull`."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.cli.emit import emit_made
from atlas.cli.options import made_options
from builders.cli.publish import progress


@click.command("pull", epilog="Example: neuron-atlas pull hf://datasets/ME/NAME -o atlas.duckdb")
@click.argument("source", metavar="SRC")
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The atlas to write.",
)
@click.option("--layers", metavar="LIST", help="Only neurons of these layers, such as 12-29. Default: all.")
@click.option(
    "--tables",
    metavar="LIST",
    help="Only these tables, by their published names, and those about the same thing, such as decoding,gaussian.",
)
@click.option("--replace", is_flag=True, help="Replace an atlas of that name.")
@click.option("--memory", default="2GB", show_default=True, metavar="SIZE", help="What sorting may take at a time.")
@made_options
def pull(
    source: str,
    target: Path,
    layers: str | None,
    tables: str | None,
    replace: bool,
    memory: str,
    output_format: str | None,
) -> None:
    """Bring a published atlas from SRC, a URL, a folder or a name of data/atlases.toml, and make one file of it.

    Every file is held to the sha256 of the manifest before it is used, and the rows to every check of a build. A pull
    that ended early goes on where it was. With --layers or --tables the file says, in its runs, that it is a part.
    """
    from builders.amounts import parse_bytes
    from builders.config import parse_layers
    from builders.sharing.pull import PullRequest
    from builders.sharing.pull import pull as pulled

    parse_bytes(memory)
    request = PullRequest(
        source,
        target,
        parse_layers(layers) if layers else None,
        tuple(name.strip() for name in tables.split(",")) if tables else (),
        replace,
        memory,
    )
    emit_made(pulled(request, progress()), output_format)
