"""The options of an evaluation, in frozen dataclasses. Nothing here loads torch or numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atlas.errors import UsageError
from atlas.fit_choice import ANY_FIT, FitChoice
from atlas.store.evaluations import sidecar_of
from builders.config import require_within


@dataclass(frozen=True)
class TaskRequest:
    """What the user says of the texts; None and empty: take it from the spec's source."""

    corpus: str | None = None
    """Labelled texts: a file, hf:owner/name, or one of the project's own sets by name."""
    text_column: str = "text"
    concept_column: str = "concept"
    split: str | None = None
    template: str | None = None
    """Prompt with {text} exactly once."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Concept -> the word that continues the prompt for it, literally; others: a space and their name."""
    target: str | None = None
    """The class that the edits aim at."""
    shots: int = 0
    """Few-shot examples per concept."""
    limit_per_concept: int | None = None
    other_text: str | None = None
    """Texts for perplexity: a file with one a line, or a labelled corpus."""
    other_limit: int = 200
    """At most this many of them; 0 leaves perplexity out."""
    seed: int = 0
    """Decides shots, resamples, and what the limits keep."""

    def __post_init__(self) -> None:
        if self.template is not None and self.template.count("{text}") != 1:
            raise UsageError(f"the template {self.template!r} must contain {{text}} exactly once")
        require_within("--shots", self.shots, 0, 10**6)
        require_within("--limit-per-concept", 1 if self.limit_per_concept is None else self.limit_per_concept, 1, 10**9)
        require_within("--other-limit", self.other_limit, 0, 10**9)
        require_within("--seed", self.seed, 0, 2**32)


@dataclass(frozen=True)
class SweepRequest:
    """What to vary (lists) and what all specs share (`fit`, and `common`: other options of make_spec).

    The ranges are Gaussian ones at each of `taus`, the interval and the contrast one, as `bounds` asks for.
    """

    concept: str
    rules: Sequence[str] = ("auc",)
    tops: Sequence[str] = ("100",)
    """Numbers of neurons, or shares such as 10%."""
    taus: Sequence[float] = (2.5,)
    bounds: Sequence[str] = ("gaussian",)
    ops: Sequence[str] = ("set=0",)
    fit: FitChoice = ANY_FIT
    common: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.concept:
            raise UsageError("--sweep needs a concept", "Add --concept NAME.")
        for name in ("rules", "tops", "taus", "bounds", "ops"):
            if not getattr(self, name):
                raise UsageError(f"a sweep over no {name} has no spec")


@dataclass(frozen=True)
class HarnessRequest:
    """Tasks of the LM Evaluation Harness (package lm_eval), which measure what a model can do in general."""

    tasks: tuple[str, ...]
    """Names of tasks, of groups of them, or YAML files."""
    path: Path | None = None
    """A folder with tasks of the user's own."""
    limit: int | None = None
    """Texts of each task; None: all."""

    def __post_init__(self) -> None:
        require_within("--lm-eval-limit", 1 if self.limit is None else self.limit, 1, 10**9)


@dataclass(frozen=True)
class EvaluateConfig:
    """Everything that decides an evaluation: of spec files, or of a sweep, which makes its own specs."""

    atlas: Path
    """The atlas of the specs, beside which the scores are kept."""
    specs: tuple[Path, ...] = ()
    sweep: SweepRequest | None = None
    task: TaskRequest = TaskRequest()
    harness: HarnessRequest | None = None
    """General ability, too; not with a sweep."""
    whole_neuron: bool = True
    """Whether to measure the edits also without their ranges."""
    bootstrap: int = 1000
    """Resamples of the 95 % intervals; 0: no intervals."""
    max_tokens: int = 512
    batch_tokens: int = 2048
    """Padded tokens per forward pass."""
    memory: int = 10**9
    """Bytes for what arms share; what does not fit is computed again."""
    model: str | None = None
    """None: where the spec or the atlas says that it is."""
    device: str = "auto"
    dtype: str = "auto"
    override_model: bool = False
    """Whether other weights of the same dims will do."""
    store: bool = True
    """Whether the scores are kept beside the atlas."""
    plot: Path | None = None
    """Where a sweep's picture goes."""
    output: Path | None = None
    """Where the answer goes, if to a file; never over one that the evaluation reads."""

    def __post_init__(self) -> None:
        if self.sweep is not None and self.specs:
            raise UsageError("--sweep makes its own specs", "Leave out the files.")
        if self.sweep is None and not self.specs:
            raise UsageError("no spec given", "Name a file, or use --sweep --concept NAME.")
        if self.sweep is None and self.plot is not None:
            raise UsageError("--plot goes with --sweep")
        if self.sweep is not None and self.harness is not None:
            raise UsageError("--lm-eval measures spec files, and a sweep has none", "Write those that matter: `spec`.")
        require_within("--bootstrap", self.bootstrap, 0, 100_000)
        require_within("--max-tokens", self.max_tokens, 2, 10**6)
        require_within("--batch-tokens", self.batch_tokens, 1, 10**8)
        require_within("--memory", self.memory, 0, 10**15)

    def inputs(self) -> list[Path]:
        """The files that are read, or that scores are kept in, where these options name files."""
        named = filter(None, (self.task.corpus, self.task.other_text, self.model))
        tasks = () if self.harness is None else filter(is_task_file, self.harness.tasks)
        return [*self.specs, self.atlas, sidecar_of(self.atlas), *map(Path, named), *map(Path, tasks)]


def is_task_file(task: str) -> bool:
    """Whether a task of the harness is named by its YAML file."""
    return task.endswith((".yaml", ".yml"))


def parse_label(text: str) -> tuple[str, str]:
    """'sports= football' -> ('sports', ' football'). Raises UsageError."""
    concept, equals, word = text.partition("=")
    if not equals or not word:
        raise UsageError(f"{text!r} is no label", 'Write CONCEPT=WORD, as in sports=" football".')
    return concept, word


def parse_list(text: str) -> tuple[str, ...]:
    """'100, 10%' -> ('100', '10%'), each once. Raises UsageError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise UsageError(f"{text!r} is no list", "Separate values by commas, as in 100,1000.")
    return tuple(dict.fromkeys(parts))


def parse_taus(text: str) -> tuple[float, ...]:
    """'2,2.5' -> (2.0, 2.5). Raises UsageError."""
    try:
        return tuple(map(float, parse_list(text)))
    except ValueError:
        raise UsageError(f"--tau {text!r} holds what is no number", "Write 2,2.5.") from None
