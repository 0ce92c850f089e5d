"""`neuron-atlas verify`: is the file still what was published?"""

from __future__ import annotations

import click

from atlas.cli.emit import Output
from atlas.cli.options import answer_options
from atlas.errors import AtlasFileError
from queries import verify as question


@click.command("verify", epilog="Example: neuron-atlas verify data/atlases/smollm2-135m.duckdb")
@click.argument("file")
@answer_options()
def verify(file: str, out: Output) -> None:
    """Check that an atlas is whole, and the evaluations beside it.

    One line a check: the digests of all columns and definitions against those that were published, the order of all
    keys, that postings say what decodings say, and every count, range and reference. Exit code 3 when one is broken.
    It finds damage, not forgery: an atlas is signed by nobody. Of a published folder, here or at a URL, one line a
    file: whether it has the sha256 that the manifest says.
    """
    result = question.verify(file)
    out.emit(result)
    broken = question.broken_check(result)
    if broken is not None:
        raise AtlasFileError(f"{file} is damaged: {broken}", "Fetch it again, or rebuild it with `neuron-atlas build`.")
