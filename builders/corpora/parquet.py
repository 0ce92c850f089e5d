"""Parquet files with a string column for the text and a string or integer column for the concept."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.parquet

from atlas.errors import CorpusError
from atlas.printable import printable
from builders.corpora.base import Columns, Row
from builders.corpora.limits import MAX_EXAMPLES, MAX_TOTAL

_ROWS = 16
"""Rows in memory at once: a file of a few kilobytes may repeat the longest text that is taken in every one."""


def read(path: str, columns: Columns, split: str | None) -> Iterator[Row]:
    """The rows of a .parquet file, a few at a time; other columns are not read."""
    return _rows(path, columns, bounded=True)


def stream(path: str, columns: Columns, split: str | None) -> Iterator[Row]:
    """The same of a file of any size, whose rows are not held together."""
    return _rows(path, columns, bounded=False)


def _rows(path: str, columns: Columns, bounded: bool) -> Iterator[Row]:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            columns.check(path, file.schema_arrow.names)
            if bounded:
                _check_size(path, file, columns)
            number = 0
            names = list(dict.fromkeys(columns))
            for batch in file.iter_batches(batch_size=_ROWS, columns=names, use_threads=False):
                texts, concepts = (batch.column(name) for name in columns)
                for text, concept in zip(texts, concepts, strict=True):
                    number += 1
                    yield _row(f"{path} row {number}", text, concept)
    except (pyarrow.ArrowException, OSError, ValueError, LookupError, MemoryError) as error:
        said = printable(str(error).split("\n")[0][:200]) or type(error).__name__  # it may quote the file's bytes
        raise CorpusError(f"{path}: not a readable Parquet file ({said})") from error


def _check_size(path: str, file: pyarrow.parquet.ParquetFile, columns: Columns) -> None:
    """CorpusError for columns that are too large as they stand, before they are unpacked."""
    if file.metadata.num_rows > MAX_EXAMPLES:  # some kilobytes can hold as many, and reading them takes minutes
        raise CorpusError(f"{path}: more than {MAX_EXAMPLES} examples", "Divide the corpus, or draw fewer from it.")
    size = 0
    for group in range(file.metadata.num_row_groups):
        chunks = file.metadata.row_group(group)
        for index in range(chunks.num_columns):
            chunk = chunks.column(index)
            if chunk.path_in_schema.partition(".")[0] in columns or chunk.path_in_schema in columns:
                size += max(0, chunk.total_uncompressed_size)
    if size > 4 * MAX_TOTAL:  # no character takes more bytes
        raise CorpusError(f"{path}: more than {MAX_TOTAL} characters of text", "Divide the corpus.")


def _row(where: str, text: pyarrow.Scalar, concept: pyarrow.Scalar) -> Row:
    try:
        return Row(where, text.as_py(), concept.as_py())
    except UnicodeDecodeError as error:
        raise CorpusError(f"{where}: not UTF-8") from error
    except (ValueError, OverflowError) as error:  # a date beyond those of Python, say
        raise CorpusError(f"{where}: a value that cannot be read ({printable(str(error)[:100])})") from error
