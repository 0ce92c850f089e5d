"""The DDL of an atlas file with its integers filled in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The integers that the DDL needs: list lengths and the strides of `nid`."""

    top: int
    bins: int
    d_model: int
    n_layers: int
    width: int  # stride of a layer in nid: d_mlp


def schema_sql(layout: Layout) -> str:
    """CREATE TYPE and CREATE TABLE statements."""
    return _filled("schema.sql", layout)


def macros_sql(layout: Layout) -> str:
    """CREATE MACRO and CREATE VIEW statements."""
    return _filled("macros.sql", layout)


def _filled(name: str, layout: Layout) -> str:
    # Not by importlib.resources, whose import takes as long as a look-up: opening an atlas comes this way.
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    for field, value in vars(layout).items():
        # int() is what keeps anything but a number out of the statement.
        text = text.replace("{" + field + "}", str(int(value)))
    return text
