"""A database file opened for reading, by an instance of DuckDB of its own, from which nothing else can be reached.

DuckDB shares one instance among all connections of a process to one path: a second opening would find the file that
was replaced in between still in its old state, and the settings locked. An instance that begins empty and attaches
the file is shared with nobody.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb

from atlas.store.files import full_name

# Everything that reaches outside the file is off: an atlas is data that came from somewhere.
SAFE_CONFIG: dict[str, Any] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
    "threads": 2,
}
NAME = "atlas_file"
"""What the attached file is called in SQL."""

_MEMORY_SHARE = 1 / 4


def attach(path: Path, timeout_s: float | None = None, memory: int | None = None) -> duckdb.DuckDBPyConnection:
    """A connection whose only database is the file at `path`, read-only; a statement may take `timeout_s` seconds.

    Without `timeout_s` any time. `memory`: the most bytes that DuckDB takes, for what it keeps of the file and for all
    statements that run; without it a quarter of the machine's. Nothing is spilled to disk. Raises duckdb.Error.
    """
    config = {name: value for name, value in SAFE_CONFIG.items() if name != "enable_external_access"}
    connection = duckdb.connect(":memory:", config=config | limits(timeout_s, memory))
    try:
        quoted = full_name(path).replace("'", "''")
        connection.execute(
            f"ATTACH '{quoted}' AS {NAME} (READ_ONLY); USE {NAME}; DETACH memory; SET enable_external_access = false;"
            # A setting of the session, which connect() refuses: the bar would be printed among the data.
            "SET enable_progress_bar = false; SET lock_configuration = true"
        )
    except BaseException:
        connection.close()
        raise
    return connection


def another(connection: duckdb.DuckDBPyConnection, overlay: str = "") -> duckdb.DuckDBPyConnection:
    """A second connection to the same attached file; `overlay`: what each connection to an older one needs."""
    cursor = connection.cursor()
    cursor.execute(f"USE {NAME};{overlay}")
    return cursor


def limits(timeout_s: float | None, memory: int | None = None) -> dict[str, Any]:
    """How much memory, in bytes, and time a statement may take, as settings of DuckDB; see `attach`."""
    most = int(_MEMORY_SHARE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    found: dict[str, Any] = {
        "memory_limit": f"{most if memory is None else min(memory, most)}B",
        "temp_directory": "",
        "max_temp_directory_size": "0B",
    }
    if timeout_s is not None:
        found["max_execution_time"] = max(1, int(1000 * timeout_s))
    return found
