"""What writes descriptions, whoever it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from builders.descriptions.choice import Side
from builders.descriptions.evidence import Evidence, Source
from builders.descriptions.held_out import Case


class Sentence(NamedTuple):
    """`evidence`: the kinds that it is made of. `prompt_sha256`: of the prompt that a model answered."""

    text: str
    evidence: list[str]
    prompt_sha256: str | None = None


class Author(ABC):
    """One describer at work."""

    @abstractmethod
    def describe(self, side: Side, evidence: Evidence, source: Source) -> Sentence | None:
        """A sentence about one side of a neuron; None where there is nothing to say."""

    @abstractmethod
    def judge(self, text: str, cases: Sequence[Case]) -> list[bool | None]:
        """Whether each text fits the description; None where it does not say."""

    def notes(self) -> list[str]:
        """What the user should know of its work."""
        return []
