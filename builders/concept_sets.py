"""The project's own concept sets: name -> file and prompt template (data/concepts/sets.toml)."""

from __future__ import annotations

import tomllib

from atlas.errors import BuildError
from atlas.packaged import data_folder
from builders.config import ConceptSource


def own_sets() -> dict[str, ConceptSource]:
    """All sets of data/concepts, in the order of sets.toml. Raises BuildError when the table is missing."""
    folder = data_folder() / "concepts"
    try:
        table = tomllib.loads((folder / "sets.toml").read_text(encoding="utf-8"))
    except OSError as error:
        raise BuildError(f"the project's concept sets are not at {folder}", "Name a file: --concepts FILE.") from error
    return {
        name: ConceptSource(str(folder / row["file"]), family=name, template=row["template"])
        for name, row in table.items()
    }
