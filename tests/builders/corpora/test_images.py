"""Folders of images become labelled corpora, or are refused in one line; nothing is opened for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from atlas.errors import AtlasError
from builders.config import BuildConfig, ConceptSource
from builders.corpora.images import files_of, image_corpus, image_files


def folder_of(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


PETS = ("dogs/1.jpg", "dogs/2.PNG", "cats/b.webp", "cats/a.jpeg", ".hidden", "cats/.thumbs", ".git/x.txt")


def config(**options) -> BuildConfig:
    return BuildConfig("clip", Path("x.duckdb"), tower="image", position="cls", word_list="words.txt", **options)


def test_concepts_are_the_names_of_sub_folders(tmp_path):
    source = ConceptSource(str(folder_of(tmp_path / "pets", *PETS)))
    corpus = image_corpus(source, config())
    assert (corpus.family, corpus.concepts, corpus.labels) == ("pets", ["cats", "dogs"], [0, 0, 1, 1])
    assert corpus.texts == ["cats/a.jpeg", "cats/b.webp", "dogs/1.jpg", "dogs/2.PNG"]
    assert files_of(source, corpus) == [tmp_path / "pets" / name for name in corpus.texts]


def test_what_is_left_out_does_not_depend_on_where_the_folder_is(tmp_path):
    names = [f"{concept}/{number}.png" for concept in ("a", "b") for number in range(30)]
    found = [
        image_corpus(ConceptSource(str(folder_of(tmp_path / place / "set", *names))), config(holdout=0.4)).texts
        for place in ("here", "there")
    ]
    assert found[0] == found[1] and 10 < len(found[0]) < 55


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("dogs/1.jpg", "2.jpg"), "in no sub-folder"),
        (("dogs/old/1.jpg", "dogs/2.jpg"), "in no sub-folder"),
        (("dogs/1.jpg", "dogs/notes.txt"), "no image by its name"),
        (("dogs/1.jpg", "dogs/2.jpg"), "at least 2 are needed"),
        ((".hidden",), "no images in it"),
        (("dogs/1.jpg", "cats/\x1b.jpg"), "control character"),
    ],
)
def test_other_folders_are_refused(names, said, tmp_path):
    with pytest.raises(AtlasError, match=said) as caught:
        image_corpus(ConceptSource(str(folder_of(tmp_path / "set", *names))), config())
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(AtlasError, match="no such folder"):
        image_files(tmp_path / "absent")
