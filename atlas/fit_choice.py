"""Which fit of an atlas is meant: how questions, plots, specs and evaluations all say it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from atlas.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class FitChoice:
    """Names that a fit must have; None leaves a name open.

    A fit is one labelled corpus (`family`) put into one prompt (`template`), read at one `site` and token
    `position`. Most atlases have one fit a concept, and nothing needs to be said:

        neurons_for_concept(atlas, "sports")
        neurons_for_concept(atlas, "sports", fit=FitChoice(site="resid_post", position="mean"))
    """

    family: str | None = None
    site: str | None = None
    position: str | None = None
    template: str | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for a value that is no text, as a file of a stranger may hold."""
        for name, value in self.given():
            if not isinstance(value, str):
                raise UsageError(f"the {name} of a fit is a text, and this is {str(value)[:60]!r}", "Name one fit.")

    def given(self) -> Iterator[tuple[str, str]]:
        """(name, value) of what was said, in the order of FIT_NAMES."""
        return ((name, getattr(self, name)) for name in FIT_NAMES if getattr(self, name) is not None)

    def fits(self, fit: Any) -> bool:
        """Whether `fit`, anything with these four attributes, has every name that was said."""
        return all(getattr(fit, name) == value for name, value in self.given())


FIT_NAMES = tuple(field.name for field in fields(FitChoice))
ANY_FIT = FitChoice()
