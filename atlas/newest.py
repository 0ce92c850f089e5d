"""Which atlas a command reads when nobody names one."""

from __future__ import annotations

from pathlib import Path

from atlas.errors import AtlasFileError

ATLAS_VARIABLE = "NEURON_ATLAS"
ATLAS_FOLDER = Path("data/atlases")


def newest_atlas(folder: Path = ATLAS_FOLDER) -> tuple[Path, int]:
    """The newest atlas in `folder` and how many there are. Raises AtlasFileError when there is none."""
    found = [
        path
        for path in folder.glob("*.duckdb")
        if path.is_file() and not path.name.endswith((".evaluations.duckdb", ".staging.duckdb"))
    ]
    if not found:
        raise AtlasFileError(
            f"no atlas given and none in {folder}",
            f"Use -a FILE, set {ATLAS_VARIABLE}, or build one: neuron-atlas build MODEL -o FILE.",
        )
    return max(found, key=lambda path: (path.stat().st_mtime, path.name)), len(found)
