"""Row groups of files with cards. DuckDB would read a million bytes at least where a card takes a fourth of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.errors import AtlasFileError
from atlas.store.far.files import Files
from atlas.store.far.filesystem import Opened

if TYPE_CHECKING:
    import pyarrow


def row_groups(files: Files, name: str) -> list[tuple[int, int, int, int]]:
    """(first neuron, last neuron, first byte, byte after the last) of each. AtlasFileError for another kind of file."""
    metadata = _parquet(files, name).metadata
    found = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(index) for index in range(group.num_columns)]
        neuron = next((column for column in columns if column.path_in_schema == "neuron"), None)
        if neuron is None or neuron.statistics is None or not neuron.statistics.has_min_max:
            raise _unfit(name)
        starts = [min(filter(None, (each.dictionary_page_offset, each.data_page_offset))) for each in columns]
        ends = [start + each.total_compressed_size for start, each in zip(starts, columns, strict=True)]
        found.append((int(neuron.statistics.min), int(neuron.statistics.max), min(starts), max(ends)))
    return found


def read_group(files: Files, name: str, number: int) -> pyarrow.Table:
    """The cards of one row group. AtlasFileError for one that is not whole."""
    import pyarrow

    try:
        return _parquet(files, name).read_row_group(number)
    except (pyarrow.ArrowException, OSError) as error:
        raise (files.trouble or _unfit(name)) from error


def _parquet(files: Files, name: str) -> Any:
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        return parquet.ParquetFile(Opened(files, name), page_checksum_verification=True, pre_buffer=False)
    except (pyarrow.ArrowException, OSError) as error:
        raise (files.trouble or _unfit(name)) from error


def _unfit(name: str) -> AtlasFileError:
    return AtlasFileError(f"{name} is not what its manifest says", "Publish the atlas anew.")
