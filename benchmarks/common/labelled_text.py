"""AG News and Emotion, the two labelled corpora of the papers, from a folder that the user names.

Neither is part of the project. Expected files, as their authors publish them:
- ag_news_test.csv (Zhang, Zhao, LeCun 2015): no header, class 1-4, title, description;
- emotion_train.txt, emotion_val.txt, emotion_test.txt (Saravia et al. 2018): `text;label` a line.
"""

from __future__ import annotations

import csv
import os
import random
from dataclasses import dataclass
from pathlib import Path

from atlas.errors import CorpusError

VARIABLE = "NEURON_ATLAS_DATASETS"
_AG_NEWS_CONCEPTS = {"1": "politics", "2": "sports", "3": "business", "4": "technology"}


@dataclass(frozen=True)
class Task:
    """A corpus as a classification by label words. `examples`: (text, concept); the prompt ends where the
    label word " " + concept follows."""

    name: str
    template: str
    concepts: tuple[str, ...]
    examples: tuple[tuple[str, str], ...]


def ag_news(folder: Path) -> Task:
    """7,600 articles; class 1 (World) goes by the word politics, which the model understands better."""
    with _open(folder, "ag_news_test.csv") as file:
        rows = [(f"{title}. {text}", _AG_NEWS_CONCEPTS[label]) for label, title, text in csv.reader(file)]
    return Task("ag_news", "{text}\nThis news article is about", tuple(_AG_NEWS_CONCEPTS.values()), tuple(rows))


def emotion(folder: Path, split: str = "train") -> Task:
    """16,000 (train) or 2,000 (val, test) sentences with six emotions."""
    with _open(folder, f"emotion_{split}.txt") as file:
        rows = [tuple(line.rstrip("\n").rsplit(";", 1)) for line in file if line.strip()]
    concepts = ("sadness", "joy", "love", "anger", "fear", "surprise")
    return Task("emotion", "Text: {text}\nEmotion:", concepts, tuple(rows))


def balanced(task: Task, per_concept: int, seed: int) -> list[tuple[str, str]]:
    """`per_concept` examples of every concept, drawn without replacement, duplicates of a text dropped.

    Raises CorpusError when a concept has too few.
    """
    shuffled = list(dict(task.examples).items())
    random.Random(seed).shuffle(shuffled)
    chosen = []
    for concept in task.concepts:
        own = [example for example in shuffled if example[1] == concept][:per_concept]
        if len(own) < per_concept:
            raise CorpusError(f"{task.name} has {len(own)} examples of {concept}, not {per_concept}")
        chosen += own
    return chosen


def datasets_folder(named: str | None) -> Path:
    """The folder given by --datasets, else by $NEURON_ATLAS_DATASETS. CorpusError when there is none."""
    text = named or os.environ.get(VARIABLE)
    if not text or not Path(text).is_dir():
        raise CorpusError("there is no folder with the datasets", f"Give --datasets FOLDER, or set {VARIABLE}.")
    return Path(text)


def _open(folder: Path, name: str):
    path = folder / name
    if not path.is_file():
        raise CorpusError(
            f"{folder} has no {name}", "benchmarks/common/labelled_text.py says where the files come from."
        )
    return path.open(encoding="utf-8", newline="")
