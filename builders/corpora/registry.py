"""Which module reads which source. A new format is one file in this package and one line here."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from atlas.errors import CorpusError, UsageError
from builders.corpora.base import Columns, Corpus, assemble
from builders.corpora.names import quoted, unfit

_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")

FORMATS = {
    ".jsonl": "builders.corpora.jsonl",
    ".csv": "builders.corpora.csv",
    ".tsv": "builders.corpora.csv",
    ".parquet": "builders.corpora.parquet",
    "hf:": "builders.corpora.hub",
}


def load_corpus(
    source: str | Path,
    *,
    family: str | None = None,
    text_column: str = "text",
    concept_column: str = "concept",
    split: str | None = None,
    limit_per_concept: int | None = None,
    seed: int = 0,
    holdout: float = 0.0,
) -> Corpus:
    """Read labelled examples from a file or a Hugging Face dataset (hf:OWNER/NAME[:CONFIG] with a split).

    The family defaults to the name of the file or dataset. limit_per_concept draws that many examples of
    each concept with `seed`; `holdout` leaves out that share of the texts first. Raises CorpusError (one
    line, with file and line) for anything that is not usable, MissingExtraError if `datasets` is needed and
    not installed, UsageError for bad options.
    """
    source = str(source)
    if text_column == concept_column:
        raise UsageError(f"the text and the concept cannot both be in column {text_column!r}")
    if limit_per_concept is not None and limit_per_concept < 2:
        raise UsageError("a concept needs at least 2 examples", "Raise the limit per concept.")
    module, default_family = located(source, split)
    family = default_family if family is None else family.strip()
    if not family:
        raise UsageError("the family of the concepts needs a name")
    if (why := unfit(family)) is not None:
        raise UsageError(f"the name {quoted(family)!r} of the family {why}", "Give another: --concepts NAME=FILE.")
    rows = importlib.import_module(module).read(source, Columns(text_column, concept_column), split)
    return assemble(source, family, rows, limit_per_concept, seed, holdout)


def located(source: str, split: str | None) -> tuple[str, str]:
    """(module, default family) for a source that exists, as far as can be told without opening it.

    Raises CorpusError for one that does not, UsageError for a split of a file.
    """
    if source.startswith("hf:"):
        return FORMATS["hf:"], Path(source.removeprefix("hf:").partition(":")[0]).name
    path = Path(source)
    if path.suffix.lower() in _PACKED:
        raise CorpusError(f"{source}: a packed file", "Unpack it first.")
    if not os.path.exists(path):  # unlike Path.exists, also of a name that no file can have
        raise CorpusError(f"{source}: there is no such file", "A Hugging Face dataset is written hf:OWNER/NAME.")
    if not path.is_file():
        raise CorpusError(f"{source}: not a file")
    if path.suffix.lower() not in FORMATS:
        known = ", ".join(suffix for suffix in FORMATS if suffix.startswith("."))
        raise CorpusError(f"{source}: unknown format {path.suffix!r}", f"Known: {known}, and hf:OWNER/NAME.")
    if split is not None:
        raise UsageError(f"{source} is a file and has no split {split!r}", "Only hf: sources have splits.")
    return FORMATS[path.suffix.lower()], path.stem
