"""The command `serve`: the explorer, in a browser."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atlas.cli.model_options import device_options
from atlas.cli.options import ATLAS_PLACE, find_atlas
from atlas.errors import UsageError
from atlas.extras import require
from atlas.printable import say

if TYPE_CHECKING:
    from queries.web.live import Live
    from queries.web.served import Served

DEFAULT_MEMORY_MB = 256


@click.command("serve", epilog="Example: neuron-atlas serve --open --live smollm2-135m")
@click.argument("atlases", nargs=-1, type=ATLAS_PLACE, metavar="[ATLAS]...")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="a free one", help="Port to listen on.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. From any other than this machine's own a visitor needs the token that is printed.",
)
@click.option("--open", "opened", is_flag=True, help="Show it in this machine's browser.")
@click.option(
    "--memory",
    type=click.IntRange(1, 10**6),
    default=DEFAULT_MEMORY_MB,
    show_default=True,
    metavar="MB",
    help="What each atlas may keep in memory between questions; DuckDB takes 3/8 of it besides, at least 96 MB.",
)
@click.option(
    "--live",
    metavar="MODEL",
    help="Also run the model of ATLAS: texts of visitors, explanations, specs. Packaged name, folder, .gguf file or "
    "Hugging Face id.",
)
@click.option(
    "--embedder",
    metavar="EMBEDDER",
    help="What embeds the words of a search, to find neurons by meaning: that of ATLAS, local:MODEL or "
    "openai:URL#MODEL. Default: with --live what embedded it, if it is on this machine; else tokens.",
)
@device_options
def serve_command(
    atlases: tuple[Path, ...],
    memory: int,
    live: str | None,
    embedder: str | None,
    device: str,
    dtype: str,
    **listening: Any,
) -> None:
    """Look at ATLAS in a browser, or at several; without a name at the one in data/atlases.

    Prints the address and serves pages until Ctrl-C: the concepts by layer, the neurons of each concept, the card of a
    neuron with texts that fire it, who reads or writes a word, search. Everything that a page says is there as data
    too: its address with .json, .csv or .parquet before the question mark. Nothing is written, and nothing is loaded
    from elsewhere. An atlas that is published anew is offered, not swapped.

    With --live there are also pages that ask the model, which is loaded once and must be that of the atlas: a text of
    yours, token by token; which neurons hold a next token; a spec run on a prompt, and measured on held-out texts. One
    question runs at a time, a few wait.
    """
    for package in ("starlette", "jinja2", "uvicorn"):
        require(package, extra="web", why="to show pages")
    from queries.web.served import open_all
    from queries.web.serving import serve

    if live is None and (device, dtype) != ("auto", "auto"):
        raise UsageError("--device and --dtype go with --live")
    served = open_all(atlases or [find_atlas()], memory * 2**20)
    try:
        model = None if live is None else _load(live, served, device, dtype)
        if live is not None or embedder is not None:
            _find_embedders(served, embedder)
        serve(served, live=model, say=click.echo, **listening)
    finally:
        for each in served:
            each.close()


def _find_embedders(served: Sequence[Served], named: str | None) -> None:
    """Give the atlases what embeds the words of a search. Raises as `embed_of` where a named one fits none."""
    from builders.embeddings.embedder import name_of
    from builders.embeddings.question import embed_of

    having = [each for each in served if each.embedder is not None]
    if named is not None:
        wanted = name_of(named)
        alike = [each for each in having if each.embedder == wanted]
        having = alike or having or list(served)[:1]  # what fits none is refused, and says why
    for each in having:
        each.embed, _ = embed_of(each.embedder, named)


def _load(name: str, served: Sequence[Served], device: str, dtype: str) -> Live:
    """The model, checked against the atlases."""
    from builders.serving.model import load_served  # torch: only now

    if sys.stderr.isatty():
        say("note", f"loading {name}")
    manifests = []
    for each in served:
        with each.atlas() as atlas:
            manifests.append(atlas.manifest)
    return load_served(name, manifests, device=device, dtype=dtype)
