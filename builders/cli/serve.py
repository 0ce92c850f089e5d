"""The command `serve`: the explorer, in a browser."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.cli.options import find_atlas
from atlas.extras import require

DEFAULT_MEMORY_MB = 256


@click.command("serve", epilog="Example: neuron-atlas serve --open")
@click.argument("atlases", nargs=-1, type=click.Path(path_type=Path), metavar="[ATLAS]...")
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
    help="What each atlas may keep in memory between questions.",
)
def serve_command(atlases: tuple[Path, ...], port: int, host: str, opened: bool, memory: int) -> None:
    """Look at ATLAS in a browser, or at several; without a name at the one in data/atlases.

    Prints the address and serves pages until Ctrl-C: the concepts by layer, the neurons of each concept, the card of a
    neuron with texts that fire it, who reads or writes a word, search. Everything that a page says is there as data
    too: its address with .json, .csv or .parquet before the question mark. Nothing is written, and nothing is loaded
    from elsewhere. An atlas that is published anew is offered, not swapped.
    """
    for package in ("starlette", "jinja2", "uvicorn"):
        require(package, extra="web", why="to show pages")
    from queries.web.served import open_all
    from queries.web.serving import serve

    served = open_all(atlases or [find_atlas()], memory * 2**20)
    try:
        serve(served, host=host, port=port, opened=opened, say=click.echo)
    finally:
        for each in served:
            each.close()
