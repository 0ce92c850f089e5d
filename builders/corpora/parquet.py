"""Parquet files with a string column for the text and a string or integer column for the concept."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.parquet

from atlas.errors import CorpusError
from builders.corpora.base import Columns, Row


def read(path: str, columns: Columns, split: str | None) -> Iterator[Row]:
    """The rows of a .parquet file; other columns are not read."""
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            columns.check(path, file.schema_arrow.names)
            number = 0
            for batch in file.iter_batches(columns=list(dict.fromkeys(columns))):
                texts, concepts = (batch.column(name).to_pylist() for name in columns)
                for text, concept in zip(texts, concepts, strict=True):
                    number += 1
                    yield Row(f"{path} row {number}", text, concept)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        # ValueError: a string column whose bytes are not UTF-8.
        raise CorpusError(f"{path}: not a readable Parquet file ({error})") from error
