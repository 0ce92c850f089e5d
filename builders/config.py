"""The options of a build, in one frozen dataclass. Nothing here loads torch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas import sites
from atlas.errors import UnknownNameError, UsageError
from builders.tower_options import check_tower, tower_parameters

if TYPE_CHECKING:
    from atlas.manifest import Manifest

DEFAULT_NEIGHBOURS = 16
DEFAULT_BINS = 20
"""Of a histogram, where neither the user nor an atlas to add to says otherwise."""


@dataclass(frozen=True)
class ConceptSource:
    """One labelled corpus: where it is and how its texts are put to the model."""

    source: str
    """A .jsonl, .csv, .tsv or .parquet file, or hf:owner/name."""
    family: str | None = None
    """Name of the group of concepts; None takes the file's stem."""
    template: str = "{text}"
    """Prompt with {text} exactly once."""
    own_template: bool = field(default=False, compare=False)
    """Whether it is that of an own set, for a model that goes on after a text; others read the text alone."""


@dataclass(frozen=True)
class BuildConfig:
    """Everything that decides what is in the atlas (and a few things that decide how it is made)."""

    model: str
    target: Path
    tower: str | None = None
    """Of a checkpoint that reads texts and images: which of its towers; None: the model has none."""
    word_list: str | None = None
    """File of the words, one a line, that neurons of a tower are decoded to."""
    images: tuple[str, ...] = ()
    """Folders of images in place of running text, of an image tower."""
    second_order: tuple[int, ...] = ()
    """Layers whose neurons' effects through later attention heads are measured over the images."""
    concepts: tuple[ConceptSource, ...] = ()
    weights: tuple[str, ...] = ()
    """Weights to decode; empty: all that the model has."""
    decode: bool = True
    mode: str | None = None
    """None: the model's (atlas.sites.default_mode)."""
    top: int = 32
    keep_vectors: bool = False
    weight_facts: bool | None = None
    """Whether facts of the weights alone are measured; None: if they are decoded."""
    neighbours: int | None = None
    """Nearest neurons that are kept of each neuron, of its layer and of the others; 0: none, nor redundant groups.
    None: DEFAULT_NEIGHBOURS, and none of a mixture of experts."""
    sites: tuple[str, ...] = (sites.DEFAULT_SITE,)
    layers: tuple[int, ...] | None = None
    """Of weights and of activations; None: all."""
    position: str = "last"
    pool: str = "prompt"
    """What the positions mean, max and all are over: the prompt or its text; special tokens are in neither."""
    taus: tuple[float, ...] = (2.5,)
    bins: int | None = None
    """Histogram bins; None: DEFAULT_BINS, or those of the atlas to add to."""
    max_tokens: int = 512
    batch_tokens: int = 2048
    """Padded tokens per forward pass."""
    limit_per_concept: int | None = None
    holdout: float = 0.0
    """Share of the examples that the statistics leave out, for evaluation."""
    folds: int = 5
    """Parts of the texts, each of which is left out once when intervals are found; 0: no intervals."""
    permutations: int = 200
    """How often labels are dealt out anew, to see what the best neuron reaches by luck."""
    seed: int = 0
    """Of the permutations, and of what detectors are resampled by."""
    detectors: bool = False
    """Whether rules of few neurons are made for each concept."""
    describe: str | None = None
    """Neurons to describe: addresses, layer:L or all; of an atlas to add to, as it stands."""
    describer: str = "tokens"
    """Who writes: tokens, local:MODEL or openai:URL#MODEL."""
    scores: bool = True
    """Whether descriptions are measured."""
    embed: str | None = None
    """What embeds the descriptions of an atlas to add to: local:MODEL or openai:URL#MODEL."""
    requests_per_minute: float | None = 60
    """Asked of an endpoint at most; None: as many as it answers."""
    spend: bool = False
    """Whether an endpoint is asked without asking the user first."""
    texts: tuple[str, ...] = ()
    """Running text: .txt files, or what labelled corpora come from, whose labels are not asked for."""
    context_length: int = 128
    """Longest text in tokens: longer documents are cut."""
    max_tokens_total: int | None = None
    """Tokens of running text after which no more is read; None: all."""
    words: bool = True
    """Whether the tokens of running text are stored."""
    gradients: bool = False
    """Whether gradients of each concept's token are taken on its texts."""
    targets: tuple[tuple[str, str], ...] = ()
    """(concept, token) where the token that stands for it is not its name's."""
    graphs: tuple[str, ...] = ()
    """Neurons to make pattern graphs of, each as L29N808 or, all of a layer, layer:29."""
    device: str = "auto"
    dtype: str = "auto"
    memory: int = 2 * 10**9
    """Bytes that the builders may use beside the model."""
    corpus_options: dict[str, Any] = field(default_factory=dict)
    """text_column, concept_column, split: passed to the corpus readers."""

    def __post_init__(self) -> None:
        for name in self.weights:
            sites.weight(name)
        for name in self.sites:
            sites.site(name)
        for kind, name, known in (
            ("position", self.position, sites.POSITIONS),
            ("pool", self.pool, sites.POOLS),
            ("decoding mode", self.mode or sites.DECODING_MODES[0], sites.DECODING_MODES),
        ):
            if name not in known:
                raise UnknownNameError(kind, name, known)
        if self.position in sites.ONE_TOKEN and self.pool != "prompt":
            raise UsageError(
                "--pool goes with --position mean, max or all", "The others are of one token of the prompt."
            )
        self._require_describable()
        check_tower(self)
        others = (self.weighs, self.texts, self.images, self.graphs, self.describe, self.embed)
        if not (self.decode or self.concepts or any(others)):
            raise UsageError("nothing to build: no decoding and no concepts", "Add --concepts or drop --no-decode.")
        for option, value, low, high in (
            ("--top", self.top, 1, 1000),
            ("--neighbours", self.neighbours or 0, 0, 1000),
            ("--bins", DEFAULT_BINS if self.bins is None else self.bins, 2, 1000),
            ("--max-tokens", self.max_tokens, 1, 10**6),
            ("--batch-tokens", self.batch_tokens, 1, 10**8),
            ("--folds", self.folds, 0, 1000),
            ("--permutations", self.permutations, 20, 10**5),
            ("--seed", self.seed, 0, 2**63 - 1),
            ("--context-length", self.context_length, 1, 10**6),
            ("--max-tokens-total", 1 if self.max_tokens_total is None else self.max_tokens_total, 1, 10**15),
            ("--memory", self.memory, 200 * 10**6, 10**15),
        ):
            require_within(option, value, low, high)
        if self.folds == 1:
            raise UsageError("--folds 1 leaves nothing to find an interval on", "Use 2 or more, or 0 for no intervals.")
        if self.detectors:
            self._require_detectable()
        if self.gradients and not self.concepts:
            raise UsageError("--gradients needs concepts", "Drop --no-concepts.")
        if self.targets and not self.gradients:
            raise UsageError("--targets goes with --gradients")
        if not 0 <= self.holdout < 1:
            raise UsageError(f"--holdout {self.holdout} is outside 0 to 1 (1 excluded)")
        for option, values in (
            ("--weights", self.weights),
            ("--sites", self.sites),
            ("--layers", self.layers or ()),
            ("--tau", self.taus),
            ("--texts", self.texts),
            ("--images", self.images),
            ("--graphs", self.graphs),
        ):
            if len(set(values)) < len(values):
                raise UsageError(f"{option} names something twice: {', '.join(map(str, values))}")
        if not self.texts and (self.max_tokens_total is not None or not self.words):
            raise UsageError("--max-tokens-total and --no-texts are about running text", "Add --texts.")
        if self.graphs and (self.texts or self.images):
            raise UsageError("--graphs are made from exemplars that an atlas has", "Build --texts first, then --add.")
        if not self.taus or any(not 0 < tau <= 100 for tau in self.taus):
            raise UsageError(f"--tau must lie in (0, 100], not {list(self.taus)}")
        for corpus in self.concepts:
            if corpus.template.count("{text}") != 1:
                raise UsageError(f"the template {corpus.template!r} must contain {{text}} exactly once")

    def _require_detectable(self) -> None:
        if not self.concepts:
            raise UsageError("--detectors needs concepts", "Drop --no-concepts.")
        if not self.folds:
            raise UsageError("--detectors needs folds to be measured on", "Drop --folds 0.")
        if self.position == "all":
            raise UsageError(
                "a detector tells texts, and --position all has a value for each token of one", "Use last."
            )

    @property
    def weighs(self) -> bool:
        """Whether facts of the weights alone are measured."""
        return self.decode if self.weight_facts is None else self.weight_facts

    def _require_describable(self) -> None:
        """What reads an atlas as it stands is built alone."""
        if self.describe is not None:
            from builders.descriptions.choice import check_neurons, parse_describer

            check_neurons(self.describe)
            parse_describer(self.describer)
        if self.embed is not None:
            from builders.embeddings.embedder import check_embedder

            check_embedder(self.embed)
        if (self.describe or self.embed) and (self.decode or self.concepts or self.texts):
            option = "--describe" if self.describe else "--embed"
            raise UsageError(
                f"{option} is of what an atlas holds already", "Give it with --add, --no-decode and --no-concepts."
            )

    def mode_beside(self, base: Manifest) -> str:
        """The decoding mode of an addition to an atlas."""
        return self.mode or sites.default_mode(base.head)

    def pooled(self) -> str | None:
        """`pool` where it decides anything. An atlas from before there was a choice says none: it pooled all tokens."""
        return None if self.position in sites.ONE_TOKEN else self.pool

    def parameters(self) -> dict[str, Any]:
        """What decides the rows: the identity of a build for `--resume` and for provenance (JSON values)."""
        return {
            "model": self.model,
            "decode": self.decode,
            "weights": list(self.weights),
            "mode": self.mode,
            "top": self.top,
            "keep_vectors": self.keep_vectors,
            "weight_facts": self.weighs,
            "neighbours": self.neighbours,
            "concepts": [
                {"source": corpus.source, "family": corpus.family, "template": corpus.template}
                for corpus in self.concepts
            ],
            "sites": list(self.sites),
            "layers": None if self.layers is None else list(self.layers),
            "position": self.position,
            "pool": self.pooled(),
            "taus": list(self.taus),
            "bins": self.bins,
            "max_tokens": self.max_tokens,
            "batch_tokens": self.batch_tokens,  # the batch shape moves the last bits of an activation
            "limit_per_concept": self.limit_per_concept,
            "holdout": self.holdout,
            "folds": self.folds,
            "permutations": self.permutations,
            "seed": self.seed,
            "detectors": self.detectors,
            "describe": self.describe,
            "describer": self.describer,
            "scores": self.scores,
            "embed": self.embed,
            "texts": list(self.texts),
            **({} if self.tower is None else tower_parameters(self)),
            "context_length": self.context_length,
            "max_tokens_total": self.max_tokens_total,
            "words": self.words,
            "gradients": self.gradients,
            "targets": [list(target) for target in self.targets],
            "graphs": list(self.graphs),
            "corpus_options": self.corpus_options,
        }


def require_within(option: str, value: float, low: float, high: float) -> None:
    """Raise UsageError unless the number lies in its domain, both ends included."""
    if not low <= value <= high:
        raise UsageError(f"{option} {value} is outside {low} to {high}")


def parse_layers(text: str) -> tuple[int, ...]:
    """'0-3,7' -> (0, 1, 2, 3, 7). Raises UsageError."""
    layers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,4})(?:-([0-9]{1,4}))?\s*", part)
        if match is None or (match[2] is not None and int(match[2]) < int(match[1])):
            raise UsageError(f"{text!r} is no list of layers", "Write 0-3,7.")
        layers.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(layers))


def parse_template(text: str) -> str:
    r"""A template as it is typed in a shell, where \n is a new line."""
    return text.replace("\\n", "\n")


def layers_of(config: BuildConfig, n_layers: int) -> list[int]:
    """The layers that a build is of. Raises UsageError for a layer that the model does not have."""
    if config.layers is None:
        return list(range(n_layers))
    beyond = [layer for layer in config.layers if layer >= n_layers]
    if beyond:
        raise UsageError(f"the model has layers 0 to {n_layers - 1}, not {beyond[0]}", "Correct --layers.")
    return list(config.layers)
