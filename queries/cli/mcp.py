"""`neuron-atlas mcp`: the atlas as tools for an agent."""

from __future__ import annotations

from pathlib import Path

import click

from atlas.cli.options import atlas_option
from atlas.extras import require
from atlas.manifest import software_version
from atlas.store.reader import open_atlas


@click.command("mcp", epilog="Example: neuron-atlas mcp -a data/atlases/smollm2-135m.duckdb")
@atlas_option
def mcp_command(atlas_path: Path) -> None:
    """Answer an agent's questions over stdin and stdout, by the Model Context Protocol.

    Its tools are the read-only questions of this command line, SQL in the sandbox, and the making of specs; each
    answers with the same rows as JSON. Nothing is written. A client starts this command itself: give it the command and
    its arguments in its list of servers.
    """
    require("mcp", extra="mcp", why="to answer agents")
    from queries.agents.server import make_server

    with open_atlas(atlas_path, 30.0) as atlas:
        make_server(atlas, software_version().removeprefix("neuron-atlas ")).run("stdio")
