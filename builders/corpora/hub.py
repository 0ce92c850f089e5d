"""Hugging Face datasets: hf:OWNER/NAME or hf:OWNER/NAME:CONFIG, or hf: and a local dataset folder.

Only data files are read; the `datasets` library runs no code from a dataset repository.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from atlas.errors import CorpusError
from atlas.extras import require
from atlas.printable import printable
from atlas.silence import silence
from builders.corpora.base import Columns, Row


def read(source: str, columns: Columns, split: str | None) -> Iterator[Row]:
    """The rows of one split; the integers of a ClassLabel column become their names."""
    dataset, datasets = _loaded(source, split, streaming=False)
    columns.check(source, dataset.column_names)
    label = dataset.features[columns.concept]
    names = label.names if isinstance(label, datasets.ClassLabel) else None
    rows = dataset.select_columns(list(dict.fromkeys(columns)))
    for number, record in enumerate(rows, start=1):
        where, concept = f"{source} {split} row {number}", record[columns.concept]
        if names is not None and concept is not None:
            if not 0 <= concept < len(names):
                raise CorpusError(f"{where}: has no label ({concept})", "Test splits are often unlabelled.")
            concept = names[concept]
        yield Row(where, record[columns.text], concept)


def stream(source: str, columns: Columns, split: str | None) -> Iterator[Row]:
    """The rows of one split of any size, fetched as they are read; labels as they are stored."""
    dataset, _ = _loaded(source, split, streaming=True)
    rows = iter(dataset)
    number = 0
    while True:
        try:
            record = next(rows)
        except StopIteration:
            return
        except Exception as error:  # as in loading it
            raise _unreadable(source, error) from error
        number += 1
        columns.check(f"{source} {split} row {number}", record)
        yield Row(f"{source} {split} row {number}", record[columns.text], record[columns.concept])


def _loaded(source: str, split: str | None, streaming: bool) -> tuple[Any, Any]:
    """(the dataset, the library)."""
    if not split:
        raise CorpusError(f"{source}: a dataset needs a split", "For example --split train.")
    datasets = require("datasets", extra="datasets", why="to read hf: corpora")
    name, _, config = source.removeprefix("hf:").partition(":")
    try:
        with silence("datasets", "huggingface_hub"):
            return datasets.load_dataset(name, config or None, split=split, streaming=streaming), datasets
    except Exception as error:
        raise _unreadable(source, error) from error


def _unreadable(source: str, error: Exception) -> CorpusError:
    # The library raises a dozen unrelated types here (network, hub, file and value errors).
    reason = printable(str(error).strip().split("\n")[0][:200]) or type(error).__name__
    return CorpusError(f"{source}: cannot be loaded ({reason})", "Check the name, the config and the split.")
