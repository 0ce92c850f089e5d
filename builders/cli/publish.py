"""The command `publish`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from atlas.cli.emit import emit_made, note
from atlas.cli.options import made_options
from atlas.errors import UsageError


@click.command("publish", epilog="Example: neuron-atlas publish data/atlases/smollm2-135m.duckdb hf://datasets/ME/NAME")
@click.argument("atlas", type=click.Path(path_type=Path), metavar="ATLAS")
@click.argument("dest", metavar="DEST")
@click.option("--with-texts", is_flag=True, help="Also the running text itself: look at its licence first.")
@click.option(
    "--licence",
    "licences",
    multiple=True,
    metavar="[CORPUS=]SPDX",
    help="Licence of a corpus, or of what is published as a whole; repeatable. Default: unknown.",
)
@made_options
def publish(atlas: Path, dest: str, with_texts: bool, licences: tuple[str, ...], output_format: str | None) -> None:
    """Publish ATLAS as a folder of Parquet files at DEST: a folder, s3://BUCKET/PATH or hf://datasets/OWNER/NAME.

    Any program that reads Parquet reads it; README.md there shows how, manifest.json has the sha256 of every file and
    is written last. A publishing that was killed goes on where it was. Paths of this machine are left out, and so is
    running text, with what is made of its words, unless --with-texts.
    """
    from builders.sharing.publish import PublishRequest, publish_atlas, warning_of_texts

    by_corpus = dict(_pair(text) for text in licences)
    request = PublishRequest(atlas, dest, with_texts, by_corpus, by_corpus.pop("", "unknown"))
    if with_texts:
        note(warning_of_texts(request))
    emit_made(publish_atlas(request, progress()), output_format)


def progress() -> Callable[[str], None]:
    """Says on a terminal what was done, and elsewhere nothing."""
    import sys

    return note if sys.stderr.isatty() else lambda text: None


def _pair(text: str) -> tuple[str, str]:
    corpus, mark, licence = text.rpartition("=")
    if not licence or (mark and not corpus):
        raise UsageError(f"--licence {text} is no CORPUS=SPDX", "For example: --licence topics=Apache-2.0.")
    return corpus, licence
