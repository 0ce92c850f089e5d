"""Folders of images: with a sub-folder for each concept, a labelled corpus; of one folder, all that are below it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.errors import CorpusError, UsageError
from builders.corpora.base import Corpus, Row, assemble
from builders.corpora.names import quoted, unfit

if TYPE_CHECKING:
    from builders.config import BuildConfig, ConceptSource

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MOST = 1_000_000


def image_corpus(source: ConceptSource, config: BuildConfig) -> Corpus:
    """Each image under the name of its sub-folder; its text is SUB-FOLDER/NAME. Nothing is opened yet.

    Raises CorpusError for a folder that is not there, has images outside of sub-folders, or holds what is no image.
    """
    folder = Path(source.source)
    family = (source.family or folder.resolve().name).strip()
    if (why := unfit(family)) is not None:
        raise UsageError(f"the name {quoted(family)!r} of the family {why}", "Give another: --concepts NAME=FOLDER.")
    found = assemble(source.source, family, _rows(folder), config.limit_per_concept, 0, config.holdout)
    found.notes[:] = [note.replace("texts", "images") for note in found.notes]
    return found


def files_of(source: ConceptSource, corpus: Corpus) -> list[Path]:
    """The files of a labelled corpus of images, in its order."""
    return [Path(source.source) / name for name in corpus.texts]


def image_files(folder: Path) -> list[str]:
    """The images below a folder, at any depth, as FOLDER/.../NAME seen from it, sorted.

    Hidden files are left out. Raises CorpusError for a folder that is not there or has no images, and for a file that
    is none by its name.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder}: there is no such folder of images")
    found: list[str] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if name.startswith("."):
                continue
            path = os.path.relpath(os.path.join(place, name), folder)
            if not name.lower().endswith(SUFFIXES):
                raise CorpusError(f"{folder}: {quoted(path)} is no image by its name", f"Known: {', '.join(SUFFIXES)}.")
            if (why := unfit(path)) is not None:
                raise CorpusError(f"{folder}: the name {quoted(path)!r} {why}", "Rename the file.")
            if len(found) == MOST:
                raise CorpusError(f"{folder}: more than {MOST} images", "Divide the folder.")
            found.append(Path(path).as_posix())
    if not found:
        raise CorpusError(f"{folder}: there are no images in it", f"Known: {', '.join(SUFFIXES)}.")
    return sorted(found)


def _rows(folder: Path) -> Iterator[Row]:
    for path in image_files(folder):
        concept, slash, rest = path.partition("/")
        if not slash or "/" in rest:
            raise CorpusError(
                f"{folder}: {quoted(path)} is in no sub-folder of the folder itself",
                "A sub-folder for each concept, and its images in it.",
            )
        yield Row(f"{folder}/{path}", path, concept)
