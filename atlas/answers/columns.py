"""How wide each column of a table is, and what its cells say in that width. Nothing is drawn here."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from atlas.answers.cells import TOKEN_COLUMNS, TOKEN_WIDTH, cell, flat, is_number, items, plain
from atlas.answers.result import Result
from atlas.printable import width

# Columns stand this far apart.
GAP = 2
# A column of texts no wider than this keeps them on one line; longer texts and lists share what width is left.
SHORT = 20
# A column whose texts may take several lines gets at least this much.
FOLDED = 8
# Stands for a space inside a token until lines are broken; a real one of a token is an escape by then.
NO_BREAK = "\ue000"


@dataclass(eq=False, repr=False)  # neither is asked for, and making them takes time
class Column:
    """One column of a table: `width` in columns of a terminal, `folds` where its texts may take several lines."""

    name: str
    values: list[Any]
    heading: str
    numeric: bool
    folds: bool
    texts: list[str]
    width: int

    @property
    def least(self) -> int:
        """The narrowest that it can be: no heading and no number is broken, alone or in a list."""
        numbers = (
            width(cell(self.name, item)) for item in flat(self.values) if isinstance(item, int | float | Decimal)
        )
        return min(self.width, max(FOLDED, width(self.heading), *numbers))

    def narrow(self, columns: int) -> None:
        """Make it this wide. Tokens are shortened to that, since none is broken; other texts fold."""
        self.width = columns
        if self.name in TOKEN_COLUMNS and columns < TOKEN_WIDTH:
            self.texts = [_text(self.name, value, columns) for value in self.values]


def columns(result: Result, room: int) -> list[Column]:
    """The columns of a table that is `room` columns of a terminal wide, or wider where numbers and names need it."""
    made = [_column(name, [row[place] for row in result.rows]) for place, name in enumerate(result.columns)]
    folding = [column for column in made if column.folds]
    left = room - GAP * (len(made) - 1) - sum(column.width for column in made if not column.folds)
    shares = _shares([column.width for column in folding], [column.least for column in folding], left)
    for column, share in zip(folding, shares, strict=True):
        if share < column.width:
            column.narrow(share)
    return made


def _column(name: str, values: list[Any]) -> Column:
    heading = plain(name, TOKEN_WIDTH)
    texts = [_text(name, value) for value in values]
    widest = max((width(line) for text in texts for line in text.split("\n")), default=0)  # of prose; others have one
    numeric = bool(values) and all(map(is_number, values))
    folds = not numeric and (widest > SHORT or any(isinstance(value, list | tuple | dict) for value in values))
    return Column(name, values, heading, numeric, folds, texts, max(widest, width(heading)))


def _text(name: str, value: Any, most: int | None = None) -> str:
    """The cell; a space inside a quoted token does not break the line."""
    if name not in TOKEN_COLUMNS:
        return cell(name, value)
    texts = items(name, value, most) if isinstance(value, list | tuple) else [cell(name, value, most)]
    return " ".join(text.replace(" ", NO_BREAK) for text in texts)


def _shares(wanted: list[int], least: list[int], room: int) -> list[int]:
    """What each gets of `room`: all it wants if that fits, else the widest are brought down to one width."""

    def at(level: int) -> list[int]:
        return [max(low, min(want, level)) for want, low in zip(wanted, least, strict=True)]

    levels = range(max(wanted, default=0) + 1)
    shares = at(bisect_right(levels, room, key=lambda level: sum(at(level))) - 1)
    spare = room - sum(shares)
    for place in sorted(range(len(wanted)), key=lambda place: -wanted[place]):  # the fullest first
        if spare > 0 and shares[place] < wanted[place]:
            shares[place] += 1
            spare -= 1
    return shares
