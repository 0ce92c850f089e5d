"""The one door from the explorer to a model: what a server that runs one is handed (builders/serving)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from atlas.answers.result import Document, Result
from atlas.spec.document import InterventionSpec
from atlas.store.reader import Atlas


class Live(Protocol):
    """A loaded model. One question at a time runs; others wait their turn, and a full queue is a QuestionError."""

    name: str

    def fires(self, atlas: Atlas, text: str, *, top: int, concept: str | None) -> Result:
        """As `neuron-atlas fires`."""

    def explain(self, atlas: Atlas, prompt: str, *, token: str | None, against: str | None, top: int) -> Document:
        """As `neuron-atlas explain`."""

    def activations(self, atlas: Atlas, text: str, *, layer: int, neuron: int, site: str) -> Result:
        """Columns position, token, value: the activation of one neuron on each token of a text."""

    def run(self, spec: InterventionSpec, prompt: str, *, tokens: int) -> Document:
        """As `neuron-atlas run`: what an intervention changes of a prompt's continuation and next tokens."""

    def generate(self, spec: InterventionSpec | None, prompt: str, *, tokens: int) -> Iterator[str]:
        """The continuation, piece by piece; with an intervention or without."""

    def evaluate(
        self, atlas: Atlas, spec: InterventionSpec, *, told: Callable[[str, float], None], stopped: Callable[[], bool]
    ) -> Any:
        """Measure a spec on the held-out texts of the atlas; `told` hears how far it is, `stopped` ends it early."""
