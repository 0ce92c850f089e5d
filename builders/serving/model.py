"""A model that the explorer asks: loaded once, of the atlas that is shown, one question at a time.

It is what queries/web/live.py calls Live, and answers as the commands do: `fires`, `explain`, `run`, `evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from atlas.answers.result import Document, Result
from atlas.errors import ModelError
from atlas.live.generation import Decoding
from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.manifest import Manifest
from atlas.spec.document import InterventionSpec
from atlas.store.reader import Atlas
from builders.attribution.command import explained
from builders.attribution.request import ExplainRequest, Prompt
from builders.attribution.tokens import Tokens
from builders.before_after import compare
from builders.evaluation.command import measure
from builders.evaluation.config import EvaluateConfig, TaskRequest, parse_label
from builders.evaluation.output import score_table
from builders.evaluation.task import plan_task
from builders.fires.question import FiresRequest, fires
from builders.progress import Silent
from builders.run_report import document, next_tokens
from builders.serving.read import likeliest, read_neuron
from builders.serving.stopping import stoppable
from builders.serving.turns import Stopped, Turns

MOST_S, MOST_EVALUATION_S = 120.0, 1800.0
"""Seconds of a question, and of an evaluation."""
Told = Callable[[str, Any], None]


class ServedModel:
    """A loaded model and whose turn it is. Any thread may ask; each method ends early once `stopped`."""

    def __init__(self, live: LiveModel, turns: Turns | None = None) -> None:
        self._live, self._turns = live, turns or Turns()
        self.name: str = live.model_id

    def fits(self, manifest: Manifest) -> bool:
        """Whether it is the model of the atlas with this manifest."""
        return self._live.has_fingerprint(manifest.fingerprint)

    def close(self) -> None:
        """End what runs and what waits."""
        self._turns.close()

    def fires(self, atlas: Atlas, text: str, *, top: int, concept: str | None, stopped: Stopped) -> Result:
        """As `neuron-atlas fires`."""
        with self._turn("a text", stopped):
            return fires(atlas, [text], FiresRequest(top=top, concept=concept), live=self._live)

    def activations(self, text: str, *, layer: int, neuron: int, site: str, stopped: Stopped) -> Result:
        """Columns position, token, value: of one neuron on each token; None where it has none that counts."""
        with self._turn("a text", stopped):
            return read_neuron(self._live, Tokens(self._live), text, layer, neuron, site)

    def next_tokens(self, prompt: str, *, top: int, stopped: Stopped) -> Result:
        """Columns token, probability: the likeliest next tokens after a prompt."""
        with self._turn("a prompt", stopped):
            return likeliest(self._live, Tokens(self._live), prompt, top)

    def explain(
        self, atlas: Atlas, prompt: str, *, token: str | None, against: str | None, top: int, stopped: Stopped
    ) -> Document:
        """As `neuron-atlas explain`."""
        with self._turn("an explanation", stopped):
            return explained(self._live, [Prompt(prompt, token, against)], ExplainRequest(top=top, verify=top), atlas)

    def run(self, spec: InterventionSpec, prompt: str, *, tokens: int, told: Told, stopped: Stopped) -> Document:
        """As `neuron-atlas run`. `told` hears ("next_token", its Result) and the pieces of "before" and "after"."""

        def hear(what: str, value: Any) -> None:
            told(*(("next_token", next_tokens(value)) if what == "tokens" else (what, value)))

        with self._turn("a prompt", stopped):
            compared = compare(self._live, spec, prompt, decoding=Decoding(tokens), told=hear)
            return document(compared, [])

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
        """As `neuron-atlas evaluate`, on at most `texts` held-out texts a concept; nothing is kept.

        `told` hears ("classification", 0.25) and so on: the step, and how much of it is done.
        """
        task = TaskRequest(labels=dict(map(parse_label, labels)), limit_per_concept=texts, other_limit=others)
        config = EvaluateConfig(atlas.path, (Path("the spec"),), task=task, store=False)
        with self._turn("an evaluation", stopped, MOST_EVALUATION_S):
            planned = plan_task(atlas, [spec], task)
            report = measure(config, self._live, [spec], planned, _Progress(told))
            return score_table([report], [*planned.notes, *report.notes])

    @contextmanager
    def _turn(self, what: str, stopped: Stopped, most_s: float = MOST_S) -> Iterator[None]:
        with self._turns.one(what, stopped) as ended, stoppable(self._live, ended, most_s):
            yield


class _Progress(Silent):
    """Tells how far a step is, from 0 to 1."""

    def __init__(self, told: Told) -> None:
        self._told = told

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yields `advance(units)`."""
        done = 0

        def advance(units: int) -> None:
            nonlocal done
            done += units
            self._told(label, done / total if total else 1.0)

        self._told(label, 0.0)
        yield advance


def load_served(model: str, atlases: Sequence[Manifest], *, device: str = "auto", dtype: str = "auto") -> ServedModel:
    """Load the model called `model`, of at least one of the atlases. ModelError for another, and as `load` raises."""
    served = ServedModel(load(model, device=device, dtype=dtype))
    if not any(map(served.fits, atlases)):
        named = ", ".join(sorted({manifest.model_id for manifest in atlases}))
        raise ModelError(
            f"{served.name} is not the model of the atlas, {named}: its weights differ", "--live names another one."
        )
    return served
