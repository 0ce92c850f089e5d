"""What a visitor asks a page: texts from an address line, which are hostile until they were read here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from atlas.errors import UsageError
from atlas.fit_choice import FIT_NAMES, FitChoice
from atlas.store.reader import Atlas
from queries.search import Embed
from queries.web.links import Links

if TYPE_CHECKING:
    from queries.web.live import Live
    from queries.web.served import Served

MOST_CHARACTERS = 2000
"""Of one value that a visitor gives in an address."""


@dataclass(frozen=True)
class Asked:
    """One question to a page: the atlas, what the address names (`part`), and the values behind its `?`.

    `query` has all values of each name. `live` is the model, where the server runs one of this atlas, and `stopped`
    says whether the visitor has left meanwhile; `served` are the atlases that the same server shows. `embed` turns the
    words of a search into a vector, where the server has what embedded the atlas.
    """

    atlas: Atlas
    links: Links
    part: str = ""
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    live: Live | None = None
    served: Sequence[Served] = ()
    stopped: Callable[[], bool] = lambda: False
    embed: Embed | None = None

    def text(self, name: str, most: int = MOST_CHARACTERS) -> str | None:
        """A value as text, None where it is missing or empty; UsageError where it is too long."""
        value = next(iter(self.query.get(name, ())), "")
        if len(value) > most:
            raise UsageError(f"{name} has {len(value):,} characters", f"At most {most:,} are read.")
        return value or None

    def texts(self, name: str) -> list[str]:
        """All values of a name that are not empty."""
        return [value[:MOST_CHARACTERS] for value in self.query.get(name, ()) if value]

    def integer(self, name: str, default: int | None = None, *, least: int = 0, most: int = 10**9) -> int | None:
        """A value as a whole number; UsageError for another text, or one out of range."""
        value = self.text(name, 20)
        if value is None:
            return default
        try:
            number = int(value)
        except ValueError:
            raise UsageError(f"{name} is {value!r}", "Give a whole number.") from None
        if not least <= number <= most:
            raise UsageError(f"{name} {number} is outside {least} to {most:,}")
        return number

    def number(self, name: str, default: float | None = None) -> float | None:
        """A value as a finite number; UsageError for another text."""
        value = self.text(name, 40)
        if value is None:
            return default
        try:
            number = float(value)
        except ValueError:
            raise UsageError(f"{name} is {value!r}", "Give a number.") from None
        if number != number or number in (float("inf"), float("-inf")):
            raise UsageError(f"{name} is {value!r}", "Give a finite number.")
        return number

    def choice(self, name: str, allowed: Sequence[str], default: str) -> str:
        """A value that is one of `allowed`; UsageError for another."""
        value = self.text(name, 60) or default
        if value not in allowed:
            raise UsageError(f"{name} is {value!r}", f"It can be {', '.join(allowed)}.")
        return value

    def flag(self, name: str) -> bool:
        """Whether a box is ticked."""
        return self.text(name, 20) is not None

    @property
    def fit(self) -> FitChoice:
        """Which fit is meant: family, site, position and template as far as they are given."""
        return FitChoice(**{name: self.text(name, 500) for name in FIT_NAMES})

    @property
    def fit_query(self) -> dict[str, str]:
        """The same as values of an address."""
        return dict(self.fit.given())
