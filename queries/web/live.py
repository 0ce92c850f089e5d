"""The one door from the explorer to a model: what a server that runs one is handed (builders/serving)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from atlas.answers.result import Document, Result
from atlas.manifest import Manifest
from atlas.spec.document import InterventionSpec
from atlas.store.reader import Atlas

Stopped = Callable[[], bool]
"""Whether nobody waits for the answer any more: then the work ends with an error that nobody sees."""
Told = Callable[[str, Any], None]
"""Hears (what, value) as soon as it is known."""
LONGEST_TEXT = 1500
"""Characters of a text or prompt that a model reads for a visitor; an address has room for them."""


class Live(Protocol):
    """A loaded model. One question at a time runs; others wait their turn, and a full queue is a QuestionError."""

    name: str

    def fits(self, manifest: Manifest) -> bool:
        """Whether it is the model of the atlas with this manifest."""

    def close(self) -> None:
        """End what runs and what waits, because the server ends."""

    def fires(self, atlas: Atlas, text: str, *, top: int, concept: str | None, stopped: Stopped) -> Result:
        """As `neuron-atlas fires`."""

    def explain(
        self, atlas: Atlas, prompt: str, *, token: str | None, against: str | None, top: int, stopped: Stopped
    ) -> Document:
        """As `neuron-atlas explain`."""

    def activations(self, text: str, *, layer: int, neuron: int, site: str, stopped: Stopped) -> Result:
        """Columns position, token_id, token, value: one neuron on each token of a text; None where none counts."""

    def next_tokens(self, prompt: str, *, top: int, stopped: Stopped) -> Result:
        """Columns token_id, token, probability: the likeliest next tokens."""

    def run(self, spec: InterventionSpec, prompt: str, *, tokens: int, told: Told, stopped: Stopped) -> Document:
        """As `neuron-atlas run`. Told: ("next_token", its Result), ("before", a piece of text), ("after", a piece)."""

    def evaluate(
        self,
        atlas: Atlas,
        spec: InterventionSpec,
        *,
        texts: int,
        others: int,
        labels: Sequence[str],
        told: Told,
        stopped: Stopped,
    ) -> Result:
        """As `neuron-atlas evaluate`, on at most `texts` held-out texts a concept. Told: (step, share that is done).

        `labels`: CONCEPT=WORD of some concepts. Raises UsageError for another form.
        """
